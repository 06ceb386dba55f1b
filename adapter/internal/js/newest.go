package js

import (
	"context"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
)

// Newest fetches the newest message of each of some subjects as one server of the stream knows them, and reports up to which sequence this
// server knew the stream then. A server may be behind the others, but its answer was true of the stream up to there. Subjects without
// a message are left out; it fails with [ErrNotFound] when none has one.
func (g *Getter) Newest(ctx context.Context, stream string, subjects ...string) (found []*nats.Msg, upTo Seq, err error) {
	token, ch := g.open(2*(len(subjects)+1), 0) // an answer of another attempt may come as well
	defer g.close(token, ch)
	body := newestRequest(subjects)
	ask := func() error { return g.request(stream, token, body) }
	if err := ask(); err != nil {
		return nil, 0, err
	}
	var at Seq // of the last of found; a message before the next one may be lost
	for {
		m, err := g.await(ctx, stream, ch, ask)
		if err != nil {
			return nil, 0, err
		}
		end, err := answerStatus(m)
		if err != nil {
			return nil, 0, err
		}
		if follows := before(m); follows == 0 {
			found, at = nil, 0
		} else if follows != at {
			found, at = nil, 0
			continue
		}
		if !end {
			if at, err = SeqOf(m); err != nil {
				return nil, 0, err
			}
			found = append(found, m)
			continue
		}
		if len(found) == 0 {
			continue
		}
		n, err := strconv.ParseUint(LastValue(m.Header, "Nats-UpTo-Sequence"), 10, 64)
		if err != nil {
			return nil, 0, fmt.Errorf("the end of an answer has no sequence: %w", err)
		}
		return found, Seq(n), nil
	}
}

func newestRequest(subjects []string) []byte {
	body := []byte(`{"multi_last":[`)
	for i, subject := range subjects {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(append(append(body, '"'), subject...), '"') // ours: nothing in it needs escaping
	}
	body = append(body, `],"max_bytes":`...)
	body = strconv.AppendInt(body, int64(len(subjects)*maxMessageBytes*2), 10)
	body = append(body, `,"batch":`...)
	return append(strconv.AppendInt(body, int64(len(subjects)), 10), '}')
}
