package adapter

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/adapter/internal/catalog"

	"github.com/weirstream/weir/protocol"
)

// idleConfig enables delete-on-empty; an age of 0 is infinite retention.
func idleConfig(ageSecs, minAgeSecs uint64) protocol.StreamConfig {
	return protocol.StreamConfig{RetentionPolicy: &protocol.RetentionPolicy{AgeSecs: ageSecs}, DeleteOnEmptyMinAge: &minAgeSecs}
}

func (h *harness) idleStream(ageSecs, minAgeSecs uint64) protocol.StreamRef {
	h.t.Helper()
	return h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", idleConfig(ageSecs, minAgeSecs))
}

// deadlines returns what is armed for a stream, in order of time.
func (h *harness) deadlines(ref protocol.StreamRef) []catalog.Deadline {
	h.t.Helper()
	e, _, _ := h.catalog.View.Stream(ref)
	if e == nil {
		h.t.Fatal("the stream is gone")
	}
	l, err := h.logOf(h.t.Context(), e.Basin(), e.Log())
	if err != nil {
		h.t.Fatal(err)
	}
	newest, _ := l.getLast(h.t.Context(), l.subjectOf(e))
	ds := e.Deadlines(newest.lastAppend(), newest.emptied())
	slices.SortFunc(ds, func(a, b catalog.Deadline) int { return int(a.At) - int(b.At) })
	return ds
}

func (h *harness) wantDeadlines(ref protocol.StreamRef, want ...catalog.Deadline) {
	h.t.Helper()
	if got := h.deadlines(ref); !slices.Equal(got, want) {
		h.t.Fatalf("armed %v, want %v, now is %d", got, want, nowSecs())
	}
}

// wantDeleted and wantKept look after the next pass that a deadline within secs from now can cause.
func (h *harness) wantDeleted(ref protocol.StreamRef, secs int) {
	h.t.Helper()
	h.pass(secs)
	if _, err := h.GetStreamConfig(h.t.Context(), ref); protocol.CodeOf(err) != protocol.CodeStreamNotFound {
		h.t.Fatalf("the stream was not deleted: %v", err)
	}
}

func (h *harness) wantKept(ref protocol.StreamRef, secs int) {
	h.t.Helper()
	h.pass(secs)
	if _, err := h.GetStreamConfig(h.t.Context(), ref); err != nil {
		h.t.Fatalf("the stream was not kept: %v", err)
	}
}

// pass lets secs go by, and the longest time between two passes.
func (h *harness) pass(secs int) {
	time.Sleep(time.Duration(secs)*time.Second + reapEvery*11/10)
	synctest.Wait()
}

func (h *harness) setMinAge(ref protocol.StreamRef, secs uint64) {
	h.t.Helper()
	change := protocol.StreamReconfiguration{DeleteOnEmptyMinAge: protocol.Set(secs)}
	if _, err := h.ReconfigureStream(h.t.Context(), ref, change); err != nil {
		h.t.Fatal(err)
	}
}

// deadline is one at a time in seconds, with the min_age_secs of its arming.
func deadline(at, minAge uint64) catalog.Deadline { return catalog.Deadline{At: at, MinAge: minAge} }

// arm replaces what is armed in a stream's record.
func (h *harness) arm(ref protocol.StreamRef, ds ...catalog.Deadline) {
	h.t.Helper()
	e, _, _ := h.catalog.View.Stream(ref)
	rec := e.Record()
	rec.Idle = &catalog.IdleRecord{Deadlines: ds}
	if err := h.updateStream(h.t.Context(), e, rec); err != nil {
		h.t.Fatal(err)
	}
}

func nowSecs() uint64 { return catalog.Seconds(time.Now()) }

func TestRowsDeleteOnEmpty(t *testing.T) {
	bubble(t, "cp A.16/287 deadline passed, empty, last write old enough", func(t *testing.T, h *harness) {
		ref := h.idleStream(120, 60)
		h.mustAppend(ref, body("x"))
		h.wantKept(ref, 600)
		h.wantDeleted(ref, 180-66)
		if n := h.queued(); n != 0 {
			t.Fatalf("%d entries are left in the queue", n)
		}
	})
	bubble(t, "cp A.16/288 never-written stream", func(t *testing.T, h *harness) {
		ref := h.idleStream(120, 60)
		h.wantKept(ref, 780-1-66)
		h.wantDeleted(ref, 1)
	})
	bubble(t, "cp A.16/289 last write after the cut-off", func(t *testing.T, h *harness) {
		ref := h.idleStream(120, 60)
		time.Sleep(730 * time.Second)
		h.mustAppend(ref, protocol.TrimRecord(^uint64(0))) // a write, and no record is left
		wrote := nowSecs()
		h.wantKept(ref, 50)
		h.wantDeadlines(ref, deadline(wrote+60+600, 60))
	})
	bubble(t, "cp A.16/290 records present", func(t *testing.T, h *harness) {
		ref := h.idleStream(0, 60)
		h.mustAppend(ref, body("x"))
		h.wantKept(ref, 660)
		h.wantDeadlines(ref)
		if got := h.read(ref, 0); len(got) != 1 {
			t.Fatalf("%d records are left", len(got))
		}
		h.wantKept(ref, 100_000)
	})
	bubble(t, "cp A.16/291 deadline in the future", func(t *testing.T, h *harness) {
		ref := h.idleStream(0, 60)
		armed := deadline(nowSecs()+660, 60)
		h.wantKept(ref, 660-70)
		h.wantDeadlines(ref, armed)
	})
	bubble(t, "cp A.16/292 several deadlines for one stream", func(t *testing.T, h *harness) {
		ref := h.idleStream(0, 60)
		h.mustAppend(ref, body("x"))
		now := nowSecs()
		h.arm(ref, deadline(now+10, 1), deadline(now+11, 2), deadline(now+12, 3))
		h.wantDeadlines(ref, deadline(now+10, 1), deadline(now+11, 2), deadline(now+12, 3))
		h.wantKept(ref, 12)
		h.wantDeadlines(ref)
	})
	bubble(t, "cp A.16/293 the later cut-off counts", func(t *testing.T, h *harness) {
		ref := h.idleStream(0, 60)
		time.Sleep(100 * time.Second)
		h.mustAppend(ref, protocol.TrimRecord(^uint64(0)))
		wrote := nowSecs()
		h.arm(ref, deadline(wrote+150, 200), deadline(wrote+160, 70))
		h.wantDeleted(ref, 160)
	})
	bubble(t, "cp A.16/293 alone, the earlier one keeps the stream", func(t *testing.T, h *harness) {
		ref := h.idleStream(0, 60)
		time.Sleep(100 * time.Second)
		h.mustAppend(ref, protocol.TrimRecord(^uint64(0)))
		wrote := nowSecs()
		h.arm(ref, deadline(wrote+150, 200))
		h.wantKept(ref, 160)
		h.wantDeadlines(ref, deadline(wrote+660, 60))
	})
	bubble(t, "cp A.16/296 disabled before the deadline", func(t *testing.T, h *harness) {
		ref := h.idleStream(0, 60)
		time.Sleep(100 * time.Second)
		h.setMinAge(ref, 0)
		h.wantKept(ref, 660)
		h.wantDeadlines(ref)
		h.setMinAge(ref, 30)
		armed := deadline(nowSecs()+630, 30)
		h.wantDeadlines(ref, armed)
		h.wantKept(ref, 560)
		h.wantDeleted(ref, 70)
	})
	bubble(t, "cp A.16/297 and data plane A.7/130: append in flight at the check", func(t *testing.T, h *harness) {
		ref := h.idleStream(1, 60)
		s := h.handle(ref)
		defer s.Close()
		gate := make(chan error)
		swapSync(h.Adapter, (&gatedSync{gate}).sync)
		out := submit(t, s.Appender(), protocol.AppendInput{Records: []protocol.Record{body("x")}})
		time.Sleep(800 * time.Second)
		synctest.Wait()
		close(gate)
		if got := <-out; got.err != nil {
			t.Fatal(got.err)
		}
		h.wantKept(ref, 0)
		h.mustAppend(ref, body("y"))
	})
	bubble(t, "cp A.16/303 stream unknown at the check", func(t *testing.T, h *harness) {
		ref := h.idleStream(0, 60)
		if err := h.DeleteStream(t.Context(), ref); err != nil {
			t.Fatal(err)
		}
		h.wantDeleted(ref, 0)
		again := h.stream(ref.Basin, "s", protocol.StreamConfig{}) // a successor that has nothing to do with it
		h.wantKept(again, 700)
		if n := h.queued(); n != 0 {
			t.Fatalf("%d entries are left in the queue", n)
		}
	})
	bubble(t, "cp A.16/304 deleted by the task as by DeleteStream", func(t *testing.T, h *harness) {
		ref := h.idleStream(1, 60)
		h.mustAppend(ref, body("old"), protocol.FenceRecord("tok"))
		s := h.handle(ref)
		defer s.Close()
		feed, _, err := s.Follow(t.Context(), 2)
		if err != nil {
			t.Fatal(err)
		}
		defer feed.Close()
		h.wantDeleted(ref, 661)
		for err == nil {
			_, _, err = feed.Poll()
		}
		if protocol.CodeOf(err) != protocol.CodeUnavailable {
			t.Fatalf("a follower ended with %v", err)
		}
		if got := <-submit(t, s.Appender(), protocol.AppendInput{Records: []protocol.Record{body("late")}}); got.err == nil {
			t.Fatalf("an open handle appended: %+v", got.ack)
		}
		h.stream(ref.Basin, "s", protocol.StreamConfig{})
		if ack := h.mustAppend(ref, body("new")); ack.Start.SeqNum != 0 {
			t.Fatalf("the successor begins at %+v", ack.Start)
		}
	})
}

func TestRowsDeleteOnEmptyArming(t *testing.T) {
	bubble(t, "cp A.16/294 off to on", func(t *testing.T, h *harness) {
		ref := h.idleStream(120, 0)
		h.mustAppend(ref, body("x"))
		h.wantDeadlines(ref)
		time.Sleep(5 * time.Second)
		h.setMinAge(ref, 30)
		h.wantDeadlines(ref, deadline(nowSecs()+120+30+600, 30))
		h.wantDeleted(ref, 750)
	})
	bubble(t, "cp A.16/295 10 s to 600 s", func(t *testing.T, h *harness) {
		ref := h.idleStream(120, 10)
		armed := deadline(nowSecs()+120+10+600, 10)
		h.setMinAge(ref, 600)
		h.wantDeadlines(ref, armed)
		h.wantDeleted(ref, 730)
	})
	bubble(t, "cp A.16/295 600 s to 10 s, after an append", func(t *testing.T, h *harness) {
		ref := h.idleStream(120, 600)
		h.mustAppend(ref, body("x"))
		armed := deadline(nowSecs()+120+600+600, 600)
		h.setMinAge(ref, 10)
		h.wantDeadlines(ref, armed, armed) // of the creation and of the append
		h.wantKept(ref, 1320-67)
		h.wantDeleted(ref, 1)
	})
	bubble(t, "cp A.16/298 created with the feature, infinite retention", func(t *testing.T, h *harness) {
		ref := h.idleStream(0, 60)
		h.wantDeadlines(ref, deadline(nowSecs()+60+600, 60))
	})
	bubble(t, "cp A.16/299 a trim that removes everything", func(t *testing.T, h *harness) {
		ref := h.idleStream(0, 60)
		created := nowSecs()
		time.Sleep(10 * time.Second)
		h.mustAppend(ref, body("x"), protocol.TrimRecord(1)) // leaves its own record
		h.wantDeadlines(ref, deadline(created+660, 60))
		h.mustAppend(ref, protocol.TrimRecord(^uint64(0)))
		h.wantDeadlines(ref, deadline(created+660, 60), deadline(nowSecs()+660, 60))
		h.wantDeleted(ref, 660)
	})
	bubble(t, "cp A.16/300 a trim that removes everything, feature off", func(t *testing.T, h *harness) {
		ref := h.idleStream(0, 0)
		h.mustAppend(ref, protocol.TrimRecord(^uint64(0)))
		h.wantDeadlines(ref)
		h.wantKept(ref, 10_000)
	})
	bubble(t, "cp A.16/301 appends every second, age retention", func(t *testing.T, h *harness) {
		ref := h.idleStream(120, 60)
		created := nowSecs()
		for range 30 {
			time.Sleep(time.Second)
			h.mustAppend(ref, body("x"))
		}
		h.wantDeadlines(ref, deadline(created+780, 60), deadline(nowSecs()+780, 60))
		if n := h.queued(); n != 1 {
			t.Fatalf("%d entries in the queue", n)
		}
		h.wantDeleted(ref, 780)
	})
	bubble(t, "cp A.16/302 appends, infinite retention", func(t *testing.T, h *harness) {
		ref := h.idleStream(0, 0)
		h.setMinAge(ref, 60)
		h.arm(ref)
		h.mustAppend(ref, body("x"))
		h.wantDeadlines(ref)
	})
}

// queued is how many streams wait for the empty reaper.
func (h *harness) queued() int {
	h.reaper.mu.Lock()
	defer h.reaper.mu.Unlock()
	return len(h.reaper.queue)
}

func TestDeadlinesSurviveRestartsAndSeals(t *testing.T) {
	bubble(t, "never written", func(t *testing.T, h *harness) {
		ref := h.idleStream(120, 60)
		h.reopen()
		h.wantKept(ref, 780-67)
		h.reopen()
		h.wantDeleted(ref, 1)
	})
	bubble(t, "written", func(t *testing.T, h *harness) {
		ref := h.idleStream(1, 60)
		time.Sleep(620 * time.Second)
		h.mustAppend(ref, body("x"))
		armed := deadline(nowSecs()+661, 60)
		h.reopen()
		h.wantKept(ref, 661-67) // the creation's has passed, and a state chunk has taken the record's place
		h.reopen()
		h.wantDeadlines(ref, armed)
		h.wantDeleted(ref, 1)
	})
	bubble(t, "trimmed", func(t *testing.T, h *harness) {
		ref := h.idleStream(0, 60)
		h.mustAppend(ref, body("x"))
		h.wantKept(ref, 660)
		h.mustAppend(ref, protocol.TrimRecord(^uint64(0)))
		h.reopen()
		h.wantKept(ref, 660-67)
		h.wantDeleted(ref, 1)
	})
	bubble(t, "dealt with", func(t *testing.T, h *harness) {
		ref := h.idleStream(1000, 60)
		h.mustAppend(ref, body("x"))
		age := protocol.StreamReconfiguration{RetentionPolicy: protocol.Set(protocol.RetentionPolicy{AgeSecs: 1})}
		if _, err := h.ReconfigureStream(t.Context(), ref, age); err != nil {
			t.Fatal(err)
		}
		h.mustAppend(ref, body("y"))
		h.wantKept(ref, 662) // the first record is still there
		h.wantDeadlines(ref, deadline(nowSecs()-728+1660, 60))
		h.reopen()
		h.wantDeadlines(ref, deadline(nowSecs()-728+1660, 60))
	})
}

func TestEmptinessFinishesWhatACrashLeft(t *testing.T) {
	bubble(t, "between the terminal trim and the mark", func(t *testing.T, h *harness) {
		ref := h.idleStream(0, 60)
		h.mustAppend(ref, protocol.TrimRecord(^uint64(0)))
		s := h.handle(ref)
		if err := s.st.ask(t.Context(), terminalRequest); err != nil {
			t.Fatal(err)
		}
		s.Close()
		h.reopen()
		h.wantDeleted(ref, 0)
	})
}

func TestRetireIsRefusedWhenTheStreamIsInUse(t *testing.T) {
	for name, use := range map[string]func(h *harness, ref protocol.StreamRef){
		"appended to": func(h *harness, ref protocol.StreamRef) { h.mustAppend(ref, protocol.TrimRecord(^uint64(0))) },
		"disabled":    func(h *harness, ref protocol.StreamRef) { h.setMinAge(ref, 0) },
	} {
		bubble(t, name, func(t *testing.T, h *harness) {
			ref := h.idleStream(1, 60)
			h.mustAppend(ref, body("x"))
			time.Sleep(2 * time.Second)
			e, _, _ := h.catalog.View.Stream(ref)
			l, err := h.logOf(t.Context(), e.Basin(), e.Log())
			if err != nil {
				t.Fatal(err)
			}
			newest, err := l.getLast(t.Context(), l.subjectOf(e))
			if err != nil {
				t.Fatal(err)
			}
			use(h, ref)
			if gone, err := h.reaper.retire(t.Context(), l, e, &newest); gone || err != nil {
				t.Fatalf("retired %v, %v", gone, err)
			}
			h.mustAppend(ref, body("y"))
		})
	}
}

// What another server has appended since is seen only by JetStream, which refuses the terminal trim.
func TestRetireIsRefusedAfterAnAppendOfAnotherServer(t *testing.T) {
	h := newHarness(t, func(o *Options) { o.Shared = true })
	ref := h.idleStream(0, 60)
	h.mustAppend(ref, protocol.TrimRecord(^uint64(0)))
	s := h.handle(ref) // with the state of this moment
	defer s.Close()
	e, _, _ := h.catalog.View.Stream(ref)
	l, err := h.logOf(t.Context(), e.Basin(), e.Log())
	if err != nil {
		t.Fatal(err)
	}
	newest, err := l.getLast(t.Context(), l.subjectOf(e))
	if err != nil || !newest.emptied() {
		t.Fatal(newest, err)
	}
	other := *h
	if other.Adapter, err = Open(t.Context(), h.opts); err != nil {
		t.Fatal(err)
	}
	defer other.Adapter.Close(t.Context())
	other.mustAppend(ref, body("y"))
	if gone, err := h.reaper.retire(t.Context(), l, e, &newest); gone || err != nil {
		t.Fatalf("retired %v, %v", gone, err)
	}
	if got := h.read(ref, 0); len(got) != 1 || string(got[0].Body) != "y" {
		t.Fatalf("%d records are left", len(got))
	}
	h.mustAppend(ref, body("z"))
}

func TestManyStreamsEmptyAtOnce(t *testing.T) {
	bubble(t, "more than a page", func(t *testing.T, h *harness) {
		b := h.basin("test-basin", protocol.BasinConfig{})
		const n = 50
		for i := range n {
			h.stream(b, string(body("s%d", i).Body), idleConfig(1, 1))
		}
		time.Sleep(602*time.Second + reapEvery*11/10)
		synctest.Wait()
		page, err := h.ListStreams(t.Context(), b, protocol.ListRequest{})
		if err != nil || len(page.Streams) != 0 {
			t.Fatalf("%d of %d streams are left, %v", len(page.Streams), n, err)
		}
	})
}
