package tap

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/protocol"
)

// The limits of records that wait to be published: bytes in an account, bytes in all accounts together, and chunks in an account.
const (
	maxQueueBytes = 16 << 20
	maxAllBytes   = 64 << 20
	maxQueueItems = 16384
)

const (
	// idleAfter is how long an outlet keeps its goroutine and connection without anything to publish.
	idleAfter = 30 * time.Second
	// tellEvery is the time between two warnings about dropped records.
	tellEvery = 10 * time.Second
)

// item is a chunk to be published.
type item struct {
	subject string
	records protocol.Records
}

func (i item) size() int64 { return int64(len(i.records.Wire())) }

// Outlet publishes in one account.
type Outlet struct {
	hub     *Hub
	account Account
	wake    chan struct{}
	closing chan struct{}
	worker  sync.WaitGroup
	late    atomic.Bool // nothing more is published

	mu      sync.Mutex // guards the fields below
	queue   []item
	bytes   int64
	running bool // there is a worker
	closed  bool
	untold  uint64 // records dropped since the last warning
	told    time.Time
}

func newOutlet(h *Hub, a Account) *Outlet {
	return &Outlet{hub: h, account: a, wake: make(chan struct{}, 1), closing: make(chan struct{})}
}

// put queues a chunk; false if there is no room for it.
func (o *Outlet) put(i item) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return false
	}
	if n := i.size(); len(o.queue) >= maxQueueItems || o.bytes+n > maxQueueBytes || o.hub.queued.Load()+n > maxAllBytes {
		o.dropLocked(i.records.Len())
		return false
	}
	o.queue = append(o.queue, i)
	o.bytes += i.size()
	o.hub.queued.Add(i.size())
	if !o.running {
		o.running = true
		o.worker.Go(o.run)
	}
	select {
	case o.wake <- struct{}{}:
	default:
	}
	return true
}

func (o *Outlet) dropLocked(records int) {
	o.untold += uint64(records)
	o.hub.dropped.Add(uint64(records))
}

func (o *Outlet) drop(records int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dropLocked(records)
}

// take returns the queued items, and reuses the memory of empty for the next ones.
func (o *Outlet) take(empty []item) []item {
	o.mu.Lock()
	defer o.mu.Unlock()
	got := o.queue
	o.queue = empty[:0]
	return got
}

// release gives the room of published chunks back.
func (o *Outlet) release(bytes int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.bytes -= bytes
	o.hub.queued.Add(-bytes)
}

// retire ends the worker if there is nothing to do.
func (o *Outlet) retire() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) > 0 {
		return false
	}
	o.running = false
	return true
}

// run is the worker.
func (o *Outlet) run() {
	nc, err := o.account.Connect()
	if err != nil {
		o.hub.log.Error("live taps cannot connect to their account", slog.String("account", o.account.Name), slog.Any("error", err))
	} else {
		defer nc.Close()
	}
	pub := newPublisher(nc)
	idle := time.NewTimer(idleAfter)
	defer idle.Stop()
	var got []item
	for {
		select {
		case <-o.wake:
		case <-idle.C:
			if o.retire() {
				return
			}
		case <-o.closing:
			for got = o.take(got); len(got) > 0; got = o.take(got) {
				o.publish(pub, got)
			}
			if nc != nil && !o.late.Load() {
				_ = nc.FlushTimeout(time.Second) // a message that stays behind is lost, as to a late subscriber
			}
			return
		}
		for got = o.take(got); len(got) > 0; got = o.take(got) {
			o.publish(pub, got)
		}
		o.tell()
		if nc == nil {
			if o.retire() { // the next chunk tries again
				return
			}
		}
		idle.Reset(idleAfter)
	}
}

// publish publishes chunks, unless there is no connection.
func (o *Outlet) publish(pub *publisher, items []item) {
	for i := range items {
		left := items[i].records.Len()
		if !o.late.Load() {
			left = pub.publish(items[i])
		}
		if left > 0 {
			o.drop(left)
		}
		o.hub.published.Add(uint64(items[i].records.Len() - left))
		o.release(items[i].size())
		items[i] = item{}
	}
}

// tell warns about records that were dropped, from time to time.
func (o *Outlet) tell() {
	o.mu.Lock()
	n := o.untold
	if n == 0 || time.Since(o.told) < tellEvery {
		o.mu.Unlock()
		return
	}
	o.untold, o.told = 0, time.Now()
	o.mu.Unlock()
	o.hub.log.Warn("live taps dropped records: subscriptions do not keep up, or a record is larger than max_payload",
		slog.String("account", o.account.Name), slog.Uint64("records", n))
}

// Close publishes the queued records and ends the outlet. The records that are left when ctx ends are lost.
func (o *Outlet) Close(ctx context.Context) {
	o.hub.change(func(all []*Outlet) []*Outlet {
		return slices.DeleteFunc(all, func(other *Outlet) bool { return other == o })
	})
	o.mu.Lock()
	if !o.closed {
		o.closed = true
		close(o.closing)
	}
	o.mu.Unlock()
	late := context.AfterFunc(ctx, func() { o.late.Store(true) })
	defer late()
	o.worker.Wait()
}

// publisher makes messages of records, and owns the memory in which it makes them.
type publisher struct {
	nc        *nats.Conn // nil: there is none, and nothing is published
	msg       nats.Msg
	seqNum    [1]string
	timestamp [1]string
}

func newPublisher(nc *nats.Conn) *publisher {
	return &publisher{nc: nc, msg: nats.Msg{Header: nats.Header{}}}
}

// publish publishes the records of a chunk, and returns how many it could not.
func (p *publisher) publish(i item) (failed int) {
	if p.nc == nil {
		return i.records.Len()
	}
	p.msg.Subject = i.subject
	for rec := range i.records.All() {
		p.fill(&rec)
		if p.nc.PublishMsg(&p.msg) != nil { // larger than the server takes, or the connection is lost for long
			failed++
		}
	}
	return failed
}
