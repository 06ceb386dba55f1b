package js

import (
	"context"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
)

// Newest fetches the newest message of a subject as one server of the stream knows it, and reports up to which sequence this
// server knew the stream then. A server may be behind the others, but its answer was true of the stream up to there. It fails
// with [ErrNotFound] when there is none.
func (g *Getter) Newest(ctx context.Context, stream, subject string) (m *nats.Msg, upTo Seq, err error) {
	token, ch := g.open(2, 0)
	defer g.close(token, ch)
	body := []byte(`{"multi_last":["` + subject + `"],"batch":1,"max_bytes":1}`)
	ask := func() error { return g.request(stream, token, body) }
	if err := ask(); err != nil {
		return nil, 0, err
	}
	var at Seq // of m
	for {
		next, err := g.await(ctx, stream, ch, ask)
		if err != nil {
			return nil, 0, err
		}
		end, err := answerStatus(next)
		switch {
		case err != nil:
			return nil, 0, err
		case !end:
			if at, err = SeqOf(next); err != nil {
				return nil, 0, err
			}
			m = next
			continue
		case m == nil || at != before(next):
			continue // the message before this end was lost: it was that of another attempt
		}
		n, err := strconv.ParseUint(LastValue(next.Header, "Nats-UpTo-Sequence"), 10, 64)
		if err != nil {
			return nil, 0, fmt.Errorf("the end of an answer has no sequence: %w", err)
		}
		return m, Seq(n), nil
	}
}
