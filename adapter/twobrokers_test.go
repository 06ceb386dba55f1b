package adapter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/test/storedir"
)

// two opens two brokers on one NATS server that is in no process of theirs.
func two(t *testing.T) (a, b *harness) {
	t.Helper()
	srv := startExternal(t, server.RANDOM_PORT, storedir.New(t))
	return withoutLeases(openShared(t, srv.ClientURL(), nil), openShared(t, srv.ClientURL(), nil))
}

// withoutLeases lets the broker that needs a log first own it for good: a machine that is so busy that a lease ends would make outcomes unknown.
func withoutLeases(a, b *harness) (_, _ *harness) {
	claimsFor(a, b)
	return a, b
}

// startExternal starts a NATS server that is in no process of a broker's.
func startExternal(t *testing.T, port int, dir string) *server.Server {
	t.Helper()
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true, JetStream: true, StoreDir: dir,
		MaxPayload: 8 << 20, JetStreamMaxMemory: 1 << 30, JetStreamMaxStore: 10 << 30})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(time.Minute) {
		t.Fatal("the server is not ready")
	}
	return srv
}

// onBoth runs a test with two brokers on one server, and on a cluster of three.
func onBoth(t *testing.T, test func(t *testing.T, a, b *harness)) {
	t.Run("one server", func(t *testing.T) {
		a, b := two(t)
		test(t, a, b)
	})
	t.Run("three servers", func(t *testing.T) {
		c := startCluster(t)
		a, b := withoutLeases(c.broker(0, nil), c.broker(1, nil))
		test(t, a, b)
	})
}

// shared makes a stream at one broker.
func shared(t *testing.T, a *harness) protocol.StreamRef {
	t.Helper()
	return a.stream(a.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
}

// What was appended through one broker is in the tail that the other one tells, at once, however long it has known the stream.
func TestTailOfAnotherBrokersAppends(t *testing.T) {
	onBoth(t, func(t *testing.T, a, b *harness) {
		ref := shared(t, a)
		sa, sb := a.handle(ref), b.handle(ref)
		defer sa.Close()
		defer sb.Close()
		for i := range 20 {
			from, to, reader := a, sb, b
			if i%2 == 1 {
				from, to, reader = b, sa, a
			}
			ack := from.mustAppend(ref, body("%d", i))
			tail, err := to.Tail(t.Context())
			if err != nil || tail.Position != ack.Tail {
				t.Fatalf("the tail after append %d is %v, %v; acknowledged %v", i, tail, err, ack.Tail)
			}
			if recs := reader.read(ref, 0); len(recs) != i+1 || string(recs[i].Body) != fmt.Sprint(i) {
				t.Fatalf("%d records after append %d", len(recs), i)
			}
		}
	})
}

// A broker that knows an old state refuses nothing because of it, and what it refuses it refuses with the newest state.
func TestConditionsOfABrokerThatIsBehind(t *testing.T) {
	onBoth(t, func(t *testing.T, a, b *harness) {
		ref := shared(t, a)
		// Both know the stream from here on.
		a.mustAppend(ref, body("0"))
		b.mustAppend(ref, body("1"))
		a.mustAppend(ref, body("2"))
		at := uint64(3)
		if ack, err := b.append(ref, protocol.AppendInput{Records: []protocol.Record{body("3")}, MatchSeqNum: &at}); err != nil || ack.Start.SeqNum != 3 {
			t.Fatalf("the right match_seq_num: %+v, %v", ack, err)
		}
		wrong := uint64(1)
		b.mustAppend(ref, body("4"))
		_, err := a.append(ref, protocol.AppendInput{Records: []protocol.Record{body("x")}, MatchSeqNum: &wrong})
		if e := protocol.AsError(err); e == nil || e.SeqNumMismatch == nil || *e.SeqNumMismatch != 5 {
			t.Fatalf("a wrong match_seq_num: %v", err)
		}
		token, other := "token", "other"
		a.mustAppend(ref, protocol.FenceRecord(token))
		if ack, err := b.append(ref, protocol.AppendInput{Records: []protocol.Record{body("6")}, FencingToken: &token}); err != nil || ack.Start.SeqNum != 6 {
			t.Fatalf("the right token: %+v, %v", ack, err)
		}
		b.mustAppend(ref, protocol.FenceRecord(other))
		_, err = a.append(ref, protocol.AppendInput{Records: []protocol.Record{body("x")}, FencingToken: &token})
		if e := protocol.AsError(err); e == nil || e.FencingTokenMismatch == nil || *e.FencingTokenMismatch != other {
			t.Fatalf("the old token: %v", err)
		}
		if n := len(a.read(ref, 0)); n != 8 {
			t.Errorf("%d records", n)
		}
	})
}

// In a race for match_seq_num every number is won once, and a loser is told a number above the one that it asked for.
func TestRaceForMatchSeqNumBetweenBrokers(t *testing.T) {
	onBoth(t, func(t *testing.T, a, b *harness) {
		ref := shared(t, a)
		const writers, wins = 3, 12
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := map[uint64]int{}
		for _, h := range []*harness{a, b} {
			for range writers {
				wg.Go(func() {
					for next := uint64(0); next < wins; {
						ack, err := h.append(ref, protocol.AppendInput{Records: []protocol.Record{body("x")}, MatchSeqNum: &next})
						switch e := protocol.AsError(err); {
						case err == nil:
							mu.Lock()
							won[ack.Start.SeqNum]++
							mu.Unlock()
							next++
						case e.SeqNumMismatch != nil && *e.SeqNumMismatch > next:
							next = *e.SeqNumMismatch
						default:
							t.Errorf("at %d: %v", next, err)
							return
						}
					}
				})
			}
		}
		wg.Wait()
		for seq := range uint64(wins) {
			if won[seq] != 1 {
				t.Errorf("%d was won %d times", seq, won[seq])
			}
		}
	})
}

// A session's inputs stay in order, and none behind a refused one is stored, while the broker asks whether its state is new.
func TestSessionBehindARefusalOfABrokerThatIsBehind(t *testing.T) {
	a, b := two(t)
	ref := shared(t, a)
	b.mustAppend(ref, body("0"))
	s := b.handle(ref)
	defer s.Close()
	a.mustAppend(ref, body("1"))
	appender := s.Appender()
	right, wrong := uint64(2), uint64(7)
	outs := []<-chan outcome{
		submit(t, appender, protocol.AppendInput{Records: []protocol.Record{body("2")}, MatchSeqNum: &right}),
		submit(t, appender, protocol.AppendInput{Records: []protocol.Record{body("3")}}),
		submit(t, appender, protocol.AppendInput{Records: []protocol.Record{body("x")}, MatchSeqNum: &wrong}),
		submit(t, appender, protocol.AppendInput{Records: []protocol.Record{body("y")}}),
	}
	for i, out := range outs {
		got := <-out
		switch {
		case i < 2 && (got.err != nil || got.ack.Start.SeqNum != uint64(2+i)):
			t.Errorf("input %d: %+v", i, got)
		case i == 2 && protocol.AsError(got.err).SeqNumMismatch == nil, i == 3 && !errors.Is(got.err, errPoisoned):
			t.Errorf("input %d: %v", i, got.err)
		}
	}
	if n := len(b.read(ref, 0)); n != 4 {
		t.Errorf("%d records", n)
	}
}

// Followers of one broker receive what is appended through the other, all of it, in order and once.
func TestFollowerOfAnotherBrokersAppends(t *testing.T) {
	onBoth(t, func(t *testing.T, a, b *harness) {
		ref := shared(t, a)
		a.mustAppend(ref, body("0"))
		s := b.handle(ref)
		defer s.Close()
		const records = 60
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := 1; i < records; i++ {
				h := a
				if i%3 == 0 {
					h = b
				}
				if _, err := h.append(ref, protocol.AppendInput{Records: []protocol.Record{body("%d", i)}}); err != nil {
					t.Errorf("append %d: %v", i, err)
					return
				}
			}
		})
		for next, rec := range follow(t, s, records) {
			if rec.SeqNum != uint64(next) || string(rec.Body) != fmt.Sprint(next) {
				t.Fatalf("record %d is %q with seq_num %d", next, rec.Body, rec.SeqNum)
			}
		}
		wg.Wait()
	})
}

// follow reads as a session does, stored records first and the feed then, until there are so many.
func follow(t *testing.T, s *Stream, records int) (got []protocol.SequencedRecord) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tail, err := s.Tail(ctx)
	for len(got) < records {
		if err != nil {
			t.Fatal(err)
		}
		c := s.Scan(uint64(len(got)), tail.SeqNum)
		for {
			var r protocol.Records
			if r, err = c.Next(ctx); err != nil {
				break
			}
			got = append(got, r.Slice()...)
		}
		c.Close()
		if !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		var feed *Feed
		feed, tail.Position, err = s.Follow(ctx, uint64(len(got)))
		if feed == nil {
			continue
		}
		for len(got) < records {
			batch, changed, pollErr := feed.Poll()
			if errors.Is(pollErr, protocol.ErrLagged) {
				break
			}
			switch {
			case pollErr != nil:
				t.Fatal(pollErr)
			case changed != nil:
				select {
				case <-changed:
				case <-ctx.Done():
					t.Fatalf("%d records came", len(got))
				}
			default:
				got = append(got, batch.Records.Slice()...)
			}
		}
		feed.Close()
		tail, err = s.Tail(ctx)
	}
	return got
}

// Both brokers are the first to need the logs, at the same time, again and again.
func TestTwoBrokersOpenNewLogsAtOnce(t *testing.T) {
	c := startCluster(t)
	logs := func(o *Options) { o.Logs = 4 }
	a, b := withoutLeases(c.broker(0, logs), c.broker(1, logs))
	basin := a.basin("test-basin", protocol.BasinConfig{})
	var refs []protocol.StreamRef
	for i := range 12 {
		refs = append(refs, a.stream(basin, fmt.Sprint(i), protocol.StreamConfig{}))
	}
	var wg sync.WaitGroup
	for _, ref := range refs {
		for _, h := range []*harness{a, b} {
			wg.Go(func() {
				if _, err := h.append(ref, protocol.AppendInput{Records: []protocol.Record{body("x")}}); err != nil {
					t.Errorf("%v: %v", ref, err)
				}
			})
		}
	}
	wg.Wait()
	for _, ref := range refs {
		if n := len(a.read(ref, 0)); n != 2 {
			t.Errorf("%v has %d records", ref, n)
		}
	}
}

// A stream that one broker has just made is there at the other.
func TestStreamOfAnotherBrokerIsThereAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, a, b *harness) {
		for i := range 10 {
			basin := a.basin(fmt.Sprintf("test-basin-%d", i), protocol.BasinConfig{})
			ref := a.stream(basin, "s", protocol.StreamConfig{})
			if ack := b.mustAppend(ref, body("x")); ack.Start.SeqNum != 0 {
				t.Fatalf("%+v", ack)
			}
		}
	})
}

// Another server's message took the place of a chunk and was purged: the append is stored behind, and not answered as unknown.
func TestPlaceOfAChunkThatAnotherServerHasPurged(t *testing.T) {
	for _, known := range []bool{false, true} {
		t.Run(fmt.Sprint("stream with chunks: ", known), func(t *testing.T) {
			a, b := two(t)
			basin := a.basin("test-basin", protocol.BasinConfig{})
			ref, other := a.stream(basin, "s", protocol.StreamConfig{}), a.stream(basin, "t", protocol.StreamConfig{})
			a.mustAppend(other, body("first")) // a's sequencer knows the log from here on
			if known {
				a.mustAppend(ref, body("0"))
			}
			so := b.handle(other)
			defer so.Close()
			b.mustAppend(other, body("second"))
			b.mustAppend(other, body("third"))
			if err := so.st.log.purge(t.Context(), so.st.subject, so.st.live.newest()); err != nil { // as a trim does
				t.Fatal(err)
			}
			ack, err := a.append(ref, protocol.AppendInput{Records: []protocol.Record{body("x")}})
			if known && err != nil {
				t.Fatal(err)
			}
			// Of a stream that has no chunk it cannot be told from a deleted one.
			if !known && err != nil && protocol.CodeOf(err) != protocol.CodeOther {
				t.Fatal(err)
			}
			if err == nil {
				if recs := b.read(ref, 0); uint64(len(recs)) != ack.End.SeqNum {
					t.Fatalf("%d records, acknowledged to %v", len(recs), ack.End)
				}
			}
		})
	}
}

// A name that was made, changed or deleted through one broker is so at the other at once, in every request that administers it.
func TestNamesOfAnotherBroker(t *testing.T) {
	onBoth(t, func(t *testing.T, a, b *harness) {
		ctx := t.Context()
		for i := range 30 {
			ref := protocol.StreamRef{Basin: protocol.BasinName(fmt.Sprintf("test-basin-%d", i)), Stream: "s"}
			ok := func(what string, err error) {
				t.Helper()
				if err != nil {
					t.Fatalf("%s, name %d: %v", what, i, err)
				}
			}
			_, _, err := a.CreateBasin(ctx, protocol.CreateBasinRequest{Basin: ref.Basin})
			ok("create a basin", err)
			if i%2 == 0 {
				_, err = b.GetBasinConfig(ctx, ref.Basin)
				ok("get its configuration", err)
			}
			_, _, err = b.CreateStream(ctx, ref.Basin, protocol.CreateStreamRequest{Stream: ref.Stream})
			ok("create a stream in it", err)
			if _, _, err = a.CreateStream(ctx, ref.Basin, protocol.CreateStreamRequest{Stream: ref.Stream}); protocol.CodeOf(err) != protocol.CodeResourceAlreadyExists {
				t.Fatalf("name %d created twice: %v", i, err)
			}
			_, err = b.ReconfigureBasin(ctx, ref.Basin, protocol.BasinReconfiguration{})
			ok("reconfigure the basin", err)
			_, err = a.GetStreamConfig(ctx, ref)
			ok("get the stream's configuration", err)
			ok("delete the stream", a.DeleteStream(ctx, ref))
			if _, err = b.GetStreamConfig(ctx, ref); protocol.CodeOf(err) != protocol.CodeStreamDeletionPending && protocol.CodeOf(err) != protocol.CodeStreamNotFound {
				t.Fatalf("the configuration of deleted stream %d: %v", i, err)
			}
			ok("delete the basin", b.DeleteBasin(ctx, ref.Basin))
			if _, err = a.GetBasinConfig(ctx, ref.Basin); protocol.CodeOf(err) != protocol.CodeBasinDeletionPending && protocol.CodeOf(err) != protocol.CodeBasinNotFound {
				t.Fatalf("the configuration of deleted basin %d: %v", i, err)
			}
		}
	})
}

// A stream that one broker has deleted and made anew takes appends at the other at once.
func TestStreamMadeAnewByAnotherBroker(t *testing.T) {
	onBoth(t, func(t *testing.T, a, b *harness) {
		ctx := t.Context()
		ref := protocol.StreamRef{Basin: "test-basin-anew", Stream: "s"}
		if _, _, err := a.CreateBasin(ctx, protocol.CreateBasinRequest{Basin: ref.Basin}); err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			for {
				_, _, err := a.CreateStream(ctx, ref.Basin, protocol.CreateStreamRequest{Stream: ref.Stream})
				if err == nil {
					break
				}
				if protocol.CodeOf(err) != protocol.CodeStreamDeletionPending {
					t.Fatalf("create the stream, time %d: %v", i, err)
				}
			}
			h, err := b.OpenStream(ctx, ref, ForAppend, protocol.StreamConfig{})
			if err != nil {
				t.Fatalf("open the stream at the other broker, time %d: %v", i, err)
			}
			h.Close()
			if err := b.DeleteStream(ctx, ref); err != nil {
				t.Fatalf("delete the stream, time %d: %v", i, err)
			}
		}
	})
}
