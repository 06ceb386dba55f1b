package adapter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/adapter/internal/catalog"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/chunk"
)

// A log is one JetStream stream in use: its sequencer, its connections, and the streams of it that are loaded.
type log struct {
	a           *Adapter
	id          layout.Log
	name        string // of the JetStream stream
	logger      *slog.Logger
	pub         *nats.Conn
	get         *js.Getter
	replyPrefix string // of publications
	sub         *nats.Subscription
	seq         *sequencer
	stop        context.CancelFunc // ends the sequencer at once
	foreign     foreignFeed        // the chunks that other nodes write; used when the store is shared
	own         *ownership         // nil: the store is this broker's alone
	turn        atomic.Uint64      // the sequencer's turn as owner; 0: the log is not this node's
	reached     atomic.Uint64      // in a turn as owner: the streams' states include nothing behind this place in the log
	epoch       atomic.Uint64      // in which this node owns the log, set after turn; 0: it does not
	renewed     atomic.Uint64      // the turn in which the streams' check times were forgotten
	sized       atomic.Uint64      // the turn in which all streams were measured
	opened      time.Time          // when the log was found or made; zero until then
	missing     atomic.Bool        // JetStream has said last that the log does not exist

	mu      sync.Mutex
	streams map[layout.StreamID]*stream // loaded or loading, by id
	idle    idleStreams                 // the unused ones among them
	maxIdle int                         // see maxIdleStreams
	reloads int                         // how often another server's writes made the loaded states stale
	closing bool                        // the log is being deleted
	// removed are the streams that are being removed, with their basins: they take no append, also when they are opened later.
	removed map[layout.StreamID]protocol.BasinName
	// ending are the basins that are being removed: a stream of theirs takes no append, also when it is opened later.
	ending map[protocol.BasinName]struct{}
}

// needs reports whether a JetStream stream is a log that holds, or may hold, records of a stream that lives.
func (a *Adapter) needs(name string) bool {
	id, isLog := layout.ParseLog(a.opts.Prefix, name)
	return isLog && (a.catalog.Asides() > 0 || a.catalog.View.AnyStreamIn(id)) // an entry that cannot be read may be of any log
}

// StorageSubjects are the subjects that only weir may publish to, for the given prefix.
func StorageSubjects(prefix string) []string { return layout.Subjects(prefix) }

// subject is that of a stream of the log.
func (l *log) subject(basin protocol.BasinName, id layout.StreamID) string {
	return l.id.Subject(l.a.opts.Prefix, basin, id)
}

func (l *log) subjectOf(e *catalog.Entry) string { return l.subject(e.Basin(), e.ID) }

// openLog makes sure that the JetStream stream is there and starts its sequencer.
func (a *Adapter) openLog(ctx context.Context, name string) (*log, error) {
	id, ok := layout.ParseLog(a.opts.Prefix, name)
	if !ok {
		return nil, fmt.Errorf("%q is not the name of a log", name)
	}
	l := &log{a: a, id: id, name: name, streams: map[layout.StreamID]*stream{}, maxIdle: maxIdleStreams}
	l.logger = a.logger.With(slog.String("log", l.name))
	l.foreign.l = l
	last, err := l.ensure(ctx)
	if err != nil {
		return nil, err
	}
	slot := int(a.nextConn.Add(1))
	l.pub = a.pubs[slot%len(a.pubs)]
	l.get = a.gets[slot%len(a.gets)]
	l.replyPrefix = nats.NewInbox() + "."
	l.opened = time.Now()
	l.seq = newSequencer(l, last)
	l.seq.proven = a.proven
	if a.logClass(id.Class).Durability != protocol.DurabilityInterval || !a.syncs() {
		l.seq.commit = a.commit
		a.watermarks.Begin(l.name, last)
	} else {
		a.watermarks.Begin(l.name, 0)
		l.seq.later = a.commit.StoredLater
	}
	if l.sub, err = l.pub.Subscribe(l.replyPrefix+"*", l.onPubAck); err != nil {
		return nil, fmt.Errorf("subscribe for publication answers of %s: %w", l.name, err)
	}
	if err := l.sub.SetPendingLimits(-1, -1); err != nil { // bounded by maxUnansweredChunks
		return nil, fmt.Errorf("set pending limits: %w", err)
	}
	run, stop := context.WithCancel(context.Background())
	l.stop = stop
	a.senders.Go(l.seq.out.run)
	if a.owners != nil {
		l.own = newOwnership(l)
		l.seq.own = l.own
		l.own.start()
	}
	go l.seq.run(run)
	return l, nil
}

func (l *log) onPubAck(m *nats.Msg) {
	token, err := strconv.ParseUint(strings.TrimPrefix(m.Subject, l.replyPrefix), 36, 64)
	if err != nil {
		return
	}
	seq, err := js.ParsePubAck(m)
	l.seq.in.postAck(pubAck{token, seq, err})
}

// ensure creates the JetStream stream if it is missing and returns its last sequence.
func (l *log) ensure(ctx context.Context) (js.Seq, error) {
	last, err := l.lastSeq(ctx)
	if err == nil {
		l.conform(ctx)
	}
	if !js.StreamMissing(err) {
		return last, err
	}
	err = js.Contact(ctx, func(ctx context.Context) error {
		_, err := l.a.js.CreateStream(ctx, l.a.logConfig(l.id))
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return nil // another server has made it
		}
		return err
	})
	if err != nil {
		return 0, protocol.Wrap(protocol.CodeStorage, fmt.Errorf("create %s: %w", l.name, err), "a log cannot be created")
	}
	l.a.watermarks.Remove(l.name) // one of a predecessor
	if err := l.a.made(ctx, l.name); err != nil {
		return 0, err
	}
	err = js.Contact(ctx, func(ctx context.Context) (err error) {
		if last, err = l.lastSeq(ctx); js.StreamMissing(err) {
			return errors.Join(err, js.ErrNotYet) // while another server makes it
		}
		return err
	})
	return last, err
}

// open returns a handle to a stream of the log, loading its state if needed. Of a fresh stream there is nothing to read.
func (l *log) open(ctx context.Context, e *catalog.Entry) (*stream, error) {
	l.mu.Lock()
	if l.closing {
		l.mu.Unlock()
		return nil, errStreamDeleted
	}
	st, ok := l.streams[e.ID]
	if !ok {
		st = &stream{log: l, ref: e.Ref(), slot: slotOf(e.Basin()), subject: l.subjectOf(e), id: e.ID, cipher: e.Cipher(), checks: e.Checks, fork: e.Fork(), ready: make(chan struct{}),
			live: live{stats: &l.a.live}}
		if tap := l.a.opts.Tap; tap != nil && st.cipher == protocol.CipherNone {
			st.tap = tap(st.ref)
		}
		l.streams[e.ID] = st
		_, ending := l.ending[e.Basin()]
		_, removed := l.removed[e.ID]
		st.ended.Store(ending || removed)
		current := l.a.catalog.Current(e)
		st.settings.Store(settingsOf(current)) // a change that comes later finds st here
		st.reads.noted = current.Used()
		st.reads.raise(current.Used())
	}
	l.acquireLocked(st)
	reloads := l.reloads
	l.mu.Unlock()
	if !ok && !(e.Checks.IsFresh() && l.finishLoad(st, storedChunk{}, nil, reloads)) {
		// The load outlives a caller that gives up: others may wait for it.
		if !l.a.logs.spawn(func() { st.load(l.a.ctx) }) {
			l.finishLoad(st, storedChunk{}, errDraining, reloads)
		}
	}
	select {
	case <-st.ready:
	case <-ctx.Done():
		st.release()
		return nil, ctx.Err()
	}
	if st.loadErr != nil {
		defer st.release()
		return nil, st.loadErr
	}
	return st, nil
}

// finishLoad sets the state of a stream that was read after so many reloads, or why it cannot be read, and lets the stream be used;
// false when there has been another reload since.
func (l *log) finishLoad(st *stream, last storedChunk, err error, reloads int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil && last.seq == 0 && !st.isKnown() { // it may have been removed since it was read, and drop comes after that
		err = errStreamDeleted
	}
	switch {
	case err != nil:
		l.forgetLocked(st)
		st.loadErr = err
	case reloads != l.reloads:
		return false
	default:
		st.begin(&last)
	}
	close(st.ready)
	return true
}

// countReloads is how often the states of the log's streams were read again.
func (l *log) countReloads() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reloads
}

// closes reports whether a stream is closed, durably, without loading it.
func (l *log) closes(ctx context.Context, e *catalog.Entry) (bool, error) {
	if closed, loaded := l.closesLoaded(e.ID); loaded {
		return closed, nil
	}
	newest, err := l.getLast(ctx, l.subjectOf(e))
	if errors.Is(err, js.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	// A stream that is loaded meanwhile may have stored a chunk that is not durable.
	if closed, loaded := l.closesLoaded(e.ID); loaded {
		return closed, nil
	}
	return newest.Closed != chunk.NotClosed, nil
}

func (l *log) closesLoaded(id layout.StreamID) (closed, loaded bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	st := l.streams[id]
	if st == nil {
		return false, false
	}
	select {
	case <-st.ready:
		tail, _, _ := st.live.position()
		return tail.Closed, st.loadErr == nil
	default:
		return false, false // it can have stored nothing yet
	}
}

// reload reads the state of every loaded stream again, after another server wrote to the log.
func (l *log) reload(ctx context.Context) (map[*stream]reloaded, error) {
	l.mu.Lock()
	l.reloads++ // streams that are loading read again
	streams := make([]*stream, 0, len(l.streams))
	for _, st := range l.streams {
		select {
		case <-st.ready:
			streams = append(streams, st)
		default:
		}
	}
	l.mu.Unlock()
	states := make(map[*stream]reloaded, len(streams))
	for _, st := range streams {
		if st.loadErr != nil {
			continue
		}
		last, err := l.leaderGet(ctx, js.Wanted{LastFor: st.subject})
		switch {
		case errors.Is(err, js.ErrNotFound):
			last, err = base(st.fork), nil
		case err != nil && protocol.CodeOf(err) != protocol.CodeStorage:
			return nil, err
		}
		states[st] = reloaded{last, err}
	}
	return states, nil
}

// reloaded is a stream's newest chunk, or why it cannot be used.
type reloaded struct {
	last storedChunk
	err  error
}

// close lets the sequencer settle the chunks in flight, until ctx ends, and stops it.
func (l *log) close(ctx context.Context, reason error) {
	l.seq.in.close(reason)
	select {
	case <-l.seq.done:
	case <-ctx.Done():
		l.stop()
		<-l.seq.done
	}
	l.stop()
	if l.own != nil {
		l.own.close()
	}
	l.sub.Unsubscribe() //nolint:errcheck // the connection closes next
	l.mu.Lock()
	streams := make([]*stream, 0, len(l.streams))
	for _, st := range l.streams {
		streams = append(streams, st)
	}
	l.closing = true
	l.mu.Unlock()
	for _, st := range streams {
		st.live.close(reason)
	}
}

// closed reports whether the log's sequencer was stopped: the log is deleted, or the adapter is closing.
func (l *log) closed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closing
}

// end makes a stream refuse appends until drop, and returns it if it is loaded or loading.
func (l *log) end(basin protocol.BasinName, id layout.StreamID) *stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.removed == nil {
		l.removed = map[layout.StreamID]protocol.BasinName{}
	}
	l.removed[id] = basin
	st := l.streams[id]
	if st != nil {
		st.ended.Store(true)
	}
	return st
}

// endBasin makes the streams of a basin refuse appends, those that are opened later as well, and returns once everything that
// was in flight for them is settled.
func (l *log) endBasin(ctx context.Context, basin protocol.BasinName) error {
	loaded := l.endLoaded(basin)
	return each(ctx, len(loaded), func(ctx context.Context, i int) error {
		select {
		case <-loaded[i].ready: // one that failed to load has nothing in flight
		case <-ctx.Done():
			return ctx.Err()
		}
		loaded[i].ask(ctx, sealRequest) //nolint:errcheck // refused, but not before the chunks in flight are settled
		return ctx.Err()
	})
}

// endLoaded marks the streams of a basin, until forgetBasin, and returns those that are loaded or loading.
func (l *log) endLoaded(basin protocol.BasinName) (loaded []*stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ending == nil {
		l.ending = map[protocol.BasinName]struct{}{}
	}
	l.ending[basin] = struct{}{}
	for _, st := range l.streams {
		if st.ref.Basin == basin {
			st.ended.Store(true)
			loaded = append(loaded, st)
		}
	}
	return loaded
}

// forgetBasin drops the loaded streams of a basin that is removed. A basin of the same name may come.
func (l *log) forgetBasin(basin protocol.BasinName) {
	l.mu.Lock()
	delete(l.ending, basin)
	maps.DeleteFunc(l.removed, func(_ layout.StreamID, of protocol.BasinName) bool { return of == basin })
	var dropped []*stream
	for _, st := range l.streams {
		if st.ref.Basin == basin && st.ended.Load() {
			l.forgetLocked(st)
			dropped = append(dropped, st)
		}
	}
	l.mu.Unlock()
	for _, st := range dropped {
		st.live.close(errStreamDeleted)
	}
}

// configure hands the configuration that stands in the view to a stream, if it is loaded or loading.
func (l *log) configure(e *catalog.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if st := l.streams[e.ID]; st != nil {
		st.settings.Store(settingsOf(l.a.catalog.Current(e)))
	}
}

// empty reports whether no chunk of a stream holds a record that a reader could see at now, in milliseconds.
func (l *log) empty(ctx context.Context, subject string, newest *storedChunk, now uint64) (bool, error) {
	shows := func(c *storedChunk) bool {
		return c.Records.Len() > 0 && c.Next > newest.Trim && (c.Expiry == 0 || c.Expiry > now)
	}
	if newest.seq == 0 || newest.emptied() {
		return true, nil
	}
	if shows(newest) || newest.mustHave() < newest.Next {
		return false, nil // or it has lost them
	}
	for at := js.Seq(0); at < newest.seq; {
		c, err := l.getNext(ctx, subject, at+1)
		if errors.Is(err, js.ErrNotFound) {
			break // purged meanwhile
		}
		if err != nil || shows(&c) {
			return false, err
		}
		at = c.seq
	}
	return true, nil
}
