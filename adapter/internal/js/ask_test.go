package js

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func connect(t *testing.T, inProcess bool) *nats.Conn {
	t.Helper()
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(time.Minute) {
		t.Fatal("the server is not ready")
	}
	url, opts := srv.ClientURL(), []nats.Option(nil)
	if inProcess {
		url, opts = "", []nats.Option{nats.InProcessServer(srv)}
	}
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// A group without a leader does not answer; one that has elected a leader does not know of requests from before.
func TestRequestsThatGetLostAreMadeAgain(t *testing.T) {
	nc := connect(t, false)
	var asked atomic.Int32
	if _, err := nc.Subscribe("group", func(m *nats.Msg) {
		if asked.Add(1) > 2 {
			m.Respond([]byte("{}"))
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := Call(t.Context(), nc, "group", nil, nil); err != nil {
		t.Fatal(err)
	}
	if n := asked.Load(); n < 3 { // more on a machine that is busy
		t.Errorf("asked %d times", n)
	}
}

// A server that takes long is not given up when it was asked again meanwhile.
func TestAnswerToAnEarlierAttemptCounts(t *testing.T) {
	nc := connect(t, false)
	first := make(chan *nats.Msg, 100)
	if _, err := nc.Subscribe("slow", func(m *nats.Msg) {
		select {
		case first <- m:
		default:
		}
		if len(first) == 2 {
			(<-first).Respond([]byte("{}"))
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := Call(t.Context(), nc, "slow", nil, nil); err != nil {
		t.Fatal(err)
	}
}

// While JetStream elects a leader it may say so at once.
func TestRequestsAreMadeAgainWhileThereIsNoLeader(t *testing.T) {
	nc := connect(t, false)
	var asked atomic.Int32
	if _, err := nc.Subscribe("group", func(m *nats.Msg) {
		text := `{"error":{"code":503,"err_code":10008,"description":"JetStream system temporarily unavailable"}}`
		if asked.Add(1) > 2 {
			text = "{}"
		}
		m.Respond([]byte(text))
	}); err != nil {
		t.Fatal(err)
	}
	if err := Call(t.Context(), nc, "group", nil, nil); err != nil {
		t.Fatal(err)
	}
	if n := asked.Load(); n < 3 { // more on a machine that is busy
		t.Errorf("asked %d times", n)
	}
}

func TestServerInTheProcessIsAskedOnce(t *testing.T) {
	nc := connect(t, true)
	var asked atomic.Int32
	if _, err := nc.Subscribe("group", func(*nats.Msg) { asked.Add(1) }); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*Attempt+Attempt/2)
	defer cancel()
	if err := Call(ctx, nc, "group", nil, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestContact(t *testing.T) {
	electing := fmt.Errorf("look up: %w", &jetstream.APIError{ErrorCode: codeNotAvailable})
	for _, tc := range []struct {
		name  string
		fails []error // what the attempts say, the last one for ever
		want  error
		takes time.Duration // at least
	}{
		{"at once", []error{nil}, nil, 0},
		{"after elections", []error{electing, context.DeadlineExceeded, nil}, nil, Attempt / 2},
		{"never", []error{electing}, electing, patience},
		{"refused", []error{&jetstream.APIError{ErrorCode: codeStorageExceeded}}, &jetstream.APIError{ErrorCode: codeStorageExceeded}, 0},
		{"made by another", []error{errors.Join(jetstream.ErrBucketExists, ErrNotYet), nil}, nil, Attempt / 4},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, n := time.Now(), 0
				err := Contact(t.Context(), func(context.Context) error {
					n++
					return tc.fails[min(n, len(tc.fails))-1]
				})
				if fmt.Sprint(err) != fmt.Sprint(tc.want) {
					t.Errorf("got %v", err)
				}
				if took := time.Since(began); took < tc.takes || took > tc.takes+Attempt {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

func TestContactEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*Attempt)
		defer cancel()
		err := Contact(ctx, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}
