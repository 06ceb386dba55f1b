package durable

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/weirstream/weir/adapter/internal/js"
)

// Log is a log whose chunks the committer makes durable. Its methods return at once.
type Log interface {
	// Name is that of the JetStream stream.
	Name() string
	// Durable says that the first so many chunks are on disk.
	Durable(chunks uint64)
	// Failed says that nothing becomes durable any more.
	Failed(err error)
}

// A Committer makes writes durable that JetStream has done, many at a time. It is one goroutine: it takes everything
// that waits, syncs the file system once, and answers all (docs/adr/0003). A sync that fails is final: the writes that it covered
// may or may not be on disk, and the kernel may have dropped the dirty pages, so nothing is acknowledged any more.
type Committer struct {
	config  Config
	catalog atomic.Uint64 // newest write to the catalog that a caller waits for

	mu      sync.Mutex
	logs    map[Log]reached
	later   map[string]js.Seq // how far the logs are that count before they are synced
	waiters []chan<- error
	failed  error
	wake    chan struct{}
	quit    chan struct{}
	done    chan struct{}
}

// Config has the parts that a committer works with.
type Config struct {
	// Sync puts everything that was written before the call on disk. With nil, a stored write counts as durable at once and
	// the committer has no goroutine.
	Sync func() error
	// OnFatal is called once, by the committer's goroutine, when a sync has failed.
	OnFatal func(error)
	// Watermarks receives the sequences that each sync covered; may be nil.
	Watermarks *Watermarks
	// Catalog is the name of the catalog's JetStream stream.
	Catalog string
}

// reached is how far a log is stored: how many chunks, and where the last of them stands.
type reached struct {
	chunks uint64
	seq    js.Seq
}

var errClosed = errors.New("the broker stopped before the write was confirmed")

// NewCommitter starts a committer, which Close ends.
func NewCommitter(config Config) *Committer {
	c := &Committer{config: config, logs: map[Log]reached{}, later: map[string]js.Seq{},
		wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	if config.Sync == nil {
		close(c.done)
		return c
	}
	go c.run()
	return c
}

// Config is the configuration of the committer.
func (c *Committer) Config() Config { return c.config }

// Stored reports to the committer that the first n chunks of a log are written, the last of them at seq. The committer calls
// the log's Durable with n or more once they are on disk.
func (c *Committer) Stored(l Log, n uint64, seq js.Seq) {
	if c.config.Sync == nil {
		l.Durable(n)
		return
	}
	c.mu.Lock()
	failed := c.failed
	if failed == nil {
		c.logs[l] = reached{n, seq}
	}
	c.mu.Unlock()
	if failed != nil {
		l.Failed(failed)
		return
	}
	c.poke()
}

// StoredLater notes how far a log is whose chunks count before they are on disk. It makes no sync; its watermark rises with
// the next.
func (c *Committer) StoredLater(log string, seq js.Seq) {
	if c.config.Sync == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.later[log] = seq
}

// WroteCatalog notes the revision of a write to the catalog, before it is waited for.
func (c *Committer) WroteCatalog(revision uint64) {
	for {
		old := c.catalog.Load()
		if old >= revision || c.catalog.CompareAndSwap(old, revision) {
			return
		}
	}
}

// Failure returns why nothing can be made durable any more, or nil.
func (c *Committer) Failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}

// Wait returns once everything that was written before the call is durable.
func (c *Committer) Wait(ctx context.Context) error {
	if c.config.Sync == nil {
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
			return errClosed
		}
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Committer) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *Committer) run() {
	defer close(c.done)
	logs, later := map[Log]reached{}, map[string]js.Seq{}
	var waiters []chan<- error
	for {
		select {
		case <-c.wake:
		case <-c.quit:
			return
		}
		c.mu.Lock()
		logs, c.logs = c.logs, logs
		later, c.later = c.later, later
		waiters, c.waiters = c.waiters, waiters
		c.mu.Unlock()

		catalog := c.catalog.Load()
		err := c.config.Sync()
		if err != nil {
			err = fmt.Errorf("sync of the store's file system failed, nothing is acknowledged any more: %w", err)
			c.mu.Lock()
			c.failed = err
			waiters = append(waiters, c.waiters...)
			for l := range c.logs {
				logs[l] = reached{}
			}
			c.mu.Unlock()
		}
		if err == nil {
			c.config.Watermarks.Set(c.config.Catalog, js.Seq(catalog))
			for log, seq := range later {
				c.config.Watermarks.Set(log, seq)
			}
		}
		for l, n := range logs {
			if err != nil {
				l.Failed(err)
				continue
			}
			c.config.Watermarks.Set(l.Name(), n.seq) // first: once the log has this report, it may be deleted
			l.Durable(n.chunks)
		}
		for _, w := range waiters {
			w <- err
		}
		clear(logs)
		clear(later)
		clear(waiters)
		waiters = waiters[:0]
		if err != nil {
			c.config.OnFatal(err)
			return
		}
	}
}

// Close stops the goroutine and waits for it.
func (c *Committer) Close() {
	if c.config.Sync != nil {
		close(c.quit)
	}
	<-c.done
}
