package natsapi

import "context"

// endpoint is one subscription of the door: a verb and how to serve it.
type endpoint struct {
	name        string // for service discovery
	subject     string // below the root
	usage       string // the subject's form, for people
	description string
	// mutes reports that the verb does something even when no client waits for an answer.
	mutes bool
	// serve handles one request in a goroutine of its own and returns its answer.
	serve func(ctx context.Context, c *call) (reply, error)
}

// endpoints lists everything that the door answers. Subjects end in ">" although a name may be one token, so that a
// malformed subject gets an error and not silence.
func endpoints() []endpoint {
	return []endpoint{
		{"basin-list", "basin.list", "basin.list", "List basins", false, listBasins},
		{"basin-create", "basin.create", "basin.create", "Create the basin that the body names", true, createBasin},
		{"basin-create-named", "basin.create.>", "basin.create.<basin>", "Create a basin", true, createBasin},
		{"basin-ensure", "basin.ensure.>", "basin.ensure.<basin>", "Create a basin or replace its config", true, ensureBasin},
		{"basin-get", "basin.get.>", "basin.get.<basin>", "Get a basin's config", false, getBasin},
		{"basin-reconfigure", "basin.reconfigure.>", "basin.reconfigure.<basin>", "Change parts of a basin's config", true, reconfigureBasin},
		{"basin-delete", "basin.delete.>", "basin.delete.<basin>", "Delete a basin and its streams", true, deleteBasin},

		{"stream-list", "stream.list.>", "stream.list.<basin>", "List a basin's streams", false, listStreams},
		{"stream-create", "stream.create.>", "stream.create.<basin>[.<stream>]", "Create a stream", true, createStream},
		{"stream-ensure", "stream.ensure.>", "stream.ensure.<basin>.<stream>", "Create a stream or replace its config", true, ensureStream},
		{"stream-get", "stream.get.>", "stream.get.<basin>.<stream>", "Get a stream's config", false, getStream},
		{"stream-reconfigure", "stream.reconfigure.>", "stream.reconfigure.<basin>.<stream>", "Change parts of a stream's config", true, reconfigureStream},
		{"stream-delete", "stream.delete.>", "stream.delete.<basin>.<stream>", "Delete a stream", true, deleteStream},

		{"location-list", "location.list", "location.list", "List the locations of basins", false, listLocations},
		{"location-default-get", "location.default.get", "location.default.get", "Get the default location", false, getDefaultLocation},
		{"location-default-set", "location.default.set", "location.default.set", "Set the default location", true, setDefaultLocation},

		{"metrics-account", "metrics.account", "metrics.account", "Query the usage of the account", false, accountMetrics},
		{"metrics-basin", "metrics.basin.>", "metrics.basin.<basin>", "Query the usage of a basin", false, basinMetrics},
		{"metrics-stream", "metrics.stream.>", "metrics.stream.<basin>.<stream>", "Query the usage of a stream", false, streamMetrics},

		{"token-list", "token.list", "token.list", "List access tokens", false, listTokens},
		{"token-issue", "token.issue", "token.issue", "Issue an access token", false, issueToken},
		{"token-revoke", "token.revoke", "token.revoke", "Revoke the access token that the body names", true, revokeToken},
		{"token-revoke-named", "token.revoke.>", "token.revoke.<id>", "Revoke an access token", true, revokeToken},
		{"token-confirm", "token.confirm", "token.confirm", "Confirm the access token that the body names", true, confirmToken},
		{"token-confirm-named", "token.confirm.>", "token.confirm.<id>", "Confirm an access token", true, confirmToken},

		{"append", "append.>", "append.<basin>.<stream>", "Append records, or open an append session", true, appendRecords},
		{"read", "read.>", "read.<basin>.<stream>", "Read records, or open a read session", false, readRecords},
		{"close", "close.>", "close.<basin>.<stream>", "Close a stream: no record follows", true, closeStream},
		{"tail", "tail.>", "tail.<basin>.<stream>", "Check a stream's tail", false, checkTail},
	}
}
