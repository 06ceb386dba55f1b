package natsd

import (
	"strings"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/subject"
)

// discovery are the subjects on which NATS services answer with their names and endpoints.
const discovery = "$SRV.>"

// doorPermissions are the rights of a door: to answer. Clients choose where an answer goes, so that it must not go where a
// message does something. The door checks its own messages itself, but not the answers of NATS's library to $SRV.
func doorPermissions(prefix string) *server.Permissions {
	return &server.Permissions{Publish: &server.SubjectPermission{
		Deny: []string{"$JS.>", "$KV.>", "$MQTT.>", "$O.>", discovery, "$SYS.>", prefix + ".>"},
	}}
}

// tapPermissions are the rights of live taps: to publish records.
func tapPermissions(prefix string) *server.Permissions {
	return &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: []string{prefix + ".live.>"}},
		Subscribe: &server.SubjectPermission{Deny: []string{">"}},
	}
}

// subjectRule names the operations that allow the use of a subject of the service.
type subjectRule struct {
	verb string
	// form is the form of the rest behind the verb.
	form subjectForm
	// ops are the operations that the subject can serve: a token that has one of them may use it, and if both is set one
	// that has them all.
	ops  protocol.OperationSet
	both bool
}

func (r subjectRule) allows(ops protocol.OperationSet) bool {
	if r.both {
		return ops.Contains(r.ops)
	}
	return ops&r.ops != 0
}

type subjectForm uint8

const (
	bareForm        subjectForm = iota // nothing
	basinForm                          // .<basin>
	streamForm                         // .<basin>.<stream>
	tokenForm                          // .<token id>
	basinAndStreams                    // .<basin> and .<basin>.<stream>
)

// subjectRules is control plane 5.5 in subjects. It may allow more than the guard behind it, since names in bodies and
// kinds of records do not show in a subject, but never less.
var subjectRules = []subjectRule{
	{"basin.list", bareForm, protocol.Operations(protocol.OpListBasins), false},
	{"basin.create", bareForm, protocol.Operations(protocol.OpCreateBasin), false},
	{"basin.create", basinForm, protocol.Operations(protocol.OpCreateBasin), false},
	{"basin.ensure", basinForm, protocol.Operations(protocol.OpCreateBasin, protocol.OpReconfigureBasin), true},
	{"basin.get", basinForm, protocol.Operations(protocol.OpGetBasinConfig), false},
	{"basin.reconfigure", basinForm, protocol.Operations(protocol.OpReconfigureBasin), false},
	{"basin.delete", basinForm, protocol.Operations(protocol.OpDeleteBasin), false},

	{"stream.list", basinForm, protocol.Operations(protocol.OpListStreams), false},
	{"stream.create", basinAndStreams, protocol.Operations(protocol.OpCreateStream), false},
	{"stream.ensure", streamForm, protocol.Operations(protocol.OpCreateStream, protocol.OpReconfigureStream), true},
	{"stream.get", streamForm, protocol.Operations(protocol.OpGetStreamConfig), false},
	{"stream.reconfigure", streamForm, protocol.Operations(protocol.OpReconfigureStream), false},
	{"stream.delete", streamForm, protocol.Operations(protocol.OpDeleteStream), false},

	{"append", streamForm, protocol.Operations(protocol.OpAppend, protocol.OpTrim, protocol.OpFence), false},
	{"close", streamForm, protocol.Operations(protocol.OpAppend), false},
	{"read", streamForm, protocol.Operations(protocol.OpRead), false},
	{"tail", streamForm, protocol.Operations(protocol.OpCheckTail), false},

	{"token.list", bareForm, protocol.Operations(protocol.OpListAccessTokens), false},
	{"token.issue", bareForm, protocol.Operations(protocol.OpIssueAccessToken), false},
	{"token.revoke", bareForm, protocol.Operations(protocol.OpRevokeAccessToken), false},
	{"token.revoke", tokenForm, protocol.Operations(protocol.OpRevokeAccessToken), false},

	{"metrics.account", bareForm, protocol.Operations(protocol.OpAccountMetrics), false},
	{"metrics.basin", basinForm, protocol.Operations(protocol.OpBasinMetrics), false},
	{"metrics.stream", streamForm, protocol.Operations(protocol.OpStreamMetrics), false},

	{"location.list", bareForm, protocol.Operations(protocol.OpListLocations), false},
	{"location.default.get", bareForm, protocol.Operations(protocol.OpGetDefaultLocation), false},
	{"location.default.set", bareForm, protocol.Operations(protocol.OpSetDefaultLocation), false},
}

// tokenPermissions are the rights of a connection with the token on NATS: to send the requests that its scope allows and the
// messages to its own sessions, and to receive everything in its account but the requests of others to the service.
func tokenPermissions(info protocol.AccessTokenInfo, prefix string) *server.Permissions {
	root := subject.Prefix(prefix).Root()
	allow, rules := []string{discovery, root + ".session.>"}, subjectRules
	if info.ID == protocol.RootTokenID {
		allow, rules = []string{discovery, root + ".>"}, nil
	}
	for _, r := range rules {
		if !r.allows(info.Scope.Operations()) {
			continue
		}
		for _, tail := range r.tails(info) {
			allow = append(allow, root+"."+r.verb+tail)
		}
	}
	deny := []string{discovery, prefix + ".>"}
	if info.Scope.Operations().Has(protocol.OpRead) {
		// Of live taps only the records that the token may read are published in its account.
		deny = []string{discovery, root + ".>", prefix + ".log.>", prefix + ".usage.>"}
	}
	return &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: allow},
		Subscribe: &server.SubjectPermission{Deny: deny},
	}
}

// tails are the subjects' ends that fit the token's resources.
func (r subjectRule) tails(info protocol.AccessTokenInfo) (tails []string) {
	basin, anyBasin := nameToken(info.Scope.Basins)
	streams := info.Scope.Streams
	if info.AutoPrefixStreams {
		streams = protocol.ResourceSet{Kind: protocol.MatchPrefix} // The holder's own names have no prefix.
	}
	stream, anyStream := namePath(streams)
	token, anyToken := namePath(info.Scope.AccessTokens)
	add := func(ok bool, tail string) {
		if ok {
			tails = append(tails, tail)
		}
	}
	//exhaustive:enforce
	switch r.form {
	case bareForm:
		tails = []string{""}
	case basinForm:
		add(anyBasin, "."+basin)
	case streamForm:
		add(anyBasin && anyStream, "."+basin+"."+stream)
	case basinAndStreams:
		add(anyBasin && anyStream, "."+basin)
		add(anyBasin && anyStream, "."+basin+"."+stream)
	case tokenForm:
		add(anyToken, "."+token)
	}
	return tails
}

// nameToken is the narrowest subject token that all names of the set match, which are one token each; ok is false if
// there is no such name. Subjects know no prefixes within a token.
func nameToken(set protocol.ResourceSet) (token string, ok bool) {
	//exhaustive:enforce
	switch set = set.Normal(); set.Kind {
	case protocol.MatchExact:
		return set.Name, true
	case protocol.MatchPrefix:
		return "*", true
	case protocol.MatchNone:
	}
	return "", false
}

// namePath is the narrowest subject that all names of the set match, which are spelled as streams are. Of a prefix only
// the whole segments count: user/4 is user.>, the names that begin with user/.
func namePath(set protocol.ResourceSet) (path string, ok bool) {
	//exhaustive:enforce
	switch set = set.Normal(); set.Kind {
	case protocol.MatchExact:
		return subject.Encode(protocol.StreamName(set.Name)), true
	case protocol.MatchPrefix:
		whole := strings.LastIndexByte(set.Name, '/')
		if whole < 0 {
			return ">", true
		}
		return subject.Encode(protocol.StreamName(set.Name[:whole])) + ".>", true
	case protocol.MatchNone:
	}
	return "", false
}
