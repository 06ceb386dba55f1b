package adapter

import (
	"errors"
	"testing"
	"testing/synctest"
)

func newMailOnly() *sequencer { return &sequencer{in: mailbox{wake: make(chan struct{}, 1)}} }

func (s *sequencer) durableMail() (uint64, error) {
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	return s.in.mail.durable, s.in.mail.failed
}

// What is stored while a sync runs is not covered by it.
func TestCommitterSyncsOnceForAllThatWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, let := make(chan int), make(chan error)
		syncs := 0
		c := newCommitter(func() error { syncs++; begun <- syncs; return <-let }, func(error) { t.Error("fatal") })
		a, b := newMailOnly(), newMailOnly()
		c.stored(a, 1, 1)
		<-begun
		c.stored(a, 3, 3)
		c.stored(b, 2, 2)
		waited := make(chan error, 1)
		go func() { waited <- c.wait(t.Context()) }()
		synctest.Wait()
		let <- nil
		<-begun
		if n, _ := a.durableMail(); n != 1 {
			t.Fatalf("%d chunks of a are durable after the first sync", n)
		}
		if n, _ := b.durableMail(); n != 0 || len(waited) != 0 {
			t.Fatal("what came during the first sync counts as durable")
		}
		let <- nil
		if err := <-waited; err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		na, _ := a.durableMail()
		nb, _ := b.durableMail()
		if na != 3 || nb != 2 || syncs != 2 {
			t.Fatalf("%d and %d chunks are durable after %d syncs", na, nb, syncs)
		}
		c.close()
		if err := c.wait(t.Context()); err == nil {
			t.Fatal("a closed committer confirms")
		}
	})
}

func TestCommitterFailsForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		let := make(chan error)
		var fatal error
		c := newCommitter(func() error { return <-let }, func(err error) { fatal = err })
		a, b := newMailOnly(), newMailOnly()
		c.stored(a, 1, 1)
		synctest.Wait()
		c.stored(b, 1, 1)
		waited := make(chan error, 1)
		go func() { waited <- c.wait(t.Context()) }()
		synctest.Wait()
		disk := errors.New("input/output error")
		let <- disk
		if err := <-waited; !errors.Is(err, disk) {
			t.Fatal(err)
		}
		synctest.Wait()
		late := newMailOnly()
		c.stored(late, 1, 1)
		for i, s := range []*sequencer{a, b, late} {
			if n, err := s.durableMail(); n != 0 || !errors.Is(err, disk) {
				t.Errorf("log %d: %d durable, %v", i, n, err)
			}
		}
		if err := c.wait(t.Context()); !errors.Is(err, disk) || !errors.Is(fatal, disk) || !errors.Is(c.failure(), disk) {
			t.Fatal(err, fatal)
		}
		c.close()
	})
}
