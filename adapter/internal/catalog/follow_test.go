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
	"github.com/weirstream/weir/protocol"
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

// A basin's entry that is written again comes behind those of the basin's streams, while changes are followed and while the catalog is loaded.
func TestStreamsThatComeBeforeTheirBasin(t *testing.T) {
	nc, stream := startStore(t)
	const prefix = "s2"
	if _, err := stream.CreateStream(t.Context(), jetstream.StreamConfig{Name: layout.Catalog(prefix), Subjects: []string{layout.CatalogSubjects(prefix) + ">"},
		MaxMsgsPerSubject: 1, AllowRollup: true, AllowDirect: true}); err != nil {
		t.Fatal(err)
	}
	kv, err := stream.KeyValue(t.Context(), layout.CatalogBucket(prefix))
	if err != nil {
		t.Fatal(err)
	}
	var got told
	c := &Catalog{config: Config{Prefix: prefix, Conn: nc, Logger: slog.New(slog.DiscardHandler), Shared: true}, kv: kv, listener: &got, opened: time.Now()}
	c.View.shared = true
	put := func(key string, value any) {
		t.Helper()
		encoded, err := encodeEntry(value)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Publish(t.Context(), layout.CatalogSubjects(prefix)+key, encoded); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(key string) {
		t.Helper()
		if _, err := stream.PublishMsg(t.Context(), c.deleteMarker(key)); err != nil {
			t.Fatal(err)
		}
	}
	ref := func(basin protocol.BasinName, name protocol.StreamName) protocol.StreamRef {
		return protocol.StreamRef{Basin: basin, Stream: name}
	}
	b, other := protocol.BasinName("basin-of-test"), protocol.BasinName("basin-removed")
	put(BasinKey(b), BasinRecord{Name: b})
	put(StreamKey(ref(b, "s")), &StreamRecord{Name: "s", ID: layout.StreamID{1}})
	put(StreamKey(ref(b, "gone")), &StreamRecord{Name: "gone", ID: layout.StreamID{2}})
	put(StreamKey(ref(other, "s")), &StreamRecord{Name: "s", ID: layout.StreamID{3}})
	remove(StreamKey(ref(b, "gone")))
	remove(StreamKey(ref(other, "s")))
	put(BasinKey(b), BasinRecord{Name: b, Location: "elsewhere"})
	ctx, cancel := context.WithCancel(t.Context())
	run, err := c.Follow(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var following sync.WaitGroup
	following.Go(run)
	defer following.Wait()
	defer cancel()
	short, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	if err := c.progress.wait(short, 7); err != nil {
		t.Fatal(err)
	}
	if page, ok := c.View.ListStreams(b, protocol.ListRequest{}); !ok || len(page.Streams) != 1 {
		t.Errorf("%+v, %t", page, ok)
	}
	if len(c.View.early) != 0 {
		t.Errorf("%d basins wait for their entries", len(c.View.early))
	}
}
