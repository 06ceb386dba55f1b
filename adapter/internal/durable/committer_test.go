package durable

import (
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
)

// testLog keeps what the committer tells it.
type testLog struct {
	mu      sync.Mutex
	durable uint64
	failed  error
}

func (l *testLog) Name() string { return "log" }

func (l *testLog) Durable(n uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.durable = n
}

func (l *testLog) Failed(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = err
}

func (l *testLog) told() (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.durable, l.failed
}

// What is stored while a sync runs is not covered by it.
func TestCommitterSyncsOnceForAllThatWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, let := make(chan int), make(chan error)
		syncs := 0
		c := NewCommitter(Config{Sync: func() error { syncs++; begun <- syncs; return <-let }, OnFatal: func(error) { t.Error("fatal") }})
		a, b := new(testLog), new(testLog)
		c.Stored(a, 1, 1)
		<-begun
		c.Stored(a, 3, 3)
		c.Stored(b, 2, 2)
		waited := make(chan error, 1)
		go func() { waited <- c.Wait(t.Context()) }()
		synctest.Wait()
		let <- nil
		<-begun
		if n, _ := a.told(); n != 1 {
			t.Fatalf("%d chunks of a are durable after the first sync", n)
		}
		if n, _ := b.told(); n != 0 || len(waited) != 0 {
			t.Fatal("what came during the first sync counts as durable")
		}
		let <- nil
		if err := <-waited; err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		na, _ := a.told()
		nb, _ := b.told()
		if na != 3 || nb != 2 || syncs != 2 {
			t.Fatalf("%d and %d chunks are durable after %d syncs", na, nb, syncs)
		}
		c.Close()
		if err := c.Wait(t.Context()); err == nil {
			t.Fatal("a closed committer confirms")
		}
	})
}

func TestCommitterFailsForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		let := make(chan error)
		var fatal error
		c := NewCommitter(Config{Sync: func() error { return <-let }, OnFatal: func(err error) { fatal = err }})
		a, b := new(testLog), new(testLog)
		c.Stored(a, 1, 1)
		synctest.Wait()
		c.Stored(b, 1, 1)
		waited := make(chan error, 1)
		go func() { waited <- c.Wait(t.Context()) }()
		synctest.Wait()
		disk := errors.New("input/output error")
		let <- disk
		if err := <-waited; !errors.Is(err, disk) {
			t.Fatal(err)
		}
		synctest.Wait()
		late := new(testLog)
		c.Stored(late, 1, 1)
		for i, s := range []*testLog{a, b, late} {
			if n, err := s.told(); n != 0 || !errors.Is(err, disk) {
				t.Errorf("log %d: %d durable, %v", i, n, err)
			}
		}
		if err := c.Wait(t.Context()); !errors.Is(err, disk) || !errors.Is(fatal, disk) || !errors.Is(c.Failure(), disk) {
			t.Fatal(err, fatal)
		}
		c.Close()
	})
}

// What counts before it is synced gets its watermark with the next sync, whoever asked for it.
func TestCommitterRaisesTheWatermarksOfWhatCountsEarlier(t *testing.T) {
	m, err := OpenWatermarks(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	m.Begin("log", 0)
	c := NewCommitter(Config{Sync: func() error { return nil }, OnFatal: func(error) { t.Error("fatal") }, Watermarks: m})
	defer c.Close()
	c.StoredLater("log", 7)
	if seq := m.All()["log"]; seq != 0 {
		t.Fatalf("the watermark is %d before any sync", seq)
	}
	if err := c.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if seq := m.All()["log"]; seq != 7 {
		t.Fatalf("the watermark is %d", seq)
	}
}
