package js

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
)

// directGets lets script answer the direct gets, over a connection that may lose requests. script gets the number of the
// request, from 1. Of all streams only "s" exists.
func directGets(t *testing.T, script func(n int, ask *nats.Msg)) *Getter {
	t.Helper()
	nc := connect(t, false)
	n := 0
	if _, err := nc.Subscribe(apiDirectGet+"*", func(m *nats.Msg) { n++; script(n, m) }); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Subscribe(apiStreamInfo+"*", func(m *nats.Msg) {
		info := `{"state":{"messages":4}}`
		if m.Subject != apiStreamInfo+"s" {
			info = `{"error":{"code":404,"err_code":10059,"description":"stream not found"}}`
		}
		if err := m.Respond([]byte(info)); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	g, err := NewGetter(nc)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// stored are the sequences of the messages of a stream.
var stored = []int{1, 2, 5, 6}

// respond answers a batched get of the stored messages as JetStream does: each names the one before it.
func respond(t *testing.T, ask *nats.Msg) {
	t.Helper()
	var request struct {
		Seq int `json:"seq"`
	}
	if err := json.Unmarshal(ask.Data, &request); err != nil {
		t.Error(err)
	}
	last := 0
	for _, seq := range stored {
		if seq >= request.Seq {
			respondOne(t, ask, seq, last)
			last = seq
		}
	}
	if last == 0 {
		respondStatus(t, ask, "404")
		return
	}
	respondEnd(t, ask, last)
}

func respondOne(t *testing.T, ask *nats.Msg, seq, last int) {
	t.Helper()
	m := &nats.Msg{Data: []byte("x"), Header: nats.Header{"Nats-Sequence": {fmt.Sprint(seq)}, "Nats-Last-Sequence": {fmt.Sprint(last)}}}
	if err := ask.RespondMsg(m); err != nil {
		t.Error(err)
	}
}

func respondEnd(t *testing.T, ask *nats.Msg, last int) {
	t.Helper()
	m := &nats.Msg{Header: nats.Header{"Status": {"204"}, "Nats-Last-Sequence": {fmt.Sprint(last)}, "Nats-UpTo-Sequence": {fmt.Sprint(100 + last)}}}
	if err := ask.RespondMsg(m); err != nil {
		t.Error(err)
	}
}

func respondStatus(t *testing.T, ask *nats.Msg, status string) {
	t.Helper()
	if err := ask.RespondMsg(&nats.Msg{Header: nats.Header{"Status": {status}}}); err != nil {
		t.Error(err)
	}
}

// Whatever of a direct get is lost on the way, the answer is whole, and nothing is in it twice.
func TestDirectGetsThatGetLostAreMadeAgain(t *testing.T) {
	cases := map[string]func(n int, ask *nats.Msg){
		"nothing": func(_ int, ask *nats.Msg) { respond(t, ask) },
		"the request": func(n int, ask *nats.Msg) {
			if n > 1 {
				respond(t, ask)
			}
		},
		"the end": func(n int, ask *nats.Msg) {
			if n > 1 {
				respond(t, ask)
				return
			}
			respondOne(t, ask, 1, 0)
			respondOne(t, ask, 2, 1)
			respondOne(t, ask, 5, 2)
			respondOne(t, ask, 6, 5)
		},
		"messages in the middle": func(n int, ask *nats.Msg) {
			if n > 1 {
				respond(t, ask)
				return
			}
			respondOne(t, ask, 1, 0)
			respondOne(t, ask, 6, 5)
			respondEnd(t, ask, 6)
		},
		"messages before the end": func(n int, ask *nats.Msg) {
			if n > 1 {
				respond(t, ask)
				return
			}
			respondOne(t, ask, 1, 0)
			respondOne(t, ask, 2, 1)
			respondEnd(t, ask, 6)
		},
		"nothing, but the answer comes after the second request": func() func(n int, ask *nats.Msg) {
			var first *nats.Msg
			return func(n int, ask *nats.Msg) {
				switch n {
				case 1:
					first = ask
				case 2:
					respondOne(t, first, 1, 0)
					respondOne(t, ask, 1, 0)
					respondOne(t, ask, 2, 1)
					respondOne(t, first, 2, 1)
					respondOne(t, first, 5, 2)
					respondOne(t, ask, 5, 2)
					respondOne(t, ask, 6, 5)
					respondEnd(t, first, 6)
				default:
					respond(t, ask)
				}
			}
		}(),
		"the stream's servers, for a while": func(n int, ask *nats.Msg) {
			if n < 3 {
				respondStatus(t, ask, "503")
				return
			}
			respond(t, ask)
		},
	}
	for lost, script := range cases {
		t.Run(lost, func(t *testing.T) {
			t.Parallel()
			g := directGets(t, script)
			var got []int
			none, err := g.All(t.Context(), "s", Request{Seq: 1, Count: 10, MaxBytes: 100}, func(m *nats.Msg) error {
				seq, err := SeqOf(m)
				got = append(got, int(seq))
				return err
			})
			if err != nil || none || !slices.Equal(got, stored) {
				t.Errorf("got %v, none: %v, error: %v", got, none, err)
			}
		})
	}
}

func TestSingleDirectGetsThatGetLostAreMadeAgain(t *testing.T) {
	t.Parallel()
	g := directGets(t, func(n int, ask *nats.Msg) {
		switch n {
		case 1: // lost
		case 2:
			respondStatus(t, ask, "503")
		default:
			respondOne(t, ask, 7, 0)
			respondOne(t, ask, 7, 0)
		}
	})
	for range 2 {
		m, err := g.One(t.Context(), "s", LastRequest("x"))
		if err != nil {
			t.Fatal(err)
		}
		if seq, err := SeqOf(m); seq != 7 || err != nil {
			t.Errorf("got %d, %v", seq, err)
		}
	}
}

// The end of one attempt's answer says nothing about the message of another one's.
func TestNewestThatGetsLostIsAskedForAgain(t *testing.T) {
	t.Parallel()
	g := directGets(t, func(n int, ask *nats.Msg) {
		switch n {
		case 1:
			respondOne(t, ask, 7, 0)
		case 2:
			respondEnd(t, ask, 9)
		default:
			respondOne(t, ask, 9, 0)
			respondEnd(t, ask, 9)
		}
	})
	m, upTo, err := g.Newest(t.Context(), "s", "x")
	if err != nil {
		t.Fatal(err)
	}
	if len(m) != 1 || upTo != 109 {
		t.Fatalf("got %d messages up to %d", len(m), upTo)
	}
	if seq, err := SeqOf(m[0]); seq != 9 || err != nil {
		t.Errorf("got %d, %v", seq, err)
	}
}

// A stream that is gone is reported at once, one whose servers are away is not waited for for ever, and the end of a context
// is not waited out.
func TestDirectGetsEnd(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	g := directGets(t, func(n int, ask *nats.Msg) {
		asked.Store(int32(n))
		respondStatus(t, ask, "503")
	})
	if _, err := g.One(t.Context(), "other", LastRequest("x")); !NoResponders(err) || asked.Load() != 1 {
		t.Errorf("of a stream that does not exist: %v, asked %d times", err, asked.Load())
	}
	if _, err := g.One(t.Context(), "s", LastRequest("x")); !NoResponders(err) || asked.Load() < 3 {
		t.Errorf("of a stream without servers: %v, asked %d times", err, asked.Load())
	}
	g = directGets(t, func(_ int, ask *nats.Msg) { respondStatus(t, ask, "404") })
	b, err := g.Batch(t.Context(), "s", Request{Seq: 1, Count: 10, MaxBytes: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := b.Next(t.Context()); !errors.Is(err, ErrNotFound) || errors.Is(err, io.EOF) {
		t.Errorf("of an empty stream: %v", err)
	}
	g = directGets(t, func(int, *nats.Msg) {})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.One(ctx, "s", LastRequest("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("of a context that has ended: %v", err)
	}
}

// What has arrived keeps no other reader waiting, however long its own does not take it. What was asked for ahead counts until it is
// given back.
func TestReadersThatDoNotGoOnKeepNobodyWaiting(t *testing.T) {
	t.Parallel()
	g := directGets(t, func(_ int, ask *nats.Msg) { respond(t, ask) })
	request := Request{Seq: 1, Count: 10, MaxBytes: MaxBatchBytes}
	for range 100 {
		b, err := g.Batch(t.Context(), "s", request)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if _, err := b.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var ahead []*Batch
	for {
		b, err := g.Ahead("s", request)
		if err != nil {
			t.Fatal(err)
		}
		if b == nil {
			break
		}
		ahead = append(ahead, b)
		for err == nil {
			_, err = b.Next(t.Context())
		}
	}
	if want := int(aheadBudget / request.cost()); len(ahead) != want {
		t.Errorf("%d batches were fetched ahead, want %d", len(ahead), want)
	}
	ahead[0].Close()
	ahead[0].Close()
	if b, err := g.Ahead("s", request); b == nil || err != nil {
		t.Errorf("room that was given back: %v", err)
	} else {
		b.Close()
	}
	for _, b := range ahead {
		b.Close()
	}
	// What was given up before it came gives its room back, once.
	for range 100 {
		b, err := g.Batch(t.Context(), "s", request)
		if err != nil {
			t.Fatal(err)
		}
		b.Close()
	}
	// The answers come in the order of the requests: none is under way behind this one.
	if _, err := g.All(t.Context(), "s", request, func(*nats.Msg) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if !g.ahead.TryAcquire(aheadBudget) || !g.budget.TryAcquire(getBudget) {
		t.Error("something was not given back")
	}
}
