package adapter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// harness is an adapter on a real embedded server.
type harness struct {
	t    testing.TB
	srv  *server.Server
	dir  string
	opts Options
	*Adapter
}

func startServer(t testing.TB, dir string) *server.Server {
	t.Helper()
	srv, err := server.NewServer(&server.Options{DontListen: true, NoSigs: true, JetStream: true, StoreDir: dir,
		MaxPayload: 8 << 20, JetStreamMaxMemory: 1 << 30, JetStreamMaxStore: 20 << 30})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	if !srv.ReadyForConnections(time.Minute) {
		t.Fatal("server is not ready")
	}
	return srv
}

func newHarness(t testing.TB, change ...func(*Options)) *harness {
	t.Helper()
	h := &harness{t: t, dir: t.TempDir()}
	h.srv = startServer(t, h.dir)
	level := slog.LevelError
	if testing.Verbose() {
		level = slog.LevelWarn
	}
	h.opts = Options{Connect: func(name string) (*nats.Conn, error) {
		return nats.Connect("", nats.InProcessServer(h.srv), nats.Name(name))
	}, Durability: protocol.DurabilityGroup, StoreDir: h.dir,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))}
	for _, f := range change {
		f(&h.opts)
	}
	h.open()
	t.Cleanup(func() {
		if h.Adapter != nil {
			h.Adapter.Close(context.Background())
		}
		h.srv.Shutdown()
		h.srv.WaitForShutdown()
	})
	return h
}

func (h *harness) open() {
	h.t.Helper()
	a, err := Open(h.t.Context(), h.opts)
	if err != nil {
		h.t.Fatal(err)
	}
	h.Adapter = a
}

// reopen closes the adapter and opens it again on the same server.
func (h *harness) reopen() {
	h.t.Helper()
	if err := h.Adapter.Close(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	h.open()
}

func (h *harness) basin(name string, config protocol.BasinConfig) protocol.BasinName {
	h.t.Helper()
	b, err := protocol.ParseBasinName(name)
	if err != nil {
		h.t.Fatal(err)
	}
	if _, _, err := h.CreateBasin(h.t.Context(), protocol.CreateBasinRequest{Basin: b, Config: config}); err != nil {
		h.t.Fatal(err)
	}
	return b
}

func (h *harness) stream(basin protocol.BasinName, name string, config protocol.StreamConfig) protocol.StreamRef {
	h.t.Helper()
	ref := protocol.StreamRef{Basin: basin, Stream: protocol.StreamName(name)}
	if _, _, err := h.CreateStream(h.t.Context(), basin, protocol.CreateStreamRequest{Stream: ref.Stream, Config: config}); err != nil {
		h.t.Fatal(err)
	}
	return ref
}

func (h *harness) handle(ref protocol.StreamRef) *Stream {
	h.t.Helper()
	s, err := h.OpenStream(h.t.Context(), ref, ForAppend, protocol.StreamConfig{})
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// logName is the JetStream stream behind a log of a basin.
func (h *harness) logName(basin protocol.BasinName, n int) string {
	h.t.Helper()
	id, ok := layout.LogOf(basin, n)
	if !ok {
		h.t.Fatalf("there is no log %d", n)
	}
	return id.Stream(h.Adapter.opts.Prefix)
}

type outcome struct {
	ack protocol.AppendAck
	err error
}

// submit hands an input over and returns the channel of its outcome.
func submit(t testing.TB, appender *Appender, in protocol.AppendInput) <-chan outcome {
	t.Helper()
	ch := make(chan outcome, 1)
	if err := appender.Submit(t.Context(), in, func(a protocol.AppendAck, err error) { ch <- outcome{a, err} }); err != nil {
		ch <- outcome{err: err}
	}
	return ch
}

func (h *harness) append(ref protocol.StreamRef, in protocol.AppendInput) (protocol.AppendAck, error) {
	h.t.Helper()
	s, err := h.OpenStream(h.t.Context(), ref, ForAppend, protocol.StreamConfig{})
	if err != nil {
		return protocol.AppendAck{}, err
	}
	defer s.Close()
	got := <-submit(h.t, s.Appender(), in)
	return got.ack, got.err
}

func (h *harness) mustAppend(ref protocol.StreamRef, recs ...protocol.Record) protocol.AppendAck {
	h.t.Helper()
	ack, err := h.append(ref, protocol.AppendInput{Records: recs})
	if err != nil {
		h.t.Fatal(err)
	}
	return ack
}

// read returns the records from seq up to the tail.
func (h *harness) read(ref protocol.StreamRef, from uint64) []protocol.SequencedRecord {
	h.t.Helper()
	s := h.handle(ref)
	defer s.Close()
	tail, err := s.Tail(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	c := s.Scan(from, tail.SeqNum)
	defer c.Close()
	var out []protocol.SequencedRecord
	for {
		r, err := c.Next(h.t.Context())
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			h.t.Fatal(err)
		}
		out = append(out, r.Slice()...)
	}
}

func (h *harness) tail(ref protocol.StreamRef) protocol.Position {
	h.t.Helper()
	s := h.handle(ref)
	defer s.Close()
	tail, err := s.Tail(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return tail.Position
}

// chunks counts the messages that JetStream holds for the stream.
func (h *harness) chunks(ref protocol.StreamRef) (n int) {
	h.t.Helper()
	s := h.handle(ref)
	defer s.Close()
	var at js.Seq
	for {
		c, err := s.st.log.getNext(h.t.Context(), s.st.subject, at+1)
		if errors.Is(err, js.ErrNotFound) {
			return n
		}
		if err != nil {
			h.t.Fatal(err)
		}
		n, at = n+1, c.seq
	}
}

func body(format string, args ...any) protocol.Record {
	return protocol.Record{Body: fmt.Appendf(nil, format, args...)}
}

// eventually waits for cond, which another goroutine brings about.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute) // only a hang fails
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
