package protocol

import "time"

// Limits of the S2 data and control plane. Source: data-plane specification section 1, control-plane
// specification section 1.1, unless a line says otherwise.
const (
	// MaxBatchRecords is the largest number of records in one append or read batch, inclusive.
	MaxBatchRecords = 1000
	// MaxBatchBytes is the largest metered size of one append or read batch, and of one record, inclusive.
	MaxBatchBytes = 1 << 20
	// MaxFencingTokenBytes is the longest fencing token, in UTF-8 bytes.
	MaxFencingTokenBytes = 36
	// MaxRecordHeaders is the largest number of headers of one record.
	MaxRecordHeaders = 0xFFFFFF

	// MinBasinNameBytes and MaxBasinNameBytes bound a basin name.
	MinBasinNameBytes = 8
	MaxBasinNameBytes = 48
	// MaxStreamNameBytes bounds a stream name; it has at least one byte.
	MaxStreamNameBytes = 512
	// MaxAccessTokenIDBytes bounds the id of an access token; it has at least one byte.
	MaxAccessTokenIDBytes = 96
	// MaxStorageClassBytes bounds the name of a storage class. The limit is weir's own: S2 bounds only the request.
	MaxStorageClassBytes = 64
	// MaxLocationNameBytes bounds a location name; it has at least one byte.
	MaxLocationNameBytes = 64
	// MaxRequestTokenBytes bounds the idempotency token of a create request.
	MaxRequestTokenBytes = 36

	// MaxListLimit is the largest page of a listing, and the default (control plane 1.3).
	MaxListLimit = 1000

	// MaxUnaryWait is the longest time that a unary read waits for records; a longer wait is lowered to it.
	MaxUnaryWait = 60 * time.Second
	// MinHeartbeatGap (inclusive) and MaxHeartbeatGap (exclusive) bound the random gap between heartbeats of a
	// following session.
	MinHeartbeatGap = 5 * time.Second
	MaxHeartbeatGap = 15 * time.Second
	// MinFollowLag is the number of append batches that a follower may fall behind before it is sent back to
	// reading from storage (data plane 4.10).
	MinFollowLag = 25

	// MaxRequestBytes bounds the body of a unary request after content decoding (data plane 8.11).
	MaxRequestBytes = 2 << 20
)
