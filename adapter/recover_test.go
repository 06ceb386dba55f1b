package adapter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/adapter/internal/durable"
	"github.com/weirstream/weir/protocol"
)

// A second server on the same store: each keeps finding that the other wrote to the log.
func TestTwoWritersOfOneLogStayDenseAndLoseNothing(t *testing.T) {
	h := newHarness(t, func(o *Options) { o.Durability, o.Shared = protocol.DurabilityInterval, true })
	b := h.basin("test-basin", protocol.BasinConfig{})
	refs := []protocol.StreamRef{h.stream(b, "a", protocol.StreamConfig{}), h.stream(b, "b", protocol.StreamConfig{})}
	second, err := Open(t.Context(), h.opts)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close(context.Background())
	const each = 60
	var wg sync.WaitGroup
	var mu sync.Mutex
	acked := map[string]uint64{}
	for w, a := range []*Adapter{h.Adapter, second} {
		writer := &harness{t: t, Adapter: a}
		for _, ref := range refs {
			wg.Go(func() {
				for i := range each {
					name := fmt.Sprintf("%s/%d/%d", ref.Stream, w, i)
					ack, err := writer.append(ref, protocol.AppendInput{Records: []protocol.Record{body("%s", name)}})
					if err != nil {
						t.Errorf("%s: %v", name, err)
						return
					}
					mu.Lock()
					acked[name] = ack.Start.SeqNum
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	h.reopen()
	for _, ref := range refs {
		recs := h.read(ref, 0)
		if len(recs) != 2*each {
			bySeq := map[uint64][]string{}
			for name, seq := range acked {
				if name[:1] == string(ref.Stream) {
					bySeq[seq] = append(bySeq[seq], name)
				}
			}
			t.Fatalf("%v has %d records, want %d; acknowledged: %v", ref, len(recs), 2*each, bySeq)
		}
		for i, r := range recs {
			if r.SeqNum != uint64(i) || acked[string(r.Body)] != r.SeqNum {
				t.Fatalf("record %d of %v is %q with seq_num %d, acknowledged as %d", i, ref, r.Body, r.SeqNum, acked[string(r.Body)])
			}
		}
	}
}

// The answers to publications are lost: the sequencer finds its chunks in the log by their ids.
func TestLostAnswersAreFoundInTheLog(t *testing.T) {
	h := newHarness(t)
	ref := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	h.mustAppend(ref, body("first"))
	s := h.handle(ref)
	defer s.Close()
	l := s.st.log
	if err := l.sub.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	appender := s.Appender()
	var outs []<-chan outcome
	for i := range 5 {
		outs = append(outs, submit(t, appender, protocol.AppendInput{Records: []protocol.Record{body("lost %d", i)}}))
	}
	eventually(t, "the chunks are stored", func() bool { return h.chunks(ref) > 1 })
	var err error
	if l.sub, err = l.pub.Subscribe(l.replyPrefix+"*", l.onPubAck); err != nil {
		t.Fatal(err)
	}
	// What the timer for a missing answer does, without the wait.
	l.seq.in.postAck(pubAck{token: 1, err: errNoAnswer})
	l.seq.in.postAck(pubAck{token: 2, err: errNoAnswer})
	l.seq.in.postAck(pubAck{token: 3, err: errNoAnswer})
	l.seq.in.postAck(pubAck{token: 4, err: errNoAnswer})
	l.seq.in.postAck(pubAck{token: 5, err: errNoAnswer})
	for i, out := range outs {
		if got := <-out; got.err != nil || got.ack.Start.SeqNum != uint64(i+1) {
			t.Fatalf("append %d: %+v", i, got)
		}
	}
	if got := h.read(ref, 0); len(got) != 6 {
		t.Fatalf("%d records", len(got))
	}
}

// A chunk that stands in the log proves nothing once the store has failed: JetStream shows what it could not write.
func TestWhatIsFoundInAFailedStoreIsNotAcknowledged(t *testing.T) {
	disk := errors.New("write error")
	fatal := make(chan error, 1)
	var failing atomic.Bool
	h := newHarness(t, func(o *Options) {
		o.Fatal = func(err error) { fatal <- err }
		o.Failure = func() error {
			if failing.Load() {
				return disk
			}
			return nil
		}
	})
	ref := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	h.mustAppend(ref, body("first"))
	s := h.handle(ref)
	defer s.Close()
	l := s.st.log
	if err := l.sub.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	out := submit(t, s.Appender(), protocol.AppendInput{Records: []protocol.Record{body("lost")}})
	eventually(t, "the chunk is stored", func() bool { return h.chunks(ref) > 1 })
	failing.Store(true)
	var err error
	if l.sub, err = l.pub.Subscribe(l.replyPrefix+"*", l.onPubAck); err != nil {
		t.Fatal(err)
	}
	l.seq.in.postAck(pubAck{token: 1, err: errNoAnswer})
	if got := <-out; protocol.CodeOf(got.err) != protocol.CodeStorage {
		t.Fatalf("%+v", got)
	}
	if err := <-fatal; !errors.Is(err, disk) {
		t.Fatal(err)
	}
}

// JetStream refuses to store: the appends fail as storage failures, none is half there, and the log goes on.
func TestFullStoreFailsAppendsAndRecovers(t *testing.T) {
	h := newHarness(t)
	ref := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	h.mustAppend(ref, body("first"))
	limit := func(bytes int64) {
		s := h.handle(ref)
		defer s.Close()
		js, err := h.js.Stream(t.Context(), s.st.log.name)
		if err != nil {
			t.Fatal(err)
		}
		config := js.CachedInfo().Config
		config.MaxBytes = bytes
		if _, err := h.js.UpdateStream(t.Context(), config); err != nil {
			t.Fatal(err)
		}
	}
	limit(4096)
	big := protocol.Record{Body: make([]byte, 8000)}
	for range 3 {
		if _, err := h.append(ref, protocol.AppendInput{Records: []protocol.Record{big}}); protocol.CodeOf(err) != protocol.CodeStorage {
			t.Fatalf("append to a full store: %v", err)
		}
	}
	if ack := h.mustAppend(ref, body("small")); ack.Start.SeqNum != 1 {
		t.Fatalf("small append after the failures: %+v", ack)
	}
	limit(-1)
	if ack := h.mustAppend(ref, big); ack.Start.SeqNum != 2 {
		t.Fatalf("append after there is room again: %+v", ack)
	}
}

// A connection that dies with appends in flight: each is either acknowledged and there, or fails and the stream is dense.
func TestLostConnectionLosesNothing(t *testing.T) {
	var mu sync.Mutex
	var conns []*nats.Conn
	h := newHarness(t, func(o *Options) {
		connect := o.Connect
		o.Connect = func(name string) (*nats.Conn, error) {
			nc, err := connect(name)
			mu.Lock()
			defer mu.Unlock()
			conns = append(conns, nc)
			return nc, err
		}
	})
	ref := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	h.mustAppend(ref, body("first"))
	s := h.handle(ref)
	defer s.Close()
	appender := s.Appender()
	var outs []<-chan outcome
	for i := range 200 {
		outs = append(outs, submit(t, appender, protocol.AppendInput{Records: []protocol.Record{body("%d", i)}}))
		if i%50 == 25 {
			if err := s.st.log.pub.ForceReconnect(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, out := range outs {
		if got := <-out; got.err != nil || got.ack.Start.SeqNum != uint64(i+1) {
			t.Fatalf("append %d: %+v", i, got)
		}
	}
	if got := h.read(ref, 0); len(got) != 201 {
		t.Fatalf("%d records", len(got))
	}
}

// gatedSync is a sync that waits to be let through, or fails.
type gatedSync struct{ gate chan error }

func (g *gatedSync) sync() error { return <-g.gate }

func TestNothingIsToldBeforeItIsDurable(t *testing.T) {
	h := newHarness(t)
	ref := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	s := h.handle(ref)
	defer s.Close()
	g := &gatedSync{make(chan error)}
	swapSync(h.Adapter, g.sync)
	token, other := "tok", "other"
	zero := uint64(0)
	fence := submit(t, s.Appender(), protocol.AppendInput{Records: []protocol.Record{protocol.FenceRecord(token)}})
	fenced := submit(t, s.Appender(), protocol.AppendInput{Records: []protocol.Record{body("x")}, FencingToken: &other})
	mismatch := submit(t, s.Appender(), protocol.AppendInput{Records: []protocol.Record{body("x")}, MatchSeqNum: &zero})
	next := uint64(1)
	holds := submit(t, s.Appender(), protocol.AppendInput{Records: []protocol.Record{body("x")}, FencingToken: &token, MatchSeqNum: &next})
	eventually(t, "the fence is stored", func() bool {
		_, err := s.st.log.getLast(t.Context(), s.st.subject)
		return err == nil
	})
	if tail, _ := s.Tail(t.Context()); tail.SeqNum != 0 {
		t.Fatalf("the tail moved to %v before anything was durable", tail)
	}
	for _, ch := range []<-chan outcome{fence, fenced, mismatch, holds} {
		select {
		case got := <-ch:
			t.Fatalf("told before it was durable: %+v", got)
		default:
		}
	}
	go func() {
		for range 4 {
			g.gate <- nil
		}
	}()
	if got := <-fence; got.err != nil {
		t.Fatal(got.err)
	}
	if got := protocol.AsError((<-fenced).err); got.FencingTokenMismatch == nil || *got.FencingTokenMismatch != token {
		t.Fatal(got)
	}
	if got := protocol.AsError((<-mismatch).err); got.SeqNumMismatch == nil || *got.SeqNumMismatch != 1 {
		t.Fatal(got)
	}
	if got := <-holds; got.err != nil || got.ack.Start.SeqNum != 1 {
		t.Fatal(got)
	}
}

func TestFailedSyncIsFatalAndTellsNoLies(t *testing.T) {
	fatal := make(chan error, 1)
	h := newHarness(t, func(o *Options) { o.Fatal = func(err error) { fatal <- err } })
	ref := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	s := h.handle(ref)
	defer s.Close()
	disk := errors.New("input/output error")
	swapSync(h.Adapter, func() error { return disk })
	ack := submit(t, s.Appender(), protocol.AppendInput{Records: []protocol.Record{body("x")}})
	withheld := submit(t, s.Appender(), protocol.AppendInput{Records: []protocol.Record{body("x")}, MatchSeqNum: new(uint64)})
	for _, ch := range []<-chan outcome{ack, withheld} {
		if got := <-ch; protocol.CodeOf(got.err) != protocol.CodeStorage {
			t.Fatalf("after a failed sync: %+v", got)
		}
	}
	if err := <-fatal; !errors.Is(err, disk) {
		t.Fatal(err)
	}
	if _, err := h.append(ref, protocol.AppendInput{Records: []protocol.Record{body("x")}}); protocol.CodeOf(err) != protocol.CodeStorage {
		t.Fatalf("append after the failure: %v", err)
	}
	if _, _, err := h.CreateBasin(t.Context(), protocol.CreateBasinRequest{Basin: "other-basin"}); err == nil {
		t.Fatal("a basin was created after the failure")
	}
}

// swapSync replaces the committer's sync while nothing waits for it, and leaves the watermarks as they are.
func swapSync(a *Adapter, sync func() error) {
	swapCommitter(a, durable.Config{Sync: sync, OnFatal: a.commit.Config().OnFatal})
}

func swapCommitter(a *Adapter, config durable.Config) {
	a.commit.Close()
	a.commit = durable.NewCommitter(config)
	for _, l := range a.logs.all() {
		if l.seq.commit != nil {
			l.seq.commit = a.commit
		}
	}
}
