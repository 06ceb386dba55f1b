package metering

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/protocol"
)

const (
	// flushEvery is the interval at which the counts are written, and so about the time whose counts a crash loses.
	flushEvery = 10 * time.Second
	// sampleEvery is how often the sizes of basins are recorded.
	sampleEvery = time.Minute
	// keepFor is how long the meter holds on to an hour that is over and written: longer than any addition is late.
	keepFor = 10 * time.Minute
	// lateFor is how long after the end of a day the meter tries to write the counts of it. After that the day may be
	// rolled up and would not be looked at again.
	lateFor = 2 * time.Hour
	// idleHours is how long a basin that stores nothing is not used before its counters are given back.
	idleHours = 24
	// writeTimeout bounds one access to the store.
	writeTimeout = 5 * time.Second
)

// Sizes returns the stored sizes; see [Meter.Start].
type Sizes interface {
	// BasinParts yields the metered bytes stored in a basin, as far as this process knows them: of the whole, part 0, or where several processes share the
	// store of parts that no other process knows at the time. It returns false if there is no such basin, or nothing is known of it.
	BasinParts(ctx context.Context, basin protocol.BasinName, yield func(part int, bytes uint64)) bool
	// EachPart yields the sizes of all basins in the parts of BasinParts, as of about the last minute.
	EachPart(yield func(basin protocol.BasinName, part int, bytes uint64))
	// StreamBytes returns the metered bytes stored in a stream; known is false if there is no such stream.
	StreamBytes(ctx context.Context, ref protocol.StreamRef) (bytes uint64, known bool, err error)
	// BasinsWithStreams returns the basins that have a stream now that was there before t.
	BasinsWithStreams(t time.Time) []protocol.BasinName
	// KeepsAccount reports whether this process is the one that rolls the usage up; two may think so for a moment.
	KeepsAccount() bool
}

// Meter counts and answers. Make one with [New]; all methods may be called at once.
type Meter struct {
	log    *slog.Logger
	writer string // this process in keys

	hours   atomic.Uint64 // made so far
	scopes  sync.Map      // name -> *Scope
	account *Scope
	deleted deletedStreams
	samples samples

	store  Store
	sizes  Sizes
	prices Prices

	flushing sync.Mutex // one flush at a time; guards the fields below
	failing  bool       // the last flush failed
	rolled   uint32     // days before this one are rolled up

	failures atomic.Uint64 // flushes that failed
	stop     context.CancelFunc
	done     chan struct{}
}

// New makes a meter that counts. It forgets nothing before [Meter.Start] and answers queries only after it.
func New(log *slog.Logger, prices Prices) *Meter {
	m := &Meter{log: log, prices: prices, writer: strings.ToLower(rand.Text()), done: make(chan struct{})}
	m.account = m.scope(accountScope)
	return m
}

// Start begins to write to the store and to record sizes. The caller calls Close.
func (m *Meter) Start(store Store, sizes Sizes) {
	m.store, m.sizes = store, sizes
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	go m.run(ctx)
}

// Close writes the counts since the last flush, until ctx ends. Counts after it are lost.
func (m *Meter) Close(ctx context.Context) error {
	if m.stop == nil {
		return nil
	}
	m.stop()
	<-m.done
	return m.flush(ctx, time.Now())
}

// Failures is how often writing to the store has failed.
func (m *Meter) Failures() uint64 { return m.failures.Load() }

func (m *Meter) run(ctx context.Context) {
	defer close(m.done)
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	var sampled time.Time
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := time.Now()
		if now.Sub(sampled) >= sampleEvery {
			sampled = now
			m.recordSizes(now)
		}
		err := m.flush(ctx, now)
		if err == nil {
			err = m.rollUp(ctx, now)
		}
		m.report(ctx, err)
	}
}

// report logs the beginning and the end of trouble with the store.
func (m *Meter) report(ctx context.Context, err error) {
	m.flushing.Lock()
	defer m.flushing.Unlock()
	switch {
	case ctx.Err() != nil:
	case err != nil:
		m.failures.Add(1)
		if !m.failing {
			m.failing = true
			m.log.Warn("usage could not be written; it is kept in memory and tried again", slog.Any("error", err))
		}
	case m.failing:
		m.failing = false
		m.log.Info("usage is written again")
	}
}

// Of returns the counters of a basin.
func (m *Meter) Of(name protocol.BasinName) *Scope { return m.scope(string(name)) }

func (m *Meter) scope(name string) *Scope {
	if s, ok := m.scopes.Load(name); ok {
		return s.(*Scope) //nolint:forcetypeassert // nothing else is in there
	}
	s, _ := m.scopes.LoadOrStore(strings.Clone(name), &Scope{m: m, name: name, hours: map[uint32]*hour{}})
	return s.(*Scope) //nolint:forcetypeassert // nothing else is in there
}

func (m *Meter) eachScope(f func(*Scope)) {
	m.scopes.Range(func(_, s any) bool {
		f(s.(*Scope)) //nolint:forcetypeassert // nothing else is in there
		return true
	})
}

// Operation counts an operation of the account.
func (m *Meter) Operation(op protocol.Operation) { m.account.operation(op) }

// recordSizes records the sizes of basins that have changed, and of all once a day, so that an idle basin costs next to
// nothing and yet has its points.
func (m *Meter) recordSizes(now time.Time) {
	minute := minuteOf(now)
	second := uint32(now.Unix() % 3600)
	m.sizes.EachPart(func(name protocol.BasinName, part int, bytes uint64) {
		if _, counted := m.scopes.Load(string(name)); !counted && bytes == 0 {
			return // nothing is stored, and nothing was used
		}
		s := m.scope(string(name))
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.removed {
			s.observeLocked(stored{bytes, minute / dayMinutes, uint16(part)}, minute, second)
		}
	})
}

// flush writes the values that have changed.
func (m *Meter) flush(ctx context.Context, now time.Time) error {
	m.flushing.Lock()
	defer m.flushing.Unlock()
	var errs []error
	put := func(key Key, value []byte) bool {
		if len(errs) > 0 {
			return false // the rest waits for the next time
		}
		ctx, cancel := context.WithTimeout(ctx, writeTimeout)
		defer cancel()
		if err := m.store.Put(ctx, key, value); err != nil {
			errs = append(errs, err)
		}
		return len(errs) == 0
	}
	m.eachScope(func(s *Scope) {
		s.flush(now, put)
		s.retire(now)
	})
	m.deleted.flush(m.writer, now, put)
	m.samples.flush(m.writer, now, put)
	return errors.Join(errs...)
}

// flush writes the hours that have changed and forgets those that are over. It is called by one goroutine at a time.
func (s *Scope) flush(now time.Time, put func(Key, []byte) bool) {
	type job struct {
		n     uint32
		hour  *hour
		value []byte
		upTo  uint64
	}
	var jobs []job
	s.unary.forget(minuteOf(now))
	s.mu.Lock()
	s.collectLocked()
	for n, h := range s.hours {
		end := time.Unix(int64(n+1)*3600, 0)
		day := time.Unix(int64(n/24+1)*daySeconds, 0)
		switch {
		case h.changes != h.written && now.Sub(day) < lateFor:
			jobs = append(jobs, job{n, h, h.encode(), h.changes})
		case now.Sub(end) > keepFor:
			delete(s.hours, n)
		}
	}
	s.mu.Unlock()
	for _, j := range jobs {
		if put(Key{HourKind, s.name, j.n, j.hour.writer}, j.value) {
			s.mu.Lock()
			j.hour.written = j.upTo
			s.mu.Unlock()
		}
	}
}

// retire takes a basin's counters out of the meter when they have not been used for long. A holder of them is led
// to their successor, because his next addition falls into a new minute.
func (s *Scope) retire(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s == s.m.account || s.removed || len(s.hours) > 0 || s.used+idleHours > minuteOf(now)/60 {
		return
	}
	for i := range s.slots {
		if s.slots[i].minute.Load()+2*slots > minuteOf(now) {
			return // used just now
		}
	}
	s.removed = true
	s.m.scopes.Delete(s.name)
}
