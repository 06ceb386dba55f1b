package adapter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/adapter/internal/fence"
	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/internal/lease"
	"github.com/weirstream/weir/adapter/layout"
)

// Where several brokers share a store, each log has one owner: the node whose sequencer orders its appends, and that alone says where its
// streams end and which conditions fail (docs/adr/0024). The others forward. Who owns a log follows from claims in a bucket
// (adapter/internal/lease); that a deposed owner stores nothing more follows from the log itself (adapter/internal/fence).

// owners is the part of [lease.Registry] that the logs use.
type owners interface {
	Owner(ctx context.Context, log string) (lease.Owner, error)
	Newest(ctx context.Context, log string) (lease.Owner, error)
	Sure(log string, epoch uint64) bool
	Release(ctx context.Context, log string, epoch uint64, to string) (lease.Owner, error)
	Raise(ctx context.Context, log string, epoch, above uint64) (lease.Owner, error)
	Forget(ctx context.Context, log string) error
	Unowned(log string) bool
	Held() []string
	SetDraining(draining bool)
	Close(ctx context.Context)
}

const (
	// takeOverTime is for one attempt to seal a log, after which it is asked again whether the log is still this node's.
	takeOverTime  = 10 * time.Second
	ownerPause    = 50 * time.Millisecond
	ownerPauseMax = 2 * time.Second
	// runsStay is how long the runs before the newest stay at least.
	runsStay = time.Minute
)

// A run covers the places of all that an owner may have unanswered.
const _ = uint(fence.InFlight - maxUnansweredChunks)

// ownership follows the owner of one log, takes the log over when it is this node, and tells the sequencer.
type ownership struct {
	l      *log
	owners owners
	runs   string        // subject of the messages that seal the log
	wake   chan struct{} // has room for one
	giving chan struct{} // has room for one: the log is being given away

	mu       sync.Mutex
	doubt    bool   // what is known of the owner proved wrong
	lost     uint64 // the epoch in which the log was found to belong to a later one
	by       uint64 // that later one
	leaving  bool   // the log is being given away: it is not sealed meanwhile
	run      uint64 // where the newest run of this node ends
	purging  bool   // the runs before one will be removed
	sealedBy uint64 // the epoch of this node that the sequencer knows
	stop     context.CancelFunc
	elected  chan struct{} // closed and replaced when the log has got a leader
	served   string        // the incarnation of this node that takes requests of other nodes
	sub      *nats.Subscription
}

func newOwnership(l *log) *ownership {
	return &ownership{l: l, owners: l.a.owners, runs: l.id.Runs(l.a.opts.Prefix), wake: make(chan struct{}, 1), giving: make(chan struct{}, 1), elected: make(chan struct{})}
}

// start follows the owner until close.
func (o *ownership) start() {
	ctx, stop := context.WithCancel(o.l.a.ctx)
	o.stop = stop
	o.l.a.tasks.Go(func() { o.follow(ctx) })
}

func (o *ownership) poke() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// led says that the log has got a leader: a take-over under way that waits for one before goes on at once.
func (o *ownership) led() {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.elected)
	o.elected = make(chan struct{})
}

// nextElection is closed when the log next gets a leader.
func (o *ownership) nextElection() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.elected
}

// mistaken says that the node that was taken for the owner is not.
func (o *ownership) mistaken() {
	o.mu.Lock()
	o.doubt = true
	o.mu.Unlock()
	o.poke()
}

// deposed says that the log belongs to an epoch later than ours.
func (o *ownership) deposed(epoch, by uint64) {
	o.mu.Lock()
	o.lost, o.by, o.doubt = epoch, by, true
	o.mu.Unlock()
	o.poke()
}

// follow ends with ctx.
func (o *ownership) follow(ctx context.Context) {
	pause := ownerPause
	for ctx.Err() == nil {
		if err := o.look(ctx); err != nil {
			level := slog.LevelDebug
			if pause == ownerPause {
				level = slog.LevelWarn // once
			}
			if ctx.Err() == nil {
				o.l.logger.Log(ctx, level, "the owner of a log is not known yet", slog.Any("error", err))
			}
			sleep(ctx, pause)
			pause = min(2*pause, ownerPauseMax)
			continue
		}
		pause = ownerPause
		select {
		case <-o.wake:
		case <-ctx.Done():
		}
	}
}

// look finds out who owns the log, and tells the sequencer.
func (o *ownership) look(ctx context.Context) error {
	o.mu.Lock()
	ask := o.owners.Owner
	if o.doubt {
		ask = o.owners.Newest
	}
	o.doubt = false
	o.mu.Unlock()
	who, err := ask(ctx, o.l.name)
	if err != nil {
		o.mistaken()
		return err
	}
	o.mu.Lock()
	lost, by, leaving, sealedBy := o.lost, o.by, o.leaving, o.sealedBy
	o.mu.Unlock()
	switch {
	case !who.Mine:
		o.l.seq.in.postRole(role{owner: who})
		return nil
	case leaving || who.Epoch == sealedBy && lost != who.Epoch:
		return nil
	case lost == who.Epoch:
		_, err := o.owners.Raise(ctx, o.l.name, who.Epoch, by)
		o.mistaken()
		return err
	}
	if err := o.serve(who.Incarnation); err != nil {
		return err
	}
	sealed, err := o.takeOver(ctx, who.Epoch)
	if deposed, ok := errors.AsType[*fence.DeposedError](err); ok {
		o.deposed(who.Epoch, deposed.By)
		return nil
	}
	if err != nil {
		o.mistaken()
		return err
	}
	o.mu.Lock()
	o.sealedBy = who.Epoch
	o.mu.Unlock()
	o.l.seq.in.postRole(role{owner: who, sealed: sealed})
	return nil
}

// serve takes the requests that other nodes hand to an incarnation of this one.
func (o *ownership) serve(incarnation string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.served == incarnation {
		return nil
	}
	sub, err := o.l.serveForwarded(incarnation)
	if err != nil {
		return err
	}
	if o.sub != nil {
		o.sub.Unsubscribe() //nolint:errcheck // the connection is closed then
	}
	o.served, o.sub = incarnation, sub
	return nil
}

// close ends the service for other nodes.
func (o *ownership) close() {
	o.stop()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.sub != nil {
		o.sub.Unsubscribe() //nolint:errcheck // the connection is closed then
	}
}

// takeOver seals the log for an epoch of ours.
func (o *ownership) takeOver(ctx context.Context, epoch uint64) (sealed js.Seq, err error) {
	ctx, cancel := context.WithTimeout(ctx, takeOverTime)
	defer cancel()
	began := time.Now()
	last, err := fence.TakeOver(ctx, o.l.a.js, o.l.name, o.runs, epoch, o.nextElection)
	if errors.Is(err, fence.ErrNoBatch) {
		if err := o.l.allowBatches(ctx); err != nil {
			return 0, err
		}
		last, err = fence.TakeOver(ctx, o.l.a.js, o.l.name, o.runs, epoch, o.nextElection)
	}
	if err != nil {
		return 0, err
	}
	if report := o.l.a.opts.Observer.Sealed; report != nil {
		report(time.Since(began))
	}
	o.mu.Lock()
	o.run = last
	begins := !o.purging
	o.purging = true
	o.mu.Unlock()
	if begins {
		o.l.a.logs.spawn(func() { o.purgeRuns(last) })
	}
	return js.Seq(last), nil
}

// purgeRuns removes the runs before the one that ends at last, some time later, and then those before newer ones: an owner that was deposed by one of them
// looks at the places of its own messages, and finds those of the run.
func (o *ownership) purgeRuns(last uint64) {
	for {
		sleep(o.l.a.ctx, runsStay)
		if o.l.a.ctx.Err() != nil {
			return
		}
		if err := o.l.purge(o.l.a.ctx, o.runs, js.Seq(fence.First(last))); err != nil && o.l.a.ctx.Err() == nil {
			o.l.logger.Debug("the runs that sealed the log before could not be removed", slog.Any("error", err))
		}
		o.mu.Lock()
		newest := o.run
		o.purging = newest != last
		o.mu.Unlock()
		if newest == last {
			return
		}
		last = newest
	}
}

// allowBatches lets a log take atomic batches that was made for a broker alone.
func (l *log) allowBatches(ctx context.Context) error {
	s, err := l.a.js.Stream(ctx, l.name)
	if err != nil {
		return err
	}
	config := s.CachedInfo().Config
	config.AllowAtomicPublish = true
	_, err = l.a.js.UpdateStream(ctx, config)
	return err
}

// leave gives the log to another node, if it is ours and there is one: what is in flight is settled before.
func (o *ownership) leave(ctx context.Context) {
	select {
	case o.giving <- struct{}{}:
	case <-ctx.Done():
		return
	}
	defer func() { <-o.giving }()
	o.mu.Lock()
	epoch := o.sealedBy
	o.leaving = epoch != 0
	o.mu.Unlock()
	if epoch == 0 {
		return
	}
	defer func() {
		o.mu.Lock()
		o.leaving, o.sealedBy = false, 0
		o.mu.Unlock()
		o.poke()
	}()
	left := make(chan struct{})
	o.l.seq.in.postRole(role{left: left})
	select {
	case <-left:
	case <-o.l.seq.done:
	case <-ctx.Done():
		return
	}
	if to, err := o.owners.Release(ctx, o.l.name, epoch, ""); err != nil {
		o.l.logger.Debug("the log stays here", slog.Any("error", err))
	} else if !to.Mine {
		o.l.logger.Info("the log was given to another node", slog.String("node", to.Node), slog.Uint64("epoch", to.Epoch))
	}
}

// openOwners enters the cluster of the brokers that share the store.
func (a *Adapter) openOwners(ctx context.Context) (err error) {
	if !a.opts.Shared {
		return nil
	}
	entered := make(chan struct{})
	registry, err := lease.Open(ctx, lease.Config{Prefix: a.opts.Prefix, Connect: a.opts.Connect, Node: a.opts.Node, Info: a.opts.NodeInfo, Replicas: a.opts.Replicas,
		Memory: a.opts.Memory, Logger: a.logger, Changed: func(log string) { a.ownerChanged(entered, log) },
		Drain: func(draining bool) { a.afterEntering(entered, func() { a.drain(draining) }) }, Balance: func() { a.afterEntering(entered, a.balance) }})
	if err != nil {
		return fmt.Errorf("enter the cluster of brokers: %w", err)
	}
	a.owners, a.registry = registry, registry
	close(entered)
	a.keeper.start(registry)
	return nil
}

// closeOwners leaves the cluster, so that the other nodes take over what this one owns.
func (a *Adapter) closeOwners(ctx context.Context) {
	a.leave.Do(func() {
		if a.owners != nil {
			a.owners.Close(ctx)
		}
	})
}

// ownerChanged looks at a log whose owner may have changed. A log that was given to this node is opened, once it has entered the cluster.
func (a *Adapter) ownerChanged(entered <-chan struct{}, name string) {
	if name == accountClaim {
		a.keeper.poke()
		return
	}
	if l := a.logs.opened(name); l != nil {
		if l.own != nil {
			l.own.poke()
		}
		return
	}
	a.afterEntering(entered, func() { a.openHeld(name) })
}

// afterEntering starts a task once this node has entered the cluster.
func (a *Adapter) afterEntering(entered <-chan struct{}, task func()) {
	a.logs.spawn(func() {
		select {
		case <-entered:
			task()
		case <-a.ctx.Done():
		}
	})
}

// openHeld opens a log if it is this node's, or has no owner and should be. The node that claimed it has made its JetStream stream before. This one may not know a stream in it: the
// changes of the catalog may come later, and streams of a basin that is being restored are hidden. A log that was deleted is not made again.
func (a *Adapter) openHeld(name string) {
	id, ok := layout.ParseLog(a.opts.Prefix, name)
	for ok && a.ctx.Err() == nil && (slices.Contains(a.owners.Held(), name) || a.owners.Unowned(name)) && (a.needs(name) || a.exists(name)) {
		_, err := a.logs.get(a.ctx, id.Owner, name)
		if err == nil || a.ctx.Err() != nil {
			return
		}
		a.logger.Warn("a log that was given to this node could not be opened", slog.String("log", name), slog.Any("error", err))
		sleep(a.ctx, ownerPauseMax)
	}
}

// openUnowned opens a log in the background if no live node owns it and this one should: its streams' retention must not wait for a client.
func (a *Adapter) openUnowned(name string) (begun bool) {
	return a.owners.Unowned(name) && a.logs.spawn(func() { a.openHeld(name) })
}

// exists reports whether a JetStream stream is there.
func (a *Adapter) exists(name string) bool {
	err := js.Contact(a.ctx, func(ctx context.Context) error {
		_, err := js.StreamState(ctx, a.manage, name)
		return err
	})
	return !js.StreamMissing(err) && a.ctx.Err() == nil
}

// giveLogsAway lets other nodes own the logs of this one, if there are any.
func (a *Adapter) giveLogsAway(ctx context.Context) {
	if a.owners == nil {
		return
	}
	a.owners.SetDraining(true)
	var leaving sync.WaitGroup
	for _, l := range a.logs.all() {
		leaving.Go(func() { l.own.leave(ctx) })
	}
	leaving.Wait()
}

// newestBeyond fetches the newest chunk of a subject from a server that knows the log at least up to a sequence.
func (l *log) newestBeyond(ctx context.Context, subject string, least js.Seq) (storedChunk, error) {
	for {
		c, err := l.tryNewestBeyond(ctx, subject, least)
		if !errors.Is(err, errBehind) {
			return c, err
		}
		sleep(ctx, staleWait)
		if ctx.Err() != nil {
			return c, ctx.Err()
		}
	}
}

// errBehind says that a server does not know all of a log yet.
var errBehind = errors.New("the server that answered is behind")

func (l *log) tryNewestBeyond(ctx context.Context, subject string, least js.Seq) (storedChunk, error) {
	messages, upTo, err := l.get.Newest(ctx, l.name, subject, l.id.Runs(l.a.opts.Prefix))
	switch {
	case errors.Is(err, js.ErrNotFound) || err == nil && upTo < least:
		return storedChunk{}, errBehind // it does not even know a run
	case err != nil:
		return storedChunk{}, readFailure(err)
	}
	for _, m := range messages {
		if js.LastValue(m.Header, "Nats-Subject") == subject {
			return l.decode(m)
		}
	}
	return l.getLast(ctx, subject) // or it is there and cannot be read
}

var _ owners = (*lease.Registry)(nil)
