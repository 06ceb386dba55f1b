package adapter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/chunk"
)

const (
	// feedLinger is how long the consumer of a log stays when no reader follows a stream of the log any more: making one is work
	// for the whole NATS cluster.
	feedLinger = 30 * time.Second
	// The server of a consumer is missed after twice feedHeartbeat.
	feedExpiry    = 5 * time.Second
	feedHeartbeat = time.Second
)

// foreignFeed delivers the chunks that other servers write to a log while a reader follows a stream of it.
type foreignFeed struct {
	l *log

	mu    sync.Mutex
	users int
	run   *feedRun // nil: there is no consumer
}

// feedRun is the life of one consumer.
type feedRun struct {
	ready chan struct{} // closed when it delivers all that is stored from now on, or err is set
	err   error         // read after ready
	idle  *time.Timer   // ends it while it is not used; guarded by foreignFeed.mu
	stop  context.CancelFunc
}

// acquire returns once all that other servers store from now on is delivered, until release.
func (f *foreignFeed) acquire(ctx context.Context) error {
	run, err := f.use()
	if err != nil {
		return err
	}
	select {
	case <-run.ready:
		err = run.err
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		f.release()
	}
	return err
}

func (f *foreignFeed) use() (*feedRun, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.run == nil {
		ctx, stop := context.WithCancel(f.l.a.ctx)
		run := &feedRun{ready: make(chan struct{}), stop: stop}
		if !f.l.a.logs.spawn(func() { f.follow(ctx, run) }) {
			stop()
			return nil, errDraining
		}
		f.run = run
	}
	f.users++
	if f.run.idle != nil {
		f.run.idle.Stop()
		f.run.idle = nil
	}
	return f.run, nil
}

// release ends a use. The consumer goes some time after the last one.
func (f *foreignFeed) release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.users--; f.users > 0 || f.run == nil {
		return
	}
	run := f.run
	run.idle = time.AfterFunc(feedLinger, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.run == run && f.users == 0 {
			run.stop()
			f.run = nil
		}
	})
}

// follow is the goroutine of a run. While the store cannot be reached it tries again, at the beginning for a while.
func (f *foreignFeed) follow(ctx context.Context, run *feedRun) {
	defer run.stop()
	begun, patience := false, time.Now().Add(js.Timeout)
	for {
		err := f.deliver(ctx, func() error {
			if begun {
				return f.l.refreshFollowed(ctx) // nothing was delivered for a while
			}
			begun = true
			close(run.ready)
			return nil
		})
		switch {
		case ctx.Err() == nil && (begun || errors.Is(err, nats.ErrNoServers) && time.Now().Before(patience)):
			sleep(ctx, recoverBackoffRemote)
			continue
		case !begun:
			f.mu.Lock()
			if f.run == run {
				f.run = nil // the next one to follow begins anew
			}
			f.mu.Unlock()
			run.err = readFailure(err)
			close(run.ready)
		}
		return
	}
}

// refreshFollowed brings the chunks that other servers have written into the streams that are followed. It fails if the store
// does not answer. A stream that cannot be read for another reason is met by its readers.
func (l *log) refreshFollowed(ctx context.Context) (failed error) {
	for _, st := range l.followed() {
		if failed == nil {
			err := st.refresh(ctx)
			if err != nil && ctx.Err() == nil {
				l.logger.Warn("a followed stream could not be read", slog.Any("error", err))
			}
			if protocol.CodeOf(err) == protocol.CodeUnavailable {
				failed = err
			}
		}
		st.release()
	}
	return failed
}

// followed returns the streams that are followed, which the caller releases.
func (l *log) followed() (streams []*stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, st := range l.streams {
		if st.live.followed() {
			l.acquireLocked(st)
			streams = append(streams, st)
		}
	}
	return streams
}

// deliver makes a consumer, calls begun when it delivers, and lets it until ctx ends or begun fails.
func (f *foreignFeed) deliver(ctx context.Context, begun func() error) error {
	l := f.l
	nc, err := l.a.opts.Connect("weir: follow " + l.name)
	if err != nil {
		return fmt.Errorf("connect to the store: %w", err)
	}
	defer nc.Close()
	stream, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	last, err := l.lastSeq(ctx)
	if err != nil {
		return err
	}
	var consumer jetstream.Consumer
	err = js.Contact(ctx, func(ctx context.Context) (err error) {
		consumer, err = stream.OrderedConsumer(ctx, l.name, jetstream.OrderedConsumerConfig{
			DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: uint64(last) + 1})
		return err
	})
	if err != nil {
		return fmt.Errorf("follow %s: %w", l.name, err)
	}
	consuming, err := consumer.Consume(func(m jetstream.Msg) { l.takeForeign(ctx, m) },
		jetstream.PullExpiry(feedExpiry), jetstream.PullHeartbeat(feedHeartbeat),
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
			l.logger.Debug("following a log", slog.Any("error", err)) // the client library makes the consumer again
		}))
	if err != nil {
		return fmt.Errorf("follow %s: %w", l.name, err)
	}
	defer consuming.Stop()
	if err := begun(); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-consuming.Closed():
	}
	return ctx.Err()
}

// takeForeign adopts a chunk that another server has stored. One that cannot be read is met by the readers.
func (l *log) takeForeign(ctx context.Context, m jetstream.Msg) {
	header := m.Headers().Get(chunk.Header)
	if header == "" || strings.Contains(header, l.a.incarnation) {
		return // our own
	}
	place, ok := layout.ParseSubject(l.a.opts.Prefix, m.Subject())
	if !ok {
		return
	}
	at, err := m.Metadata()
	if err != nil {
		return
	}
	st := l.ready(place.ID)
	if st == nil {
		return // the next open reads the stored state
	}
	defer st.release()
	c, err := chunk.Decode(header, m.Data())
	if err != nil {
		return
	}
	if err := st.adopt(ctx, &storedChunk{seq: js.Seq(at.Sequence.Stream), Chunk: c}); err != nil && ctx.Err() == nil {
		l.logger.Debug("a chunk of another server was not taken in", slog.Any("error", err))
	}
}

// ready returns a stream of the log if it is loaded, or nil. The caller releases it.
func (l *log) ready(id layout.StreamID) *stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	st := l.readyLocked(id)
	if st != nil {
		l.acquireLocked(st)
	}
	return st
}

// followShared is Follow where other servers write as well.
func (st *stream) followShared(ctx context.Context, from uint64) (*Feed, protocol.Position, error) {
	feed := &st.log.foreign
	if err := feed.acquire(ctx); err != nil {
		return nil, protocol.Position{}, err
	}
	// The chunks from before the consumer began.
	if err := st.refresh(ctx); err != nil {
		feed.release()
		return nil, protocol.Position{}, err
	}
	got, tail, err := st.live.follow(from)
	if got == nil {
		feed.release()
	} else {
		got.release = feed.release
	}
	return got, tail, err
}
