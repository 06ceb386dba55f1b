package adapter

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/adapter/internal/catalog"
	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// team is brokers that share a server in memory, in a bubble, and take their owners from the test.
type team struct {
	t      *testing.T
	hs     []*harness
	claims *testClaims
	mu     sync.Mutex
	conns  [][]*nats.Conn // by broker
}

// teamBubble runs a test with n brokers and a number of logs. The test chooses their owners.
func teamBubble(t *testing.T, name string, n, logs int, test func(t *testing.T, m *team)) {
	leasedBubble(t, name, n, logs, func(t *testing.T, m *team) {
		m.claims = claimsFor(m.hs...)
		test(t, m)
	})
}

// leasedBubble is teamBubble with leases.
func leasedBubble(t *testing.T, name string, n, logs int, test func(t *testing.T, m *team)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := &team{t: t, conns: make([][]*nats.Conn, n)}
			remember := func(i int, connect func(string) (*nats.Conn, error)) func(string) (*nats.Conn, error) {
				return func(name string) (*nats.Conn, error) {
					nc, err := connect(name)
					if err == nil {
						m.mu.Lock()
						defer m.mu.Unlock()
						m.conns[i] = append(m.conns[i], nc)
					}
					return nc, err
				}
			}
			var connect func(string) (*nats.Conn, error)
			first := newHarness(t, inMemory, func(o *Options) {
				connect, o.Shared, o.Logs = o.Connect, true, logs
				o.Connect = remember(0, connect)
			})
			m.hs = append(m.hs, first)
			for i := 1; i < n; i++ {
				h := &harness{t: t, srv: first.srv, opts: first.opts}
				h.opts.Connect = remember(i, connect)
				h.open()
				t.Cleanup(func() { h.Adapter.Close(context.Background()) })
				m.hs = append(m.hs, h)
			}
			test(t, m)
		})
	})
}

// give gives a stream's log to a broker, as when the one before has lost it and does not know, and waits until it has taken it over.
func (m *team) give(ref protocol.StreamRef, to int) {
	m.t.Helper()
	h := m.hs[to]
	e := h.entry(ref)
	l, err := h.logOf(m.t.Context(), e.Basin(), e.Log())
	if err != nil {
		m.t.Fatal(err)
	}
	m.claims.move(l.name, to)
	m.until("the log is taken over", l.mine)
}

// until waits for cond, a second at a time.
func (m *team) until(what string, cond func() bool) {
	m.t.Helper()
	for range 1000 {
		if synctest.Wait(); cond() {
			return
		}
		time.Sleep(time.Second)
	}
	m.t.Fatalf("never happened: %s", what)
}

// kill ends a broker's background, as when its machine is lost.
func (m *team) kill(i int) {
	m.hs[i].Adapter.cancel()
	synctest.Wait()
}

// stream makes a stream at broker 0, which owns its log from now on, and lets all brokers know it.
func (m *team) stream(name string, config protocol.StreamConfig) protocol.StreamRef {
	m.t.Helper()
	basin := protocol.BasinName("test-basin")
	if _, _, ok := m.hs[0].catalog.View.Basin(basin); !ok {
		m.hs[0].basin(string(basin), protocol.BasinConfig{})
	}
	ref := m.hs[0].stream(basin, name, config)
	synctest.Wait()
	if l := m.hs[0].openedLog(basin, m.hs[0].entry(ref).Log()); l == nil || !l.mine() {
		m.give(ref, 0)
	}
	return ref
}

// gone reports whether no broker knows a stream any more.
func (m *team) gone(ref protocol.StreamRef) bool {
	return !slices.ContainsFunc(m.hs, func(h *harness) bool {
		e, _, _ := h.catalog.View.Stream(ref)
		return e != nil
	})
}

func aged(secs uint64) protocol.StreamConfig {
	return protocol.StreamConfig{RetentionPolicy: &protocol.RetentionPolicy{AgeSecs: secs}}
}

// stored counts the records that JetStream holds of a stream, those that have expired or are trimmed included.
func (h *harness) stored(ref protocol.StreamRef) (records int) {
	h.t.Helper()
	e := h.entry(ref)
	l, err := h.logOf(h.t.Context(), e.Basin(), e.Log())
	if err != nil {
		h.t.Fatal(err)
	}
	for at := js.Seq(1); ; {
		c, err := l.getNext(h.t.Context(), l.subjectOf(e), at)
		if err != nil {
			return records
		}
		records += c.Records.Len()
		at = c.seq + 1
	}
}

// getsMade counts the gets that a broker has made.
func (m *team) getsMade(i int) (n uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, nc := range m.conns[i] {
		if strings.HasPrefix(nc.Opts.Name, "weir: read") {
			n += nc.Stats().OutMsgs
		}
	}
	return n
}

// purges counts those of streams and basins from now on, by all brokers.
func purges(t *testing.T, h *harness) (count func() uint64) {
	t.Helper()
	nc, err := h.opts.Connect("purges")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	seen := make(chan struct{}, 1<<16)
	if _, err := nc.Subscribe("$JS.API.STREAM.PURGE.>", func(m *nats.Msg) {
		if !strings.Contains(string(m.Data), "_runs") {
			seen <- struct{}{}
		}
	}); err != nil {
		t.Fatal(err)
	}
	synctest.Wait() // the server knows the subscription; a Flush would take a timer out of a pool that other bubbles use
	return func() uint64 {
		synctest.Wait()
		return uint64(len(seen))
	}
}

// Only the owner of a log looks at its streams. What it does is done once, and the other node's requests do not grow with the streams.
func TestOnlyTheOwnerTendsStreams(t *testing.T) {
	teamBubble(t, "owner and another node", 2, 1, func(t *testing.T, m *team) {
		owner, other := m.hs[0], m.hs[1]
		const streams = 50
		var refs []protocol.StreamRef
		for i := range streams {
			config := idleConfig(1000, 60)
			config.Expiry = &protocol.Expiry{IdleSecs: 100_000}
			ref := m.stream(fmt.Sprint("s", i), config)
			other.mustAppend(ref, body("x"))
			refs = append(refs, ref)
		}
		time.Sleep(2 * unloadAfter) // what the appends have loaded at the other node goes
		purged, before := purges(t, owner), m.getsMade(1)
		time.Sleep(1000 * time.Second) // the records expire
		if n := purged(); n != streams {
			t.Errorf("%d purges for the retention of %d streams", n, streams)
		}
		time.Sleep(660*time.Second + 2*reapEvery)
		for _, ref := range refs {
			if !m.gone(ref) {
				t.Fatalf("%v was not deleted", ref)
			}
		}
		if n := purged(); n != 2*streams {
			t.Errorf("%d purges for the retention and deletion of %d streams", n, streams)
		}
		if n := m.getsMade(1) - before; n != 0 {
			t.Errorf("the other node made %d gets", n)
		}
		if n := other.queued(); n != 0 {
			t.Errorf("%d streams are in the queue of the other node", n)
		}
		other.sizes.mu.Lock()
		defer other.sizes.mu.Unlock()
		if n := len(other.sizes.changed); n != 0 {
			t.Errorf("%d streams are to be measured by the other node", n)
		}
	})
}

// A node that becomes the owner misses no deadline, whatever it knew of the streams before.
func TestDutiesAfterAChangeOfTheOwner(t *testing.T) {
	teamBubble(t, "retention", 2, 1, func(t *testing.T, m *team) {
		ref := m.stream("s", aged(600))
		m.hs[0].mustAppend(ref, body("x"))
		time.Sleep(300 * time.Second)
		m.give(ref, 1)
		m.kill(0)
		time.Sleep(290 * time.Second)
		if n := m.hs[1].stored(ref); n != 1 {
			t.Fatalf("%d records are stored before they expire", n)
		}
		m.until("the record is purged", func() bool { return m.hs[1].stored(ref) == 0 })
	})
	teamBubble(t, "retention, after the log was another node's for a while", 2, 1, func(t *testing.T, m *team) {
		ref := m.stream("s", aged(600))
		time.Sleep(10 * sweepEvery) // nothing is stored, so it is not looked at again
		m.give(ref, 1)
		m.hs[1].mustAppend(ref, body("x"))
		time.Sleep(10 * sweepEvery)
		m.give(ref, 0)
		m.kill(1)
		m.until("the record is purged", func() bool { return m.hs[0].stored(ref) == 0 })
	})
	teamBubble(t, "a trim that was not carried out", 2, 1, func(t *testing.T, m *team) {
		ref := m.stream("s", aged(0))
		for range 5 {
			m.hs[0].mustAppend(ref, body("x"))
		}
		m.kill(0) // its janitor, but not its sequencer
		m.hs[0].mustAppend(ref, protocol.TrimRecord(5))
		m.give(ref, 1)
		m.until("the trimmed records are purged", func() bool { return m.hs[1].stored(ref) == 1 })
	})
	teamBubble(t, "delete-on-empty", 2, 1, func(t *testing.T, m *team) {
		ref := m.stream("s", idleConfig(120, 60))
		m.hs[0].mustAppend(ref, body("x"))
		time.Sleep(500 * time.Second)
		m.give(ref, 1)
		m.kill(0)
		time.Sleep(270 * time.Second)
		if m.gone(ref) {
			t.Fatal("deleted too early")
		}
		time.Sleep(10*time.Second + reapEvery*11/10 + sweepEvery)
		if synctest.Wait(); !m.hs[1].isGone(ref) {
			t.Fatal("not deleted")
		}
	})
	teamBubble(t, "delete-on-empty, with an earlier deadline than the node knew", 2, 1, func(t *testing.T, m *team) {
		ref := m.stream("s", idleConfig(100_000, 60))
		m.hs[0].mustAppend(ref, body("x")) // arms a deadline in a day
		time.Sleep(1000 * time.Second)
		m.give(ref, 1)
		m.hs[1].mustAppend(ref, protocol.TrimRecord(^uint64(0))) // and one in 660 s
		m.give(ref, 0)
		m.kill(1)
		time.Sleep(650 * time.Second)
		if m.hs[0].isGone(ref) {
			t.Fatal("deleted too early")
		}
		time.Sleep(10*time.Second + reapEvery*11/10 + sweepEvery)
		if synctest.Wait(); !m.hs[0].isGone(ref) {
			t.Fatal("not deleted")
		}
	})
	teamBubble(t, "expiry", 2, 1, func(t *testing.T, m *team) {
		at := m.stream("at", protocol.StreamConfig{Expiry: &protocol.Expiry{At: inSecs(900)}})
		idle := m.stream("idle", protocol.StreamConfig{Expiry: &protocol.Expiry{IdleSecs: 800}})
		time.Sleep(500 * time.Second)
		m.give(at, 1)
		m.kill(0)
		time.Sleep(300 * time.Second)
		if m.hs[1].isGone(at) || m.hs[1].isGone(idle) {
			t.Fatal("deleted too early")
		}
		time.Sleep(200*time.Second + 2*reapEvery)
		if synctest.Wait(); !m.hs[1].isGone(at) || !m.hs[1].isGone(idle) {
			t.Fatal("not deleted")
		}
	})
}

// With leases: a node that is lost leaves its logs and the account to others, and logs that no live node owns get an owner although no client uses them.
func TestDutiesOfLostNodes(t *testing.T) {
	leasedBubble(t, "one after the other", 3, 4, func(t *testing.T, m *team) {
		b := m.hs[0].basin("test-basin", protocol.BasinConfig{})
		var refs []protocol.StreamRef
		for i := range 20 {
			ref := m.hs[i%3].stream(b, fmt.Sprint("s", i), aged(600))
			m.hs[i%3].mustAppend(ref, body("x"))
			refs = append(refs, ref)
		}
		left := func(h *harness) (n int) {
			for _, ref := range refs {
				n += h.stored(ref)
			}
			return n
		}
		cut := func(i int) { // no lease any more, and nothing is done
			m.mu.Lock()
			for _, nc := range m.conns[i] {
				nc.Close()
			}
			m.mu.Unlock()
			m.kill(i)
		}
		time.Sleep(300 * time.Second)
		cut(0)
		time.Sleep(100 * time.Second)
		cut(1)
		time.Sleep(190 * time.Second)
		if n := left(m.hs[2]); n != len(refs) {
			t.Fatalf("%d records are left before they expire", n)
		}
		m.until("all records are purged", func() bool { return left(m.hs[2]) == 0 })
		m.until("the last one keeps the account", m.hs[2].KeepsAccount)
		if err := m.hs[2].DeleteBasin(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		m.wantNothingOf(b, 4, 2)
	})
	leasedBubble(t, "all, and one starts that gets no request", 2, 4, func(t *testing.T, m *team) {
		b := m.hs[0].basin("test-basin", protocol.BasinConfig{})
		for i := range 20 {
			m.hs[i%2].mustAppend(m.hs[i%2].stream(b, fmt.Sprint("s", i), aged(600)), body("x"))
		}
		for _, h := range m.hs {
			if err := h.Adapter.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		h := m.hs[1]
		h.open()
		purged := purges(t, h)
		time.Sleep(610 * time.Second)
		if n := purged(); n != 20 {
			t.Errorf("%d purges", n)
		}
	})
}

func (h *harness) isGone(ref protocol.StreamRef) bool {
	e, _, _ := h.catalog.View.Stream(ref)
	return e == nil
}

// The owner of the log removes a stream that another node was asked to delete, and the next owner does if that one is lost meanwhile.
func TestDeletedStreamsOfOtherNodes(t *testing.T) {
	teamBubble(t, "by the owner", 3, 1, func(t *testing.T, m *team) {
		ref := m.stream("s", aged(0))
		m.hs[1].mustAppend(ref, body("x"))
		purged := purges(t, m.hs[0])
		if err := m.hs[2].DeleteStream(t.Context(), ref); err != nil {
			t.Fatal(err)
		}
		m.until("the stream is removed", func() bool { return m.gone(ref) })
		if n := purged(); n != 1 {
			t.Errorf("%d purges", n)
		}
	})
	teamBubble(t, "by the next owner", 3, 1, func(t *testing.T, m *team) {
		ref := m.stream("s", aged(0))
		m.hs[1].mustAppend(ref, body("x"))
		m.kill(0)
		if err := m.hs[2].DeleteStream(t.Context(), ref); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * sweepEvery)
		if synctest.Wait(); m.hs[1].isGone(ref) || m.hs[2].isGone(ref) {
			t.Fatal("a node removed it that does not own the log")
		}
		m.give(ref, 1)
		m.until("the stream is removed", func() bool { return m.hs[1].isGone(ref) && m.hs[2].isGone(ref) })
	})
}

// spread makes a basin with streams in all logs, gives the logs to the brokers in turn, and the account to the last one.
func (m *team) spread(logs int) (protocol.BasinName, []protocol.StreamRef) {
	m.t.Helper()
	b := m.hs[0].basin("test-basin", protocol.BasinConfig{})
	refs := map[int]protocol.StreamRef{}
	var all []protocol.StreamRef
	for i := 0; len(refs) < logs; i++ {
		ref := m.hs[0].stream(b, fmt.Sprint("s", i), aged(0))
		synctest.Wait()
		all = append(all, ref)
		m.hs[0].mustAppend(ref, body("x"))
		refs[m.hs[0].entry(ref).Log()] = ref
	}
	synctest.Wait()
	for log, ref := range refs {
		m.give(ref, log%len(m.hs))
	}
	m.keep(len(m.hs) - 1)
	return b, all
}

// keep makes a broker the keeper of the account.
func (m *team) keep(i int) {
	m.t.Helper()
	m.claims.move(accountClaim, i)
	m.until("the keeper knows", m.hs[i].KeepsAccount)
}

func (m *team) wantNothingOf(b protocol.BasinName, logs int, living ...int) {
	m.t.Helper()
	m.until("the basin is removed", func() bool {
		for _, i := range living {
			if _, _, ok := m.hs[i].catalog.View.Basin(b); ok {
				return false
			}
		}
		return true
	})
	for number := range logs {
		id, _ := layout.LogOf(b, number)
		l := &log{a: m.hs[living[0]].Adapter, id: id, name: id.Stream("s2")}
		if n, err := l.count(m.t.Context(), b); n != 0 || err != nil {
			m.t.Errorf("%d chunks are left in log %d, %v", n, number, err)
		}
	}
	keys, err := m.hs[living[0]].catalog.Bucket().Keys(m.t.Context())
	keys = slices.DeleteFunc(keys, func(key string) bool { return key == "h.horizon" }) // the account's
	if err == nil && len(keys) > 0 {
		m.t.Errorf("left in the catalog: %v", keys)
	}
}

// A deleted basin is removed by the owners of its logs and the keeper together, also when they change meanwhile.
func TestDeletedBasinsOfSeveralNodes(t *testing.T) {
	const logs = 4
	teamBubble(t, "once", 3, logs, func(t *testing.T, m *team) {
		b, _ := m.spread(logs)
		purged := purges(t, m.hs[0])
		if err := m.hs[1].DeleteBasin(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		m.wantNothingOf(b, logs, 0, 1, 2)
		if n := purged(); n != logs {
			t.Errorf("%d purges in %d logs", n, logs)
		}
		for _, h := range m.hs {
			if _, _, err := h.CreateBasin(t.Context(), protocol.CreateBasinRequest{Basin: b}); err != nil {
				t.Fatal(err)
			}
			ref := h.stream(b, "s0", protocol.StreamConfig{})
			for _, h := range m.hs {
				h.mustAppend(ref, body("x"))
			}
			if err := h.DeleteBasin(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			m.wantNothingOf(b, logs, 0, 1, 2)
		}
	})
	teamBubble(t, "an owner is lost before", 3, logs, func(t *testing.T, m *team) {
		b, refs := m.spread(logs)
		m.kill(1)
		if err := m.hs[0].DeleteBasin(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * sweepEvery)
		if _, _, ok := m.hs[2].catalog.View.Basin(b); !ok {
			t.Fatal("the keeper did not wait for all owners")
		}
		for _, ref := range refs {
			if m.hs[0].entry(ref).Log()%3 == 1 {
				m.give(ref, 2)
				break
			}
		}
		m.wantNothingOf(b, logs, 0, 2)
	})
	teamBubble(t, "the keeper is lost before", 3, logs, func(t *testing.T, m *team) {
		b, refs := m.spread(logs)
		for _, ref := range refs {
			if m.hs[0].entry(ref).Log()%3 == 2 {
				m.give(ref, 0)
			}
		}
		m.kill(2)
		if err := m.hs[0].DeleteBasin(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		m.until("the chunks are removed", func() bool {
			rec, _, _ := m.hs[1].catalog.View.Basin(b)
			return len(rec.Purged) == logs
		})
		time.Sleep(10 * sweepEvery)
		if _, _, ok := m.hs[0].catalog.View.Basin(b); !ok {
			t.Fatal("a node removed the basin that does not keep the account")
		}
		m.keep(1)
		m.wantNothingOf(b, logs, 0, 1)
	})
	teamBubble(t, "a log that was never written to", 2, logs, func(t *testing.T, m *team) {
		b := m.hs[0].basin("test-basin", protocol.BasinConfig{})
		for i := range 10 {
			m.hs[0].stream(b, fmt.Sprint("s", i), aged(0))
		}
		m.keep(1)
		if err := m.hs[0].DeleteBasin(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		m.wantNothingOf(b, logs, 0, 1)
	})
}

// Every stream is measured by the owner of its log alone, and the parts of a basin add up to what is stored.
func TestSizesOfSeveralNodes(t *testing.T) {
	const logs = 4
	teamBubble(t, "parts", 2, logs, func(t *testing.T, m *team) {
		b, refs := m.spread(logs)
		record := body("x")
		each := record.MeteredSize()
		parts := func() (of map[int]uint64, sum uint64) {
			of = map[int]uint64{}
			for _, h := range m.hs {
				h.EachPart(func(basin protocol.BasinName, part int, bytes uint64) {
					if _, twice := of[part]; twice || basin != b {
						t.Errorf("part %d of %s twice", part, basin)
					}
					of[part] = bytes
					sum += bytes
				})
			}
			return of, sum
		}
		time.Sleep(2*sizeEvery + 3*surveyEvery)
		of, sum := parts()
		if len(of) != logs || sum != uint64(len(refs))*each {
			t.Fatalf("parts %v, want %d bytes in %d logs", of, uint64(len(refs))*each, logs)
		}
		m.hs[0].mustAppend(refs[0], record)
		m.give(refs[0], 1)
		m.hs[0].mustAppend(refs[0], record)
		time.Sleep(2*sizeEvery + 3*surveyEvery)
		if of, sum = parts(); len(of) != logs || sum != uint64(len(refs)+2)*each {
			t.Errorf("parts %v, want %d bytes", of, uint64(len(refs)+2)*each)
		}
		if err := m.hs[0].DeleteStream(t.Context(), refs[0]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * sizeEvery)
		if of, sum = parts(); sum != uint64(len(refs)-1)*each {
			t.Errorf("parts %v, want %d bytes", of, uint64(len(refs)-1)*each)
		}
	})
}

// A take-over hands the looks at streams out over time.
func TestLooksAfterATakeOverAreSpread(t *testing.T) {
	teamBubble(t, "delete-on-empty", 2, 1, func(t *testing.T, m *team) {
		m.hs[0].basin("test-basin", protocol.BasinConfig{})
		ref := m.stream("s", idleConfig(0, 60))
		m.give(ref, 1)
		e := m.hs[1].entry(ref)
		e.Checks.EmptyAt.Store(0)
		now, looks := catalog.Seconds(time.Now()), uint64(5*looksPerSecond)
		m.hs[1].renewals.forget(e, &looks)
		if at := e.Checks.EmptyAt.Load(); at != now+5 {
			t.Errorf("the look is %d s later, want 5", at-now)
		}
	})
}
