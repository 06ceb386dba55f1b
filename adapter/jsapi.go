package adapter

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/protocol/chunk"
)

// The JetStream API subjects that are used directly, because the client library's forms of them cost more or ask a
// replica that may be behind.
const (
	apiStreamInfo = "$JS.API.STREAM.INFO."
	apiMsgGet     = "$JS.API.STREAM.MSG.GET."
	apiPurge      = "$JS.API.STREAM.PURGE."
	apiDirectGet  = "$JS.API.DIRECT.GET."
)

// JetStream error codes (jetstream-notes, "Errors"). The first two mean that the expected last sequence does not hold,
// the last three that a limit of the server or the account is reached.
const (
	jsWrongLastSequence         = 10071
	jsWrongLastSequenceConstant = 10164
	jsTooManyRequests           = 10167
	jsNoMessageFound            = 10037
	jsInsufficientResources     = 10023
	jsMemoryExceeded            = 10028
	jsStorageExceeded           = 10047
	jsStreamNotFound            = 10059
)

// apiError is a failure that JetStream reports.
type apiError struct {
	Code        int    `json:"code"`
	ErrCode     int    `json:"err_code"`
	Description string `json:"description"`
}

func (e *apiError) Error() string {
	switch e.ErrCode {
	case jsInsufficientResources, jsMemoryExceeded, jsStorageExceeded:
		return fmt.Sprintf("the storage is full: %s (JetStream error %d)", e.Description, e.ErrCode)
	}
	return fmt.Sprintf("%s (JetStream error %d)", e.Description, e.ErrCode)
}

// refused reports whether err is JetStream's word that it could not store a message, for want of room or because its
// store failed, rather than that a sequence did not match or that it was busy.
func refused(err error) bool {
	var e *apiError
	if !errors.As(err, &e) {
		return false
	}
	switch e.ErrCode {
	case jsWrongLastSequence, jsWrongLastSequenceConstant, jsTooManyRequests:
		return false
	}
	return true
}

// streamMissing reports whether err is JetStream's word that there is no such stream.
func streamMissing(err error) bool {
	var e *apiError
	return errors.As(err, &e) && e.ErrCode == jsStreamNotFound
}

// parsePubAck reads the answer to a publication. The common one, {"stream":"…","seq":n}, is read without decoding JSON:
// it comes once for every chunk.
func parsePubAck(m *nats.Msg) (jsSeq, error) {
	if seq, ok := plainPubAck(m.Data); ok {
		return seq, nil
	}
	if len(m.Data) == 0 {
		return 0, fmt.Errorf("publication answered with status %q", m.Header.Get("Status"))
	}
	var ack struct {
		Seq   jsSeq     `json:"seq"`
		Error *apiError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &ack); err != nil {
		return 0, fmt.Errorf("publication answered with %.100q: %w", m.Data, err)
	}
	if ack.Error != nil {
		return 0, ack.Error
	}
	return ack.Seq, nil
}

// plainPubAck reads {"stream":"…","seq":n} and nothing else.
func plainPubAck(data []byte) (jsSeq, bool) {
	rest, ok := bytes.CutPrefix(data, []byte(`{"stream":"`))
	if !ok {
		return 0, false
	}
	name, rest, ok := bytes.Cut(rest, []byte(`","seq":`))
	if !ok || bytes.IndexByte(name, '"') >= 0 {
		return 0, false
	}
	digits, ok := bytes.CutSuffix(rest, []byte("}"))
	if !ok || len(digits) == 0 || len(digits) > 18 {
		return 0, false
	}
	var seq jsSeq
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		seq = 10*seq + jsSeq(c-'0')
	}
	return seq, true
}

// apiTimeout bounds one call of the JetStream API; it does not grow with the store.
const apiTimeout = 10 * time.Second

// call makes a request of the JetStream API and decodes the answer into out.
func call(ctx context.Context, nc *nats.Conn, subject string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("encode request to %s: %w", subject, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	m, err := nc.RequestWithContext(ctx, subject, body)
	if err != nil {
		return fmt.Errorf("request %s: %w", subject, err)
	}
	var failure struct {
		Error *apiError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &failure); err != nil {
		return fmt.Errorf("answer to %s: %w", subject, err)
	}
	if failure.Error != nil {
		return fmt.Errorf("request %s: %w", subject, failure.Error)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(m.Data, out); err != nil {
		return fmt.Errorf("answer to %s: %w", subject, err)
	}
	return nil
}

// lastSeq asks the log's leader for its last sequence.
func (l *log) lastSeq(ctx context.Context) (jsSeq, error) {
	var info struct {
		State struct {
			LastSeq jsSeq `json:"last_seq"`
		} `json:"state"`
	}
	err := call(ctx, l.a.manage, apiStreamInfo+l.name, nil, &info)
	return info.State.LastSeq, err
}

// msgGet asks for one message: by sequence, the newest of a subject, or the first of a subject at or after a sequence.
type msgGet struct {
	Seq     jsSeq  `json:"seq,omitempty"`
	LastFor string `json:"last_by_subj,omitempty"`
	NextFor string `json:"next_by_subj,omitempty"`
}

// leaderGet asks the log's leader for one chunk; errNotFound when there is no such message.
func (l *log) leaderGet(ctx context.Context, what msgGet) (stored, error) {
	var got struct {
		Message struct {
			Seq  jsSeq  `json:"seq"`
			Hdrs []byte `json:"hdrs"`
			Data []byte `json:"data"`
			Time string `json:"time"`
		} `json:"message"`
	}
	err := call(ctx, l.a.manage, apiMsgGet+l.name, what, &got)
	var e *apiError
	if errors.As(err, &e) && e.ErrCode == jsNoMessageFound {
		return stored{}, errNotFound
	}
	if err != nil {
		return stored{}, err
	}
	m := got.Message
	h, err := nats.DecodeHeadersMsg(m.Hdrs)
	if err != nil {
		return stored{}, errStoredChunk(l, m.Seq, err)
	}
	c, err := chunk.Decode(h.Get(chunk.Header), m.Data)
	if err != nil {
		return stored{}, errStoredChunk(l, m.Seq, err)
	}
	return stored{m.Seq, c, m.Time}, nil
}

// purge removes the chunks of a subject below seq; with seq 0 all of them.
func (l *log) purge(ctx context.Context, subject string, seq jsSeq) error {
	req := map[string]any{"filter": subject}
	if seq > 0 {
		req["seq"] = seq
	}
	return call(ctx, l.a.manage, apiPurge+l.name, req, nil)
}
