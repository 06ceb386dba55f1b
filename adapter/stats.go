package adapter

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/protocol"
)

// Observer receives the events inside the adapter. Functions that are nil are not called; they must return at once.
type Observer struct {
	// Synced reports a sync of the store's file system: how many chunks became durable by it, and how long it took.
	Synced func(chunks int, took time.Duration)
	// Sealed reports how long it took to seal a log, where several brokers share the store.
	Sealed func(took time.Duration)
	// WritesCatalog reports that an entry of the catalog is about to be written or removed. It returns a function that is called
	// once that is durable or has failed. ctx is that of the request.
	WritesCatalog func(ctx context.Context, key string) (done func(error))
	// StreamSized reports the metered bytes stored in a stream that has changed, about once a minute.
	StreamSized func(ref protocol.StreamRef, bytes uint64, at time.Time)
	// StreamsDeleted reports that streams of a basin were deleted, the oldest of which was created at since.
	StreamsDeleted func(basin protocol.BasinName, since, until time.Time)
}

// Stats is a snapshot of the adapter's state.
type Stats struct {
	Basins  int // in the catalog, those being deleted included
	Streams int // in the catalog, those being deleted included
	Tokens  int // access tokens in the catalog
	Asides  int // entries of the catalog that cannot be read

	Logs           int // open
	LoadedStreams  int // of which the tail is in memory
	QueuedAppends  int // that no sequencer has taken yet
	ChunksInFlight int // published and not durable

	Followers      int64  // feeds that are attached
	DroppedBatches uint64 // batches that left a ring while a reader followed
	LaggedFeeds    uint64 // followers that were sent back to read from storage

	SizesKnown bool // all streams were measured since the start, see EachPart
}

// liveStats counts the work of the rings of all streams.
type liveStats struct {
	followers atomic.Int64
	dropped   atomic.Uint64
	lagged    atomic.Uint64
}

// forwardStats counts the requests that brokers hand to the owner of a log.
type forwardStats struct {
	handed atomic.Uint64 // to other brokers
	taken  atomic.Uint64 // from other brokers
	held   atomic.Int64  // of those, not answered
	bytes  atomic.Int64  // metered, of those
}

func (f *forwardStats) took(cost int64) {
	f.taken.Add(1)
	f.held.Add(1)
	f.bytes.Add(cost)
}

func (f *forwardStats) answered(cost int64) {
	f.held.Add(-1)
	f.bytes.Add(-cost)
}

// sequencerStats is the numbers that a sequencer shows after each turn.
type sequencerStats struct {
	queued  atomic.Int64
	flights atomic.Int64
}

func (s *sequencer) show() {
	s.stats.queued.Store(int64(s.queue.len()))
	s.stats.flights.Store(int64(len(s.flight)))
}

// Stats takes a look at everything. Its cost grows with the number of basins and of open logs.
func (a *Adapter) Stats() (s Stats) {
	s.Basins, s.Streams = a.catalog.View.Count()
	s.Tokens = a.catalog.Tokens.Count()
	s.Asides = a.catalog.Asides()
	for _, l := range a.logs.all() {
		s.Logs++
		s.LoadedStreams += l.countStreams()
		s.QueuedAppends += l.seq.in.waiting() + int(l.seq.stats.queued.Load())
		s.ChunksInFlight += int(l.seq.stats.flights.Load())
	}
	s.Followers, s.DroppedBatches, s.LaggedFeeds = a.live.followers.Load(), a.live.dropped.Load(), a.live.lagged.Load()
	s.SizesKnown = a.sizes.known()
	return s
}

// JetStreamStats is JetStream's report on the account that holds the storage.
type JetStreamStats struct {
	Store       uint64 // bytes on disk
	Memory      uint64 // bytes in memory
	Streams     int
	APIRequests uint64
	APIErrors   uint64
}

// JetStream asks JetStream how it is.
func (a *Adapter) JetStream(ctx context.Context) (s JetStreamStats, err error) {
	info, err := a.js.AccountInfo(ctx)
	if err != nil {
		return s, fmt.Errorf("ask JetStream for the account: %w", err)
	}
	return JetStreamStats{Store: info.Store, Memory: info.Memory, Streams: info.Streams, APIRequests: info.API.Total,
		APIErrors: info.API.Errors}, nil
}

// observed is sync, reported to the observer with the number of chunks that had been stored when it began.
func (a *Adapter) observed(sync func() error) func() error {
	report := a.opts.Observer.Synced
	if sync == nil || report == nil {
		return sync
	}
	return func() error {
		chunks := a.unsynced.Swap(0)
		began := time.Now()
		err := sync()
		if err == nil {
			report(int(chunks), time.Since(began))
		}
		return err
	}
}
