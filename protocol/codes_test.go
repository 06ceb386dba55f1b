package protocol_test

import (
	"testing"

	"github.com/weirstream/weir/protocol"
)

// TestCodes walks every code of data plane 8.13: its spelling on the wire, its status and its two promises.
func TestCodes(t *testing.T) {
	const retry, clean = true, true
	for _, c := range []struct {
		code   protocol.Code
		wire   string
		status int
		retry  bool
		clean  bool
	}{
		{protocol.CodeAccessTokenNotFound, "access_token_not_found", 404, !retry, clean},
		{protocol.CodeAuthn, "authn", 401, !retry, clean},
		{protocol.CodeBadFrame, "bad_frame", 400, !retry, clean},
		{protocol.CodeBadHeader, "bad_header", 400, !retry, clean},
		{protocol.CodeBadJSON, "bad_json", 400, !retry, clean},
		{protocol.CodeBadPath, "bad_path", 400, !retry, clean},
		{protocol.CodeBadProto, "bad_proto", 400, !retry, clean},
		{protocol.CodeBadQuery, "bad_query", 400, !retry, clean},
		{protocol.CodeBasinDeletionPending, "basin_deletion_pending", 409, !retry, clean},
		{protocol.CodeBasinNotFound, "basin_not_found", 404, !retry, clean},
		{protocol.CodeClientHangup, "client_hangup", 499, !retry, !clean},
		{protocol.CodeDecryptionFailed, "decryption_failed", 400, !retry, clean},
		{protocol.CodeHotServer, "hot_server", 502, retry, clean},
		{protocol.CodeInvalid, "invalid", 422, !retry, clean},
		{protocol.CodeNotImplemented, "not_implemented", 501, !retry, clean},
		{protocol.CodeOther, "other", 500, retry, !clean},
		{protocol.CodePermissionDenied, "permission_denied", 403, !retry, clean},
		{protocol.CodeQuotaExhausted, "quota_exhausted", 403, !retry, clean},
		{protocol.CodeRateLimited, "rate_limited", 429, retry, clean},
		{protocol.CodeRequestTimeout, "request_timeout", 408, retry, !clean},
		{protocol.CodeResourceAlreadyExists, "resource_already_exists", 409, !retry, clean},
		{protocol.CodeServerDraining, "server_draining", 503, retry, clean},
		{protocol.CodeStorage, "storage", 500, retry, !clean},
		{protocol.CodeStreamDeletionPending, "stream_deletion_pending", 409, !retry, clean},
		{protocol.CodeStreamNotFound, "stream_not_found", 404, !retry, clean},
		{protocol.CodeTransactionConflict, "transaction_conflict", 409, retry, clean},
		{protocol.CodeUnavailable, "unavailable", 503, retry, !clean},
		{protocol.CodeUpstreamTimeout, "upstream_timeout", 504, retry, !clean},
		{protocol.CodeConditionFailed, "condition_failed", 412, !retry, clean},
		{protocol.CodeUnwritten, "unwritten", 416, !retry, clean},
	} {
		t.Run(c.wire, func(t *testing.T) {
			if string(c.code) != c.wire || !c.code.Known() || c.code.Status() != c.status {
				t.Errorf("%s: known %v, status %d, want %s %d", c.code, c.code.Known(), c.code.Status(), c.wire, c.status)
			}
			if c.code.Retryable() != c.retry || c.code.Clean() != c.clean {
				t.Errorf("retryable %v, clean %v", c.code.Retryable(), c.code.Clean())
			}
			e := protocol.ParseError(c.status, protocol.Errorf(c.code, "why: %d", 7).Body())
			if e.Code != c.code || e.Message != "why: 7" || e.RemoteStatus != 0 || e.Status() != c.status {
				t.Errorf("after the wire: %+v", e)
			}
			if e.Retryable() != c.retry || e.Clean() != c.clean {
				t.Errorf("after the wire: retryable %v, clean %v", e.Retryable(), e.Clean())
			}
		})
	}
	if c := protocol.Code("teapot"); c.Known() || c.Status() != 500 || c.Retryable() || c.Clean() {
		t.Errorf("an unknown code promises something")
	}
}
