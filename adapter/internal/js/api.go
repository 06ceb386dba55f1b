package js

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The subjects of the JetStream API that weir uses directly, because the client library's forms of them cost more or ask a
// replica that may be behind.
const (
	apiStreamInfo = "$JS.API.STREAM.INFO."
	apiMsgGet     = "$JS.API.STREAM.MSG.GET."
	apiPurge      = "$JS.API.STREAM.PURGE."
	apiDirectGet  = "$JS.API.DIRECT.GET."
)

// Timeout bounds one call of the JetStream API; it does not grow with the store.
const Timeout = 10 * time.Second

// Call makes a request of the JetStream API and decodes the answer into out, unless that is nil. in is nil for a request
// without a body. A request that may get lost is made again after [Attempt]: it must be one that may be carried out twice.
func Call(ctx context.Context, nc *nats.Conn, subject string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("encode request to %s: %w", subject, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	m, err := askAvailable(ctx, nc, subject, body)
	if err != nil {
		return fmt.Errorf("request %s: %w", subject, err)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(m.Data, out); err != nil {
		return fmt.Errorf("answer to %s: %w", subject, err)
	}
	return nil
}

// State is how much a JetStream stream holds.
type State struct {
	Messages uint64    `json:"messages"`
	FirstSeq Seq       `json:"first_seq"`
	LastSeq  Seq       `json:"last_seq"`
	LastTime time.Time `json:"last_ts"` // when its newest message was stored, also one that is removed
}

// StreamState asks the leader of a stream for its state, and waits for one while there is none. See [StreamMissing] for a stream that
// does not exist.
func StreamState(ctx context.Context, nc *nats.Conn, stream string) (State, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	for {
		var info struct {
			State   State `json:"state"`
			Cluster *struct {
				Leader string `json:"leader"`
				Group  string `json:"raft_group"` // "": a single server
			} `json:"cluster"`
		}
		err := Call(ctx, nc, apiStreamInfo+stream, nil, &info)
		if err != nil || info.Cluster == nil || info.Cluster.Group == "" || info.Cluster.Leader != "" {
			return info.State, err
		}
		// A server of a group without a leader answers with its own state, however old that is.
		select {
		case <-time.After(electionPause):
		case <-ctx.Done():
			return State{}, fmt.Errorf("state of %s: no server leads it: %w", stream, ctx.Err())
		}
	}
}

// Count asks the leader of a stream how many messages have a subject that matches filter. The cost grows with the number of
// such subjects.
func Count(ctx context.Context, nc *nats.Conn, stream, filter string) (messages uint64, err error) {
	err = Subjects(ctx, nc, stream, filter, func(_ string, n uint64) { messages += n })
	return messages, err
}

// Subjects asks the leader of a stream for the subjects that match filter, and yields each with the number of its messages. One
// that comes or goes meanwhile may be missed. The cost grows with the number of such subjects, and with its square beyond 100,000,
// which is how many an answer has.
func Subjects(ctx context.Context, nc *nats.Conn, stream, filter string, yield func(subject string, messages uint64)) error {
	for offset := 0; ; {
		var info struct {
			Total int `json:"total"` // subjects
			State struct {
				Subjects map[string]uint64 `json:"subjects"`
			} `json:"state"`
		}
		if err := Call(ctx, nc, apiStreamInfo+stream, map[string]any{"subjects_filter": filter, "offset": offset}, &info); err != nil {
			return err
		}
		for subject, n := range info.State.Subjects {
			yield(subject, n)
		}
		offset += len(info.State.Subjects)
		if len(info.State.Subjects) == 0 || offset >= info.Total {
			return nil
		}
	}
}

// Wanted says which message [LeaderGet] asks for: the one at Seq, the newest of a subject, or with NextFor the first of a
// subject at or after Seq.
type Wanted struct {
	Seq     Seq    `json:"seq,omitempty"`
	LastFor string `json:"last_by_subj,omitempty"`
	NextFor string `json:"next_by_subj,omitempty"`
}

// Message is a stored message.
type Message struct {
	Seq     Seq
	Subject string
	Header  nats.Header
	Data    []byte
	Time    string // when JetStream stored it, RFC 3339
}

// LeaderGet asks the leader of a stream for one message. It fails with [ErrNotFound] when there is none. When the header
// cannot be read, the message is returned with the error and without a header.
func LeaderGet(ctx context.Context, nc *nats.Conn, stream string, which Wanted) (Message, error) {
	var answer struct {
		Message struct {
			Subject string `json:"subject"`
			Seq     Seq    `json:"seq"`
			Hdrs    []byte `json:"hdrs"`
			Data    []byte `json:"data"`
			Time    string `json:"time"`
		} `json:"message"`
	}
	err := Call(ctx, nc, apiMsgGet+stream, which, &answer)
	if codeOf(err) == jetstream.JSErrCodeMessageNotFound {
		return Message{}, ErrNotFound
	}
	if err != nil {
		return Message{}, err
	}
	m := Message{Seq: answer.Message.Seq, Subject: answer.Message.Subject, Data: answer.Message.Data, Time: answer.Message.Time}
	if len(answer.Message.Hdrs) > 0 {
		if m.Header, err = nats.DecodeHeadersMsg(answer.Message.Hdrs); err != nil {
			return m, &HeaderError{err}
		}
	}
	return m, nil
}

// HeaderError says that the header of a stored message cannot be read.
type HeaderError struct{ Err error }

func (e *HeaderError) Error() string {
	return "the header of a stored message cannot be read: " + e.Err.Error()
}

func (e *HeaderError) Unwrap() error { return e.Err }

// Purge removes the messages of a stream whose subject matches filter: those below the sequence before, or with 0 all of
// them.
func Purge(ctx context.Context, nc *nats.Conn, stream, filter string, before Seq) error {
	return Call(ctx, nc, apiPurge+stream, struct {
		Filter string `json:"filter"`
		Before Seq    `json:"seq,omitempty"`
	}{filter, before}, nil)
}

// ParsePubAck reads the answer to a publication. The common one, {"stream":"…","seq":n}, is read without decoding JSON,
// because one comes for every chunk.
func ParsePubAck(m *nats.Msg) (Seq, error) {
	if seq, ok := plainPubAck(m.Data); ok {
		return seq, nil
	}
	if len(m.Data) == 0 {
		return 0, fmt.Errorf("a publication was answered with status %q", m.Header.Get("Status"))
	}
	var ack struct {
		Seq   Seq                 `json:"seq"`
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &ack); err != nil {
		return 0, fmt.Errorf("a publication was answered with %.100q: %w", m.Data, err)
	}
	if ack.Error != nil {
		return 0, reportedError{ack.Error}
	}
	return ack.Seq, nil
}

// plainPubAck reads {"stream":"…","seq":n} and nothing else.
func plainPubAck(data []byte) (Seq, bool) {
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
	var seq Seq
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		seq = 10*seq + Seq(c-'0')
	}
	return seq, true
}
