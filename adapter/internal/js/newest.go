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
	token, ch := g.open(2)
	defer g.close(token, ch)
	if err := g.request(stream, token, []byte(`{"multi_last":["`+subject+`"],"batch":1,"max_bytes":1}`)); err != nil {
		return nil, 0, err
	}
	if m, err = await(ctx, ch); err != nil {
		return nil, 0, err
	}
	if _, err := answerStatus(m); err != nil {
		return nil, 0, err
	}
	end, err := await(ctx, ch)
	if err != nil {
		return nil, 0, err
	}
	n, err := strconv.ParseUint(LastValue(end.Header, "Nats-UpTo-Sequence"), 10, 64)
	if err != nil {
		return nil, 0, fmt.Errorf("the end of an answer has no sequence: %w", err)
	}
	return m, Seq(n), nil
}
