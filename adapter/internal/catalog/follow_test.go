package catalog

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/test/storedir"
)

// deaf is a watcher without its consumer: nothing comes.
type deaf struct {
	jetstream.KeyWatcher
	updates chan jetstream.KeyValueEntry
}

func (d *deaf) Updates() <-chan jetstream.KeyValueEntry { return d.updates }

// startStore starts a NATS server with JetStream in this process.
func startStore(t *testing.T) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	srv, err := server.NewServer(&server.Options{DontListen: true, NoSigs: true, NoLog: true, JetStream: true, StoreDir: storedir.New(t)})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	nc, err := nats.Connect("", nats.InProcessServer(srv))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	stream, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return nc, stream
}

// A watcher that does not deliver a change is given up; one that has nothing to deliver is not.
func TestPulseFindsThatChangesDoNotCome(t *testing.T) {
	nc, stream := startStore(t)
	const prefix = "s2"
	if _, err := stream.CreateStream(t.Context(), jetstream.StreamConfig{Name: layout.Catalog(prefix),
		Subjects: []string{layout.CatalogSubjects(prefix) + ">"}}); err != nil {
		t.Fatal(err)
	}
	c := &Catalog{config: Config{Prefix: prefix, Conn: nc, Logger: slog.New(slog.DiscardHandler)}, opened: time.Now()}
	d := &deaf{updates: make(chan jetstream.KeyValueEntry)}
	w := &changes{KeyWatcher: d, stop: sync.OnceFunc(func() { close(d.updates) })}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.follow(t.Context(), w, nil)
	}()
	quiet := time.NewTimer(3 * pulseTime)
	select {
	case <-ended:
		t.Fatal("a watcher without changes was given up")
	case <-quiet.C:
	}
	for end := time.Now().Add(2 * time.Minute); c.current.Load() == 0; time.Sleep(pulseTime / 10) {
		if time.Now().After(end) {
			t.Fatal("the view is not known to be current, although nothing has changed")
		}
	}
	if _, err := stream.Publish(t.Context(), layout.CatalogSubjects(prefix)+"b.x", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	select {
	case <-ended:
	case <-ctx.Done():
		t.Fatal("a watcher that does not deliver a change was not given up")
	}
	c.opened = c.opened.Add(-time.Hour) // as if an hour passed
	if age := c.Age(); age < time.Hour {
		t.Errorf("the view is taken for current, %v ago", age)
	}
}
