package adapter

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/test/storedir"
)

// cutter dials connections that break at the first write that contains what is armed, and swallow it.
type cutter struct {
	armed atomic.Pointer[[]byte]
}

func (c *cutter) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	return &cutConn{conn, c}, err
}

func (c *cutter) arm(what string) {
	b := []byte(what)
	c.armed.Store(&b)
}

type cutConn struct {
	net.Conn
	c *cutter
}

func (c *cutConn) Write(b []byte) (int, error) {
	if what := c.c.armed.Load(); what != nil && bytes.Contains(b, *what) && c.c.armed.CompareAndSwap(what, nil) {
		return len(b), c.Close()
	}
	return c.Conn.Write(b)
}

// A request that is lost with its connection costs the time until there is another connection, and fails nothing.
func TestRequestsOutliveTheirConnection(t *testing.T) {
	srv := startExternal(t, server.RANDOM_PORT, storedir.New(t))
	var c cutter
	h := openShared(t, "", func(o *Options) {
		o.Connect = func(name string) (*nats.Conn, error) {
			return nats.Connect(srv.ClientURL(), nats.Name(name), nats.SetCustomDialer(&c), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond),
				nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
		}
	})
	ref := shared(t, h)
	const n = 20
	read := func() error {
		recs := h.read(ref, 0)
		if len(recs) != n {
			return fmt.Errorf("%d records", len(recs))
		}
		for i, r := range recs {
			if string(r.Body) != fmt.Sprint(i) {
				return fmt.Errorf("record %d is %q", i, r.Body)
			}
		}
		return nil
	}
	for _, tc := range []struct {
		lost string // in a request
		call func() error
	}{
		{"$KV.S2_CATALOG.", func() error {
			_, _, err := h.CreateStream(t.Context(), ref.Basin, protocol.CreateStreamRequest{Stream: "other"})
			return err
		}},
		{"s2.log.express.", func() error {
			for i := range n {
				h.mustAppend(ref, body("%d", i))
			}
			return nil
		}},
		{`"batch":`, read},
		{`"next_by_subj":`, read},
	} {
		c.arm(tc.lost)
		if err := tc.call(); err != nil {
			t.Errorf("%s was lost: %v", tc.lost, err)
		}
		if c.armed.Load() != nil {
			t.Errorf("%s was not lost", tc.lost)
		}
	}
}

// logWatch keeps a log.
type logWatch struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *logWatch) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(b)
}

func (w *logWatch) has(what string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Contains(w.text.Bytes(), []byte(what))
}

// Brokers hear of each other's changes after the consumers by which they follow the catalog are gone and cannot be made again for
// a while.
func TestCatalogIsFollowedAgain(t *testing.T) {
	srv := startExternal(t, server.RANDOM_PORT, storedir.New(t))
	var log logWatch
	a, b := openShared(t, srv.ClientURL(), nil), openShared(t, srv.ClientURL(), func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	shared(t, a)
	knows := func(stream protocol.StreamName) func() bool {
		return func() bool {
			e, _, _ := b.catalog.View.Stream(protocol.StreamRef{Basin: "test-basin", Stream: stream})
			return e != nil
		}
	}
	eventually(t, "b knows the first stream", knows("s"))
	bucket, err := a.js.Stream(t.Context(), layout.Catalog("s2"))
	if err != nil {
		t.Fatal(err)
	}
	var followers []string
	for name := range bucket.ConsumerNames(t.Context()).Name() {
		followers = append(followers, name)
	}
	if len(followers) != 2 {
		t.Fatalf("the followers are %v", followers)
	}
	if _, err := bucket.CreateConsumer(t.Context(), jetstream.ConsumerConfig{Durable: "another"}); err != nil {
		t.Fatal(err)
	}
	limit := func(n int) {
		t.Helper()
		if err := srv.GlobalAccount().UpdateJetStreamLimits(map[string]server.JetStreamAccountLimits{"": {
			MaxMemory: -1, MaxStore: -1, MaxStreams: -1, MaxConsumers: n}}); err != nil {
			t.Fatal(err)
		}
	}
	limit(1)
	for _, name := range followers {
		if err := bucket.DeleteConsumer(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range []*harness{a, b} {
		if err := h.manage.ForceReconnect(); err != nil {
			t.Fatal(err)
		}
	}
	a.stream("test-basin", "meanwhile", protocol.StreamConfig{})
	eventually(t, "b cannot follow", func() bool { return log.has("cannot be followed") })
	limit(-1)
	eventually(t, "b knows the stream that was made meanwhile", knows("meanwhile"))
	a.stream("test-basin", "later", protocol.StreamConfig{})
	eventually(t, "b knows the stream that was made later", knows("later"))
}

// A reader follows what another broker appends after the NATS server was away.
func TestFeedGoesOnAfterTheServerWasAway(t *testing.T) {
	dir := storedir.New(t)
	port := freePorts(t, 1)[0]
	srv := startExternal(t, port, dir)
	a, b := openShared(t, srv.ClientURL(), nil), openShared(t, srv.ClientURL(), nil)
	ref := shared(t, a)
	st := b.handle(ref)
	defer st.Close()
	for i := range uint64(3) {
		feed, tail, err := st.Follow(t.Context(), i)
		if err != nil || feed == nil {
			t.Fatalf("follow at %d, where the tail is %v: %v", i, tail, err)
		}
		srv.Shutdown()
		srv.WaitForShutdown()
		srv = startExternal(t, port, dir)
		a.mustAppend(ref, body("%d", i))
		eventually(t, "the feed delivers, or sends its reader to the log", func() bool {
			batch, changed, err := feed.Poll()
			if err != nil {
				return errors.Is(err, protocol.ErrLagged)
			}
			return changed == nil && batch.Records.First().SeqNum == i
		})
		feed.Close()
	}
}
