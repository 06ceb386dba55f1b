package adapter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// A committer makes writes durable that JetStream has done, many at a time. It is one goroutine: it takes everything
// that waits, syncs the file system once, and tells all (docs/adr/0003). A sync that fails is final: what it covered
// may or may not be on disk, and the kernel may have dropped the dirty pages, so nothing is acknowledged any more.
type committer struct {
	sync    func() error
	onFatal func(error)
	marks   *marks // told what each sync covered; may be nil
	// catalog is the newest write to the catalog that somebody waits for.
	catalog     atomic.Uint64
	catalogName string

	mu      sync.Mutex
	logs    map[*sequencer]reached
	waiters []chan<- error
	failed  error
	wake    chan struct{}
	quit    chan struct{}
	done    chan struct{}
}

// reached is how far a log is stored: how many chunks, and where the last of them stands.
type reached struct {
	chunks uint64
	seq    jsSeq
}

var errCommitterClosed = errors.New("the broker stopped before the write was confirmed")

// newCommitter starts a committer that calls sync. With a nil sync, what is stored counts as durable at once and there
// is no goroutine.
func newCommitter(sync func() error, onFatal func(error)) *committer {
	c := &committer{sync: sync, onFatal: onFatal, logs: map[*sequencer]reached{},
		wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	if sync == nil {
		close(c.done)
		return c
	}
	go c.run()
	return c
}

// stored tells the committer that the first n chunks of a log are written, the last of them at seq. The sequencer's
// durable method is called with n or more once they are on disk.
func (c *committer) stored(s *sequencer, n uint64, seq jsSeq) {
	if c.sync == nil {
		s.setDurable(n)
		return
	}
	c.mu.Lock()
	failed := c.failed
	if failed == nil {
		c.logs[s] = reached{n, seq}
	}
	c.mu.Unlock()
	if failed != nil {
		s.setFailed(failed)
		return
	}
	c.poke()
}

// wroteCatalog notes the revision of a write to the catalog, before it is waited for.
func (c *committer) wroteCatalog(revision uint64) {
	for {
		old := c.catalog.Load()
		if old >= revision || c.catalog.CompareAndSwap(old, revision) {
			return
		}
	}
}

// failure returns why nothing can be made durable any more, or nil.
func (c *committer) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}

// wait returns once everything that was written before the call is durable.
func (c *committer) wait(ctx context.Context) error {
	if c.sync == nil {
		return nil
	}
	ch := make(chan error, 1)
	c.mu.Lock()
	if c.failed != nil {
		defer c.mu.Unlock()
		return c.failed
	}
	c.waiters = append(c.waiters, ch)
	c.mu.Unlock()
	c.poke()
	select {
	case err := <-ch:
		return err
	case <-c.done:
		select {
		case err := <-ch:
			return err
		default:
			return errCommitterClosed
		}
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *committer) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *committer) run() {
	defer close(c.done)
	logs := map[*sequencer]reached{}
	var waiters []chan<- error
	for {
		select {
		case <-c.wake:
		case <-c.quit:
			return
		}
		c.mu.Lock()
		logs, c.logs = c.logs, logs
		waiters, c.waiters = c.waiters, waiters
		c.mu.Unlock()

		catalog := c.catalog.Load()
		err := c.sync()
		if err != nil {
			err = fmt.Errorf("sync of the store's file system failed, nothing is acknowledged any more: %w", err)
			c.mu.Lock()
			c.failed = err
			waiters = append(waiters, c.waiters...)
			for s := range c.logs {
				logs[s] = reached{}
			}
			c.mu.Unlock()
		}
		if err == nil && c.marks != nil {
			c.marks.set(c.catalogName, jsSeq(catalog))
		}
		for s, n := range logs {
			if err != nil {
				s.setFailed(err)
				continue
			}
			if c.marks != nil {
				c.marks.set(s.log.name, n.seq) // first: once its sequencer has heard, the log may be deleted
			}
			s.setDurable(n.chunks)
		}
		for _, w := range waiters {
			w <- err
		}
		clear(logs)
		clear(waiters)
		waiters = waiters[:0]
		if err != nil {
			c.onFatal(err)
			return
		}
	}
}

// close stops the goroutine and waits for it.
func (c *committer) close() {
	if c.sync != nil {
		close(c.quit)
	}
	<-c.done
}
