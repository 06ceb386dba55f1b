package tap

import (
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/protocol"
)

var ref = protocol.StreamRef{Basin: "test-basin", Stream: "chat/a"}

func records(n int, body []byte) protocol.Records {
	var wire []byte
	for i := range uint64(n) {
		wire = protocol.AppendSequenced(wire, i, 1000+i, nil, body)
	}
	return protocol.MakeRecords(wire, n, uint64(n*(8+len(body))), protocol.Position{Timestamp: 1000},
		protocol.Position{SeqNum: uint64(n - 1), Timestamp: 1000 + uint64(n-1)})
}

func start(tb testing.TB) (*server.Server, Account) {
	s, err := server.NewServer(&server.Options{DontListen: true, NoSigs: true, NoLog: true})
	if err != nil {
		tb.Fatal(err)
	}
	s.Start()
	tb.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	acc := s.GlobalAccount()
	return s, Account{Name: "test", Interest: func(subject string) bool { return acc.Interest(subject) > 0 },
		Connect: func() (*nats.Conn, error) { return nats.Connect("", nats.InProcessServer(s)) },
		MayRead: func(protocol.StreamRef) bool { return true }}
}

// TestNoInterestCostsNothing: without a subscription nothing is allocated, kept or connected.
func TestNoInterestCostsNothing(t *testing.T) {
	_, account := start(t)
	account.Connect = func() (*nats.Conn, error) {
		t.Error("connected")
		return nil, nats.ErrNoServers
	}
	h := NewHub("s2", slog.New(slog.DiscardHandler))
	o := h.Open(account)
	defer o.Close(t.Context())
	tell, r := h.Stream(ref), records(10, make([]byte, 100))
	kept := false
	if n := testing.AllocsPerRun(1000, func() { kept = tell(r) || kept }); n != 0 || kept {
		t.Errorf("%v allocations, kept %t", n, kept)
	}
}

// TestFullQueueDropsWhole: appends are never held up by an account that takes nothing; what finds no room is dropped whole and
// counted, and the rest arrives in order.
func TestFullQueueDropsWhole(t *testing.T) {
	s, account := start(t)
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	sub, err := nc.SubscribeSync("s2.live.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	held, connect := make(chan struct{}), account.Connect
	account.Connect = func() (*nats.Conn, error) {
		<-held
		return connect()
	}
	h := NewHub("s2", slog.New(slog.DiscardHandler))
	o := h.Open(account)
	tell, r := h.Stream(ref), records(10, make([]byte, 100_000))
	told, kept := 0, 0
	for ; told < 40; told++ {
		if tell(r) {
			kept++
		}
	}
	if want := maxQueueBytes / len(r.Wire()); kept != want || h.Dropped() != uint64(10*(told-kept)) {
		t.Errorf("%d chunks were kept, want %d; %d records were dropped", kept, want, h.Dropped())
	}
	close(held)
	o.Close(t.Context())
	if h.Published() != uint64(10*kept) || h.queued.Load() != 0 || o.bytes != 0 {
		t.Errorf("published %d records, %d bytes are queued", h.Published(), h.queued.Load())
	}
	for i := range 10 * kept {
		m, err := sub.NextMsg(20e9)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Header.Get(protocol.HeaderSeqNum); got != string(rune('0'+i%10)) {
			t.Fatalf("record %d has seq_num %s", i, got)
		}
	}
	if tell(r) {
		t.Error("a closed outlet took a chunk")
	}
}

// TestTooLargeForNATS: a record that the server does not take is dropped alone, and counted.
func TestTooLargeForNATS(t *testing.T) {
	s, account := start(t) // max_payload is 1 MiB
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	sub, err := nc.SubscribeSync("s2.live.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	h := NewHub("s2", slog.New(slog.DiscardHandler))
	o := h.Open(account)
	tell := h.Stream(ref)
	tell(records(1, make([]byte, 2<<20)))
	tell(records(1, []byte("small")))
	o.Close(t.Context())
	if m, err := sub.NextMsg(20e9); err != nil || string(m.Data) != "small" || h.Dropped() != 1 || h.Published() != 1 {
		t.Errorf("%v %v, dropped %d", m, err, h.Dropped())
	}
}

// BenchmarkNoInterest is what a durable chunk costs its sequencer while nobody listens.
func BenchmarkNoInterest(b *testing.B) {
	_, account := start(b)
	h := NewHub("s2", slog.New(slog.DiscardHandler))
	o := h.Open(account)
	defer o.Close(b.Context())
	tell, r := h.Stream(ref), records(10, make([]byte, 100))
	b.ReportAllocs()
	for b.Loop() {
		tell(r)
	}
}

// BenchmarkPublish is what a record costs from its chunk to the subscriber.
func BenchmarkPublish(b *testing.B) {
	s, account := start(b)
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	var got atomic.Int64
	all := make(chan struct{})
	if _, err := nc.Subscribe("s2.live.>", func(*nats.Msg) {
		if got.Add(1) == int64(b.N) {
			close(all)
		}
	}); err != nil {
		b.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		b.Fatal(err)
	}
	h := NewHub("s2", slog.New(slog.DiscardHandler))
	o := h.Open(account)
	defer o.Close(b.Context())
	tell, r := h.Stream(ref), records(1, make([]byte, 100))
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		for !tell(r) {
			time.Sleep(time.Millisecond) // until there is room
		}
	}
	<-all
}
