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
	srv := startExternal(t, server.RANDOM_PORT, t.TempDir())
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
		{`"last_by_subj":`, read},
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

// holder dials connections that hold back what they read after the first write that contains what, until release is closed.
type holder struct {
	what          string
	asked         atomic.Bool
	held, release chan struct{}
}

func (h *holder) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	return &heldConn{Conn: conn, h: h}, err
}

type heldConn struct {
	net.Conn
	h     *holder
	holds atomic.Bool
}

func (c *heldConn) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(c.h.what)) && c.h.asked.CompareAndSwap(false, true) {
		c.holds.Store(true)
	}
	return c.Conn.Write(b)
}

func (c *heldConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.holds.CompareAndSwap(true, false) {
		close(c.h.held)
		<-c.h.release
	}
	return n, err
}

// A stream whose first chunk is stored while the store is asked for its newest one is not taken for deleted.
func TestFirstAppendDuringALookUp(t *testing.T) {
	srv := startExternal(t, server.RANDOM_PORT, t.TempDir())
	hold := &holder{what: `"subjects_filter"`, held: make(chan struct{}), release: make(chan struct{})}
	h := openShared(t, "", func(o *Options) {
		o.Connect = func(name string) (*nats.Conn, error) {
			opts := []nats.Option{nats.Name(name)}
			if name == "weir: manage" { // it counts the chunks of a stream that seems to have none
				opts = append(opts, nats.SetCustomDialer(hold))
			}
			return nats.Connect(srv.ClientURL(), opts...)
		}
	})
	ref := shared(t, h)
	hold.asked.Store(true)
	s := h.handle(ref)
	defer s.Close()
	hold.asked.Store(false)
	failed := make(chan error, 1)
	go func() {
		_, err := s.Tail(t.Context())
		failed <- err
	}()
	<-hold.held
	got := <-submit(t, s.Appender(), protocol.AppendInput{Records: []protocol.Record{body("first")}})
	close(hold.release)
	if got.err != nil {
		t.Error(got.err)
	}
	if err := <-failed; err != nil {
		t.Errorf("the tail of a stream with a first chunk: %v", err)
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
	srv := startExternal(t, server.RANDOM_PORT, t.TempDir())
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
	dir := t.TempDir()
	srv := startExternal(t, server.RANDOM_PORT, dir)
	port := srv.Addr().(*net.TCPAddr).Port
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
