package protocol_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/weirstream/weir/protocol"
)

func TestErrorBodyA16(t *testing.T) {
	tail := protocol.Position{SeqNum: 0, Timestamp: 0}
	for _, c := range []struct {
		name string
		err  *protocol.Error
		body string
	}{
		{"A.16/327 416 body", protocol.Unwritten(tail), `{"tail":{"seq_num":0,"timestamp":0}}`},
		{"A.16/328 412 body, seq_num", protocol.SeqNumMismatch(1), `{"seq_num_mismatch":1}`},
		{"A.16/328 412 body, largest seq_num", protocol.SeqNumMismatch(1<<64 - 1), `{"seq_num_mismatch":18446744073709551615}`},
		{"A.16/328 412 body, token", protocol.FencingTokenMismatch("a\"\n"), `{"fencing_token_mismatch":"a\"\n"}`},
		{"A.16/328 412 body, empty token", protocol.FencingTokenMismatch(""), `{"fencing_token_mismatch":""}`},
		{"8.12 standard body", protocol.Errorf(protocol.CodeInvalid, "no <%s>", "\x01"), `{"code":"invalid","message":"no <\u0001>"}`},
		{"8.12 the cause stays home", protocol.Wrap(protocol.CodeStorage, errors.New("/secret"), "cannot write"), `{"code":"storage","message":"cannot write"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := c.err.Body()
			if string(body) != c.body {
				t.Fatalf("got %s, want %s", body, c.body)
			}
			got := protocol.ParseError(c.err.Status(), body)
			if string(got.Body()) != c.body || got.Code != c.err.Code || got.Message != c.err.Message || got.RemoteStatus != 0 {
				t.Fatalf("parsed %+v, want %+v", got, c.err)
			}
		})
	}
}

func TestParseErrorOfOthers(t *testing.T) {
	for _, c := range []struct {
		name         string
		status       int
		body         string
		code         protocol.Code
		remote       int
		retry, clean bool
	}{
		{"unknown code is judged by its status", 503, `{"code":"new_thing","message":"m"}`, "new_thing", 503, true, false},
		{"unknown code with a final status", 409, `{"code":"new_thing","message":"m"}`, "new_thing", 409, false, false},
		{"known code with another status is not retried", 500, `{"code":"rate_limited","message":"m"}`, protocol.CodeRateLimited, 500, false, false},
		{"control plane 8.4 unknown path", 404, `{"code":"bad_path","message":"m"}`, protocol.CodeBadPath, 404, false, false},
		{"unknown members are ignored", 422, `{"code":"invalid","message":"m","hint":[1]}`, protocol.CodeInvalid, 0, false, true},
		{"no message", 422, `{"code":"invalid"}`, protocol.CodeInvalid, 0, false, true},
		{"a page of a proxy, 503", 503, `<html>`, protocol.CodeUnavailable, 0, true, false},
		{"a page of a proxy, 502", 502, `<html>`, protocol.CodeOther, 502, true, false},
		{"a page of a proxy, 504", 504, ``, protocol.CodeUpstreamTimeout, 0, true, false},
		{"a page of a proxy, 404", 404, `not found`, protocol.CodeOther, 404, false, false},
		{"JSON of another kind", 500, `{"error":"x"}`, protocol.CodeOther, 0, true, false},
		{"JSON that is no object", 500, `"x"`, protocol.CodeOther, 0, true, false},
		{"412 without its facts", 412, `{}`, protocol.CodeOther, 412, false, false},
		{"416 without its facts", 416, `{"tail":{"seq_num":-1,"timestamp":0}}`, protocol.CodeOther, 416, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := protocol.ParseError(c.status, []byte(c.body))
			if e.Code != c.code || e.RemoteStatus != c.remote || e.Status() != c.status {
				t.Errorf("got code %s, remote status %d, status %d", e.Code, e.RemoteStatus, e.Status())
			}
			if e.Retryable() != c.retry || e.Clean() != c.clean {
				t.Errorf("retryable %v, clean %v", e.Retryable(), e.Clean())
			}
		})
	}
	e := protocol.ParseError(500, []byte(strings.Repeat("x", 5000)))
	if len(e.Message) > 400 || !strings.Contains(e.Message, "not an error in JSON") {
		t.Errorf("message of %d bytes: %.100s", len(e.Message), e.Message)
	}
}
