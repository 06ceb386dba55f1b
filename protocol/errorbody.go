package protocol

import (
	"net/http"
	"strconv"

	"github.com/weirstream/weir/internal/strictjson"
)

// Body is the JSON that reports the error to a client (data plane 8.12): {"code","message"}, or for the two failures that
// carry facts {"seq_num_mismatch": u64}, {"fencing_token_mismatch": "token"} or {"tail": {...}}. That of stream_closed has its
// tail beside code and message, those of producers current_epoch, expected_seq and received_seq. It never holds the cause.
func (e *Error) Body() []byte {
	switch {
	case e.Code == CodeConditionFailed && e.SeqNumMismatch != nil:
		return append(strconv.AppendUint([]byte(`{"seq_num_mismatch":`), *e.SeqNumMismatch, 10), '}')
	case e.Code == CodeConditionFailed && e.FencingTokenMismatch != nil:
		return append(appendJSONText([]byte(`{"fencing_token_mismatch":`), *e.FencingTokenMismatch), '}')
	case e.Code == CodeUnwritten && e.Tail != nil:
		return EncodeTailJSON(StreamTail{Position: *e.Tail})
	}
	dst := appendJSONText([]byte(`{"code":`), e.Code)
	dst = appendJSONText(append(dst, `,"message":`...), e.Message)
	if e.Code == CodeStreamClosed && e.Tail != nil {
		dst = e.Tail.appendJSON(append(dst, `,"tail":`...))
	}
	if p := e.Producer; p != nil {
		if p.Epoch != nil {
			dst = strconv.AppendUint(append(dst, `,"current_epoch":`...), *p.Epoch, 10)
		}
		if e.Code != CodeProducerFenced {
			dst = strconv.AppendUint(append(dst, `,"expected_seq":`...), p.Expected, 10)
			dst = strconv.AppendUint(append(dst, `,"received_seq":`...), p.Received, 10)
		}
	}
	return append(dst, '}')
}

// Retryable reports whether the same request may be tried again. An error with a code that this version does not know
// is classified by its status; a known code that came with a status not its own is not retried (control plane 8.2).
func (e *Error) Retryable() bool {
	switch {
	case e.RemoteStatus == 0:
		return e.Code.Retryable()
	case e.Code.Known() && e.Code != CodeOther:
		return false
	}
	switch e.RemoteStatus {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// Clean reports whether the failed operation certainly had no effect, so that even an append without conditions may be
// tried again.
func (e *Error) Clean() bool { return e.RemoteStatus == 0 && e.Code.Clean() }

// ParseError is the inverse of [Error.Body] and [Error.Status], for clients. A code that is unknown, or that came with
// a status not its own, is kept beside RemoteStatus. A body in no known form, such as a proxy's page, gives code
// unavailable, upstream_timeout, request_timeout or other by the status, and a message that says so.
func ParseError(status int, body []byte) *Error {
	e, err := parseErrorBody(status, body)
	if err != nil {
		e = Wrap(codeOfStatus(status), err, "the server answered status "+strconv.Itoa(status)+
			" with a body that is not an error in JSON: "+strconv.Quote(string(truncate(body, 200))))
	}
	if e.Code.Status() != status || !e.Code.Known() {
		e.RemoteStatus = status
	}
	return e
}

func parseErrorBody(status int, body []byte) (*Error, error) {
	var f errorFacts
	if err := readWhole(body, &f); err != nil {
		return nil, err
	}
	switch {
	case status == CodeConditionFailed.Status() && f.seqNum != nil:
		return SeqNumMismatch(*f.seqNum), nil
	case status == CodeConditionFailed.Status() && f.token != nil:
		return FencingTokenMismatch(*f.token), nil
	case status == CodeUnwritten.Status() && f.tail != nil:
		return Unwritten(*f.tail), nil
	case f.code != nil && *f.code != "":
		e := &Error{Code: Code(*f.code)}
		if f.message != nil {
			e.Message = *f.message
		}
		if e.Code == CodeStreamClosed {
			e.Tail = f.tail
		}
		if f.producer != (ProducerMismatch{}) {
			e.Producer = &f.producer
		}
		return e, nil
	}
	return nil, Errorf(CodeBadJSON, "code: is required")
}

// codeOfStatus picks a code that promises nothing the status does not: never one that is clean.
func codeOfStatus(status int) Code {
	switch status {
	case http.StatusServiceUnavailable:
		return CodeUnavailable
	case http.StatusGatewayTimeout:
		return CodeUpstreamTimeout
	case http.StatusRequestTimeout:
		return CodeRequestTimeout
	}
	return CodeOther
}

// errorFacts is every member that an error's body may have.
type errorFacts struct {
	code, message, token *string
	seqNum               *uint64
	tail                 *Position
	producer             ProducerMismatch
}

func (f *errorFacts) readJSON(r *strictjson.Reader) error {
	return r.Object(func(name []byte) error {
		switch string(name) {
		case "code":
			return strictjson.IntoOptional(r, &f.code, (*strictjson.Reader).Text)
		case "message":
			return strictjson.IntoOptional(r, &f.message, (*strictjson.Reader).Text)
		case "seq_num_mismatch":
			return strictjson.IntoOptional(r, &f.seqNum, (*strictjson.Reader).Uint)
		case "fencing_token_mismatch":
			return strictjson.IntoOptional(r, &f.token, (*strictjson.Reader).Text)
		case "tail":
			return strictjson.IntoOptional(r, &f.tail, readPosition)
		case "current_epoch":
			return strictjson.IntoOptional(r, &f.producer.Epoch, (*strictjson.Reader).Uint)
		case "expected_seq":
			return strictjson.IntoUnlessNull(r, &f.producer.Expected, (*strictjson.Reader).Uint)
		case "received_seq":
			return strictjson.IntoUnlessNull(r, &f.producer.Received, (*strictjson.Reader).Uint)
		}
		return r.Skip()
	})
}
