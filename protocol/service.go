package protocol

import "context"

// Service is everything that weir does. The broker offers it in process, the client package over NATS, and both
// behave the same: the conformance suite runs on any implementation.
//
// All methods may be called at once from many goroutines. Failures are [*Error]. A context that ends while an
// operation is under way gives request_timeout or client_hangup, which leave open whether it took effect.
type Service interface {
	BasinService
	StreamService
	RecordService
	TokenService
	MetricsService
	LocationService
}

// BasinService administers basins (control plane section 3).
type BasinService interface {
	// ListBasins returns a page of basins, those being deleted included. Codes: bad_query.
	ListBasins(ctx context.Context, req ListRequest) (BasinPage, error)
	// CreateBasin makes a basin, durably. Codes: resource_already_exists, basin_deletion_pending; invalid if the location
	// is unknown.
	CreateBasin(ctx context.Context, req CreateBasinRequest) (BasinInfo, ProvisionResult, error)
	// EnsureBasin makes a basin, or replaces the config of the one that is there. Codes: basin_deletion_pending; invalid if
	// the request's location is unknown or not the basin's.
	EnsureBasin(ctx context.Context, basin BasinName, req EnsureBasinRequest) (BasinInfo, ProvisionResult, error)
	// GetBasinConfig returns the config. Codes: basin_not_found, basin_deletion_pending.
	GetBasinConfig(ctx context.Context, basin BasinName) (BasinConfig, error)
	// ReconfigureBasin changes parts of the config. Codes: basin_not_found, basin_deletion_pending.
	ReconfigureBasin(ctx context.Context, basin BasinName, change BasinReconfiguration) (BasinConfig, error)
	// DeleteBasin accepts the deletion of a basin and all its streams; the work goes on in the background. A repeat
	// succeeds. Codes: basin_not_found.
	DeleteBasin(ctx context.Context, basin BasinName) error
}

// StreamService administers streams (control plane section 4).
type StreamService interface {
	// ListStreams returns a page of streams, those being deleted included. Codes: basin_not_found, bad_query.
	ListStreams(ctx context.Context, basin BasinName, req ListRequest) (StreamPage, error)
	// CreateStream makes a stream, durably. Codes: basin_not_found, basin_deletion_pending,
	// stream_deletion_pending, resource_already_exists.
	CreateStream(ctx context.Context, basin BasinName, req CreateStreamRequest) (StreamInfo, ProvisionResult, error)
	// EnsureStream makes a stream, or replaces the config of the one that is there. Codes: basin_not_found,
	// basin_deletion_pending, stream_deletion_pending.
	EnsureStream(ctx context.Context, ref StreamRef, config StreamConfig) (StreamInfo, ProvisionResult, error)
	// GetStreamConfig returns the resolved config. Codes: basin_not_found, stream_not_found,
	// stream_deletion_pending.
	GetStreamConfig(ctx context.Context, ref StreamRef) (ResolvedStreamConfig, error)
	// ReconfigureStream changes parts of the config, for all appends sequenced afterwards. Codes: as EnsureStream,
	// and stream_not_found.
	ReconfigureStream(ctx context.Context, ref StreamRef, change StreamReconfiguration) (ResolvedStreamConfig, error)
	// DeleteStream ends a stream: when it returns every append, read and check-tail is refused; the space is given
	// back in the background. A repeat succeeds. Codes: basin_not_found, stream_not_found.
	DeleteStream(ctx context.Context, ref StreamRef) error
}

// RecordService moves records (data plane sections 3 to 5). Append and OpenAppendSession create a missing stream where
// the basin says create_stream_on_append; CheckTail, Read and OpenReadSession where it says create_stream_on_read. The
// options are [WithEncryptionKey], which an encrypted stream needs, and [WithNewStream]. Their codes, of every method that
// takes options: bad_header for a key that is missing or malformed; invalid for a configuration that no stream can have.
type RecordService interface {
	// CheckTail returns the durable tail, and whether the stream is closed. It is never behind an ack already delivered. Codes: basin_not_found,
	// stream_not_found, basin_deletion_pending, stream_deletion_pending.
	CheckTail(ctx context.Context, ref StreamRef) (StreamTail, error)
	// Append stores a batch and returns once it is as durable as the broker promises. The caller must not change the
	// input's bytes until then. Codes: as CheckTail; invalid; condition_failed (nothing stored, for sure); storage,
	// other, request_timeout, client_hangup (unknown).
	Append(ctx context.Context, ref StreamRef, in AppendInput, opts ...RecordOption) (AppendAck, error)
	// Read returns one batch, possibly empty (data plane 4.11). Codes: as CheckTail; invalid; unwritten;
	// decryption_failed.
	Read(ctx context.Context, ref StreamRef, req ReadRequest, opts ...RecordOption) (ReadBatch, error)
	// OpenAppendSession opens a pipelined append session. ctx bounds the opening only. Codes: as CheckTail.
	OpenAppendSession(ctx context.Context, ref StreamRef, opts ...RecordOption) (AppendSession, error)
	// OpenReadSession opens a streaming read. ctx bounds the opening only. Codes: as Read.
	OpenReadSession(ctx context.Context, ref StreamRef, req ReadRequest, opts ...RecordOption) (ReadSession, error)
}

// TokenService administers access tokens (control plane section 5).
type TokenService interface {
	// ListAccessTokens returns a page of tokens, expired ones and that of the configuration included. Codes: bad_query.
	ListAccessTokens(ctx context.Context, req ListRequest) (AccessTokenPage, error)
	// IssueAccessToken makes a token, durably, and returns its secret, which cannot be had again. Codes:
	// resource_already_exists, invalid, permission_denied.
	IssueAccessToken(ctx context.Context, req IssueAccessTokenRequest) (secret string, err error)
	// RevokeAccessToken ends a token: when it returns the token opens nothing any more, and the sessions that it has opened
	// are being closed. Codes: access_token_not_found, permission_denied.
	RevokeAccessToken(ctx context.Context, id AccessTokenID) error
	// ConfirmAccessToken makes a token count that was issued while nothing was checked; see [AccessTokenInfo].Unconfirmed. A token that
	// counts already stays as it is. It is for the root token alone. Codes: access_token_not_found, permission_denied.
	ConfirmAccessToken(ctx context.Context, id AccessTokenID) error
}

// MetricsService reports usage (control plane section 6). A resource that does not exist has no data; it is no error. Codes:
// bad_query for a set that the resource does not have; invalid for a time or interval that the set does not have.
type MetricsService interface {
	AccountMetrics(ctx context.Context, query MetricsQuery) ([]Metric, error)
	BasinMetrics(ctx context.Context, basin BasinName, query MetricsQuery) ([]Metric, error)
	StreamMetrics(ctx context.Context, ref StreamRef, query MetricsQuery) ([]Metric, error)
}

// LocationService manages the locations where basins can live (control plane section 7).
type LocationService interface {
	// ListLocations returns all locations, at least one.
	ListLocations(ctx context.Context) ([]LocationInfo, error)
	// DefaultLocation is where basins are made whose request names no location.
	DefaultLocation(ctx context.Context) (LocationInfo, error)
	// SetDefaultLocation changes that, durably, for basins made afterwards. Codes: invalid if there is no such location.
	SetDefaultLocation(ctx context.Context, name LocationName) (LocationInfo, error)
}

// AppendSession is a stream of appends, sequenced in the order of the Submit calls and answered in that order (data
// plane 3.8). One goroutine may submit while another receives.
type AppendSession interface {
	// Submit hands an input over. It blocks while the session has too many bytes in flight, until ctx ends. It does
	// not wait for the ack and reports only that the session is over; the reason comes from Recv. The session owns
	// the input's bytes until its ack.
	Submit(ctx context.Context, in AppendInput) error
	// Recv returns the next ack. After the first failure, and after all earlier acks, it returns that failure for
	// ever; after CloseSend and the last ack, io.EOF.
	Recv(ctx context.Context) (AppendAck, error)
	// CloseSend says that no input follows. Inputs submitted before are still stored and acknowledged.
	CloseSend() error
	// Close ends the session at once and frees its resources. Inputs in flight may or may not be stored.
	Close() error
}

// ReadSession is a stream of batches and heartbeats (data plane 4.5). Next may be called by one goroutine at a time;
// Close by any.
type ReadSession interface {
	// Next returns the next batch or heartbeat, and io.EOF at a clean end. A failure is final. The batch's memory
	// belongs to the caller.
	Next(ctx context.Context) (ReadBatch, error)
	// Close ends the session and frees its resources.
	Close() error
}
