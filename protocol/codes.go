package protocol

// Code is the machine-readable reason of a failure. The set is closed: see codeTable.
type Code string

// The codes of data plane 8.13, and weir's own: CodeStreamClosed, CodeWriterSeqConflict and those of producers.
// CodeConditionFailed and CodeUnwritten stand for the two failures whose bodies carry facts in place of a code (data plane
// 8.12); they never appear on the wire.
const (
	CodeAccessTokenNotFound   Code = "access_token_not_found"
	CodeAuthn                 Code = "authn"
	CodeBadFrame              Code = "bad_frame"
	CodeBadHeader             Code = "bad_header"
	CodeBadJSON               Code = "bad_json"
	CodeBadPath               Code = "bad_path"
	CodeBadProto              Code = "bad_proto"
	CodeBadQuery              Code = "bad_query"
	CodeBasinDeletionPending  Code = "basin_deletion_pending"
	CodeBasinNotFound         Code = "basin_not_found"
	CodeClientHangup          Code = "client_hangup"
	CodeDecryptionFailed      Code = "decryption_failed"
	CodeHotServer             Code = "hot_server"
	CodeInvalid               Code = "invalid"
	CodeNotImplemented        Code = "not_implemented"
	CodeOther                 Code = "other"
	CodePermissionDenied      Code = "permission_denied"
	CodeProducerFenced        Code = "producer_fenced"
	CodeProducerGap           Code = "producer_gap"
	CodeProducerRepeated      Code = "producer_repeated"
	CodeQuotaExhausted        Code = "quota_exhausted"
	CodeRateLimited           Code = "rate_limited"
	CodeRequestTimeout        Code = "request_timeout"
	CodeResourceAlreadyExists Code = "resource_already_exists"
	CodeServerDraining        Code = "server_draining"
	CodeStorage               Code = "storage"
	CodeStreamClosed          Code = "stream_closed"
	CodeStreamDeletionPending Code = "stream_deletion_pending"
	CodeStreamNotFound        Code = "stream_not_found"
	CodeTransactionConflict   Code = "transaction_conflict"
	CodeUnavailable           Code = "unavailable"
	CodeWriterSeqConflict     Code = "writer_seq_conflict"
	CodeUpstreamTimeout       Code = "upstream_timeout"

	CodeConditionFailed Code = "condition_failed"
	CodeUnwritten       Code = "unwritten"
)

// codeFacts are the promises of a code. Status is a function of the code.
type codeFacts struct {
	status    int
	retryable bool // a client may retry
	clean     bool // nothing was applied, for sure
}

var codeTable = map[Code]codeFacts{
	CodeAccessTokenNotFound:   {404, false, true},
	CodeAuthn:                 {401, false, true},
	CodeBadFrame:              {400, false, true},
	CodeBadHeader:             {400, false, true},
	CodeBadJSON:               {400, false, true},
	CodeBadPath:               {400, false, true},
	CodeBadProto:              {400, false, true},
	CodeBadQuery:              {400, false, true},
	CodeBasinDeletionPending:  {409, false, true},
	CodeBasinNotFound:         {404, false, true},
	CodeClientHangup:          {499, false, false},
	CodeDecryptionFailed:      {400, false, true},
	CodeHotServer:             {502, true, true},
	CodeInvalid:               {422, false, true},
	CodeNotImplemented:        {501, false, true},
	CodeOther:                 {500, true, false},
	CodePermissionDenied:      {403, false, true},
	CodeProducerFenced:        {403, false, true},
	CodeProducerGap:           {409, false, true},
	CodeProducerRepeated:      {409, false, false}, // it had its effect the first time
	CodeQuotaExhausted:        {403, false, true},
	CodeRateLimited:           {429, true, true},
	CodeRequestTimeout:        {408, true, false},
	CodeResourceAlreadyExists: {409, false, true},
	CodeServerDraining:        {503, true, true},
	CodeStorage:               {500, true, false},
	CodeStreamClosed:          {409, false, true},
	CodeStreamDeletionPending: {409, false, true},
	CodeStreamNotFound:        {404, false, true},
	CodeTransactionConflict:   {409, true, true},
	CodeUnavailable:           {503, true, false},
	CodeWriterSeqConflict:     {409, false, true},
	CodeUpstreamTimeout:       {504, true, false},

	CodeConditionFailed: {412, false, true},
	CodeUnwritten:       {416, false, true},
}

// Known reports whether c is one of the codes above.
func (c Code) Known() bool { _, ok := codeTable[c]; return ok }

// Status is the HTTP status of the code; 500 for an unknown one.
func (c Code) Status() int {
	if f, ok := codeTable[c]; ok {
		return f.status
	}
	return 500
}

// Retryable reports whether a client may try the same request again.
func (c Code) Retryable() bool { return codeTable[c].retryable }

// Clean reports whether the code promises that the failed operation had no effect and never will.
func (c Code) Clean() bool { return codeTable[c].clean }
