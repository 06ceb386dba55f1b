package fence

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A request to a log without a leader is never answered. A take-over that learns of the election sends another one at once, however long it would wait.
func TestTakeOverAsksAgainAfterAnElection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := server.NewServer(&server.Options{DontListen: true, NoSigs: true, NoLog: true})
		if err != nil {
			t.Fatal(err)
		}
		srv.Start()
		defer func() { srv.Shutdown(); srv.WaitForShutdown() }()
		nc, err := nats.Connect("", nats.InProcessServer(srv))
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		const lost = 6    // requests, so that the take-over has become patient
		var mu sync.Mutex // guards what follows
		var asked []time.Time
		led := make(chan struct{})
		requests := func() int {
			mu.Lock()
			defer mu.Unlock()
			return len(asked)
		}
		elected := func() <-chan struct{} {
			mu.Lock()
			defer mu.Unlock()
			return led
		}
		if _, err := nc.Subscribe("$JS.API.STREAM.INFO."+stream, func(m *nats.Msg) {
			mu.Lock()
			asked = append(asked, time.Now())
			mu.Unlock()
			if requests() <= lost {
				return // there is no leader
			}
			_ = m.Respond([]byte(`{"error":{"code":404,"err_code":10059,"description":"stream not found"}}`))
		}); err != nil {
			t.Fatal(err)
		}
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := TakeOver(t.Context(), js, stream, runs, 1, elected)
			ended <- err
		}()
		for synctest.Wait(); requests() < lost; synctest.Wait() {
			time.Sleep(attempt)
		}
		mu.Lock()
		at := time.Now()
		close(led)
		led = make(chan struct{})
		mu.Unlock()
		if err := <-ended; !errors.Is(err, jetstream.ErrStreamNotFound) {
			t.Fatalf("the take-over ended with %v", err)
		}
		if waited := asked[lost].Sub(at); waited >= attempt {
			t.Errorf("the log was asked %v after it had got a leader", waited)
		}
	})
}
