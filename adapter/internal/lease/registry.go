package lease

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// Config has the needs of a registry. Prefix, Connect and Node are required.
type Config struct {
	Prefix  string
	Connect func(name string) (*nats.Conn, error)
	// Node is the name of this node, which no other node has. A node that starts again under its name gets its logs back.
	Node     string
	Info     Info
	Replicas int
	Memory   bool // the bucket is in memory, for tests
	Logger   *slog.Logger
	// Changed is called when the owner of a log may have changed, has ended, or was this node and is not any more: ask Owner again. It must return
	// at once, and may be called from several goroutines.
	Changed func(log string)
	// Drain is called when an operator asks the node to give its logs to others, or not to do so any more; Balance when it is to give those away that
	// others should own. They must return at once, and are called one after the other. Optional.
	Drain   func(draining bool)
	Balance func()
}

// Owner is the node that sequences a log.
type Owner struct {
	Node        string
	Incarnation string
	Epoch       uint64 // grows whenever the owner changes
	Mine        bool   // it is this node, in its present incarnation
}

var (
	// ErrMoved says that the log is not this node's in that epoch.
	ErrMoved = errors.New("the log has another owner")

	errBusy = errors.New("a change of the owner is under way")
	errOwn  = errors.New("the log is where it should be")
)

func errNoNode(name string) error {
	if name == "" {
		return protocol.Errorf(protocol.CodeUnavailable, "there is no other node that could own the log")
	}
	return protocol.Errorf(protocol.CodeInvalid, "node %q is not a live node of the cluster", name)
}

// Registry is a node's part in the cluster: its lease, and what it knows of the other nodes and of the logs' owners. Its methods may be called at
// once from many goroutines.
type Registry struct {
	config Config
	logger *slog.Logger
	nc     *nats.Conn
	kv     jetstream.KeyValue
	began  time.Time
	cancel context.CancelFunc
	tasks  sync.WaitGroup // goroutines that end with the context of cancel
	kick   chan struct{}  // has room for one: tick now

	mu        sync.Mutex // guards the fields below and m, and is not held across I/O
	m         *machine
	changes   chan struct{} // closed when calls that wait should look again
	delivered uint64        // revision up to which the watch has come
	progress  moment        // when it came further
	rewatch   context.CancelFunc
	ousted    bool // was logged
	takeOvers uint64
}

const (
	tickEvery = 100 * time.Millisecond
	// attempt is how long a request may go without an answer.
	attempt = time.Second
	// watchStall is how long the watch may lag behind this node's own writes.
	watchStall = 1500 * time.Millisecond
	// lastTries is how often a node that stops tries to tell the others.
	lastTries = 8
	// pause is between two attempts.
	pause = 50 * time.Millisecond
	// askFor is for all attempts to ask the nodes for something: less than a client waits.
	askFor = 3 * time.Second
)

// Open opens or creates the bucket, and lets the node join the cluster in the background.
func Open(ctx context.Context, config Config) (_ *Registry, err error) {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.Changed == nil {
		config.Changed = func(string) {}
	}
	r := &Registry{config: config, logger: config.Logger, began: time.Now(), kick: make(chan struct{}, 1), changes: make(chan struct{}),
		m: newMachine(config.Node, config.Info, func() string { return nuid.New().Next() })}
	r.m.place = func(log string) (string, int) { return placeOf(config.Prefix, log) }
	life, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	defer func() {
		if err != nil {
			r.shut()
		}
	}()
	if r.nc, err = config.Connect("weir: lease"); err != nil {
		return nil, fmt.Errorf("connect to the store: %w", err)
	}
	if err := r.openBucket(ctx); err != nil {
		return nil, fmt.Errorf("open the cluster's bucket %s: %w", layout.ClusterBucket(config.Prefix), err)
	}
	// A new leader of the bucket may know nothing of the renewals under way.
	if _, err := r.nc.Subscribe("$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED."+layout.Cluster(config.Prefix), func(*nats.Msg) { r.hurry() }); err != nil {
		return nil, fmt.Errorf("follow elections: %w", err)
	}
	r.tasks.Go(func() { r.follow(life) })
	r.tasks.Go(func() { r.run(life) })
	return r, nil
}

func (r *Registry) openBucket(ctx context.Context) error {
	jet, err := jetstream.New(r.nc)
	if err != nil {
		return err
	}
	storage := jetstream.FileStorage
	if r.config.Memory {
		storage = jetstream.MemoryStorage
	}
	return js.Contact(ctx, func(ctx context.Context) error {
		kv, err := jet.KeyValue(ctx, layout.ClusterBucket(r.config.Prefix))
		if errors.Is(err, jetstream.ErrBucketNotFound) {
			kv, err = jet.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: layout.ClusterBucket(r.config.Prefix),
				Description: "weir: nodes and owners of logs", History: 1, Storage: storage, Replicas: max(1, r.config.Replicas), LimitMarkerTTL: time.Hour})
			if errors.Is(err, jetstream.ErrBucketExists) {
				err = errors.Join(err, js.ErrNotYet) // another node has made it meanwhile
			}
		}
		if js.StreamMissing(err) {
			err = errors.Join(err, js.ErrNotYet) // while the servers make it
		}
		r.kv = kv
		return err
	})
}

// now is the time on the process's monotonic clock.
func (r *Registry) now() moment { return time.Since(r.began) }

// update changes the machine, and wakes those that wait for what has changed.
func (r *Registry) update(change func(m *machine, now moment)) {
	r.mu.Lock()
	change(r.m, r.now())
	if r.m.stirred || len(r.m.changed) > 0 {
		close(r.changes)
		r.changes = make(chan struct{})
		r.m.stirred = false
	}
	changed := slices.Collect(maps.Keys(r.m.changed))
	clear(r.m.changed)
	wishes := r.m.asked
	r.m.asked = nil
	ousted := r.m.phase == ousted && !r.ousted
	r.ousted = r.ousted || ousted
	r.mu.Unlock()
	if ousted {
		r.logger.Error("another process serves as this node; this one owns nothing any more", slog.String("node", r.config.Node))
	}
	for _, log := range changed {
		r.config.Changed(log)
	}
	r.carryOut(wishes)
}

// carryOut hands on what an operator asks of the node.
func (r *Registry) carryOut(wishes []asked) {
	for _, wish := range wishes {
		switch {
		case wish == toBalance && r.config.Balance != nil:
			r.config.Balance()
		case wish != toBalance && r.config.Drain != nil:
			r.config.Drain(wish == toDrain)
		}
	}
}

// hurry lets the next renewal be sent at once.
func (r *Registry) hurry() {
	r.mu.Lock()
	r.m.beatSent = never
	r.mu.Unlock()
	r.stir()
}

func (r *Registry) stir() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// run makes the requests that are due, until ctx ends.
func (r *Registry) run(ctx context.Context) {
	t := time.NewTicker(tickEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-r.kick:
		case <-ctx.Done():
			return
		}
		var ops []op
		r.update(func(m *machine, now moment) {
			ops = m.tick(now)
			r.checkWatch(now)
		})
		for _, o := range ops {
			r.tasks.Go(func() { _ = r.do(ctx, o) })
		}
	}
}

// checkWatch begins the watch anew when it does not show this node's own writes. The lock is held.
func (r *Registry) checkWatch(now moment) {
	own := r.m.nodes[r.config.Node]
	if r.rewatch == nil || own == nil || own.revision <= r.delivered || now-r.progress < watchStall {
		return
	}
	r.progress = now
	r.rewatch()
}

// follow takes in what the watch of the bucket shows, until ctx ends.
func (r *Registry) follow(ctx context.Context) {
	for ctx.Err() == nil {
		watching, cancel := context.WithCancel(ctx)
		r.mu.Lock()
		r.rewatch, r.progress = cancel, r.now()
		r.mu.Unlock()
		if err := r.watch(watching); err != nil && ctx.Err() == nil {
			r.logger.Debug("the watch of the cluster's bucket ended", slog.Any("error", err))
			sleep(ctx, pause)
		}
		cancel()
	}
}

func (r *Registry) watch(ctx context.Context) error {
	begin, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := r.kv.WatchAll(begin)
	if err != nil {
		return err
	}
	defer w.Stop() //nolint:errcheck // nothing more is wanted from it
	for {
		select {
		case e, ok := <-w.Updates():
			if !ok {
				return errors.New("the subscription ended")
			}
			r.update(func(m *machine, now moment) {
				if e == nil { // the end of the entries that were there
					m.ready, m.stirred = true, true
					return
				}
				r.delivered, r.progress = max(r.delivered, e.Revision()), now
				value := e.Value()
				if e.Operation() != jetstream.KeyValuePut {
					value = nil
				} else if value == nil {
					value = []byte{}
				}
				m.observe(now, e.Key(), entry{e.Revision(), value})
			})
			if e == nil {
				r.stir()
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// do makes a request and takes the outcome in.
func (r *Registry) do(ctx context.Context, o op) error {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	if o.read {
		return r.read(ctx, o.key)
	}
	revision, err := r.write(ctx, o)
	r.update(func(m *machine, now moment) {
		switch {
		case err == nil:
			m.stored(now, o, revision)
		case js.WrongSequence(err):
			m.refused(now, o)
		default:
			m.lost(o)
		}
	})
	if js.WrongSequence(err) && ctx.Err() == nil {
		return errors.Join(err, r.read(ctx, o.key))
	}
	return err
}

// write stores a value if its key has the expected revision.
func (r *Registry) write(ctx context.Context, o op) (revision uint64, err error) {
	msg := nats.NewMsg(layout.ClusterSubjects(r.config.Prefix) + o.key)
	msg.Data = o.value
	if !o.anyway {
		msg.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(o.expect, 10))
	}
	if o.ttl > 0 {
		msg.Header.Set(jetstream.MsgTTLHeader, o.ttl.String())
	}
	if o.value == nil {
		msg.Header.Set("KV-Operation", "PURGE")
		msg.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
	}
	answer, err := r.nc.RequestMsgWithContext(ctx, msg)
	if err != nil {
		return 0, fmt.Errorf("write %s: %w", o.key, err)
	}
	seq, err := js.ParsePubAck(answer)
	if err != nil {
		return 0, fmt.Errorf("write %s: %w", o.key, err)
	}
	return uint64(seq), nil
}

// read takes in the newest value of a key, as the bucket's leader has it.
func (r *Registry) read(ctx context.Context, key string) error {
	msg, err := js.LeaderGet(ctx, r.nc, layout.Cluster(r.config.Prefix), js.Wanted{LastFor: layout.ClusterSubjects(r.config.Prefix) + key})
	e := entry{uint64(msg.Seq), msg.Data}
	switch {
	case errors.Is(err, js.ErrNotFound):
		e = entry{}
	case err != nil:
		return fmt.Errorf("read %s: %w", key, err)
	case len(msg.Header["KV-Operation"]) > 0 || len(msg.Header["Nats-Marker-Reason"]) > 0:
		e.value = nil
	case e.value == nil:
		e.value = []byte{}
	}
	r.update(func(m *machine, now moment) { m.observe(now, key, e) })
	return nil
}

// Owner returns the owner of a log, as this node knows it. If no live node owns the log, it is given to the node that should. While that is in doubt it
// waits. Codes: unavailable, when ctx ends.
func (r *Registry) Owner(ctx context.Context, log string) (Owner, error) {
	var last error
	for {
		r.mu.Lock()
		o, request, v := r.m.owner(r.now(), log)
		changes, out := r.changes, r.m.phase == ousted || r.m.phase == left
		var from Owner
		if v == ask {
			if c := r.m.claims[log]; c != nil {
				from = r.m.ownerOf(c)
			}
		}
		r.mu.Unlock()
		switch {
		case v == known:
			return o, nil
		case out:
			return Owner{}, protocol.Errorf(protocol.CodeUnavailable, "this node has left the cluster")
		case v == ask:
			if last = r.do(ctx, request); last != nil {
				r.logger.Debug("a claim was not stored", slog.String("log", log), slog.Any("error", last))
				sleep(ctx, pause)
			} else if strings.HasPrefix(request.key, claimKeys) {
				r.reportTakeOver(log, from)
			}
		default:
			select {
			case <-changes:
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			return Owner{}, protocol.Wrap(protocol.CodeUnavailable, errors.Join(ctx.Err(), last), "it is not known yet which node owns the log")
		}
	}
}

// reportTakeOver logs that a log was taken from an owner that has ended.
func (r *Registry) reportTakeOver(log string, from Owner) {
	if from.Node == "" || from.Mine {
		return
	}
	r.mu.Lock()
	c := r.m.claims[log]
	to := r.m.ownerOf(c)
	r.takeOvers++
	r.mu.Unlock()
	r.logger.Warn("a log was taken over from a node that has ended", slog.String("log", log), slog.String("from", from.Node),
		slog.String("to", to.Node), slog.Uint64("epoch", to.Epoch))
}

// Newest is Owner after the claim was read where it is stored. Codes: unavailable.
func (r *Registry) Newest(ctx context.Context, log string) (Owner, error) {
	if err := r.read(ctx, claimKey(log)); err != nil {
		return Owner{}, protocol.Wrap(protocol.CodeUnavailable, err, "it is not known yet which node owns the log")
	}
	return r.Owner(ctx, log)
}

// Sure reports whether this node owns the log in that epoch, which Owner has told, and is sure of its lease. An answer that was computed before may
// be given then. It costs little and takes no lock.
func (r *Registry) Sure(log string, epoch uint64) bool { return r.m.sure(r.now, log, epoch) }

// SureOfLease reports whether this node is sure of its lease.
func (r *Registry) SureOfLease() bool { return r.m.sureOfLease(r.now) }

// Wait returns when this node is sure of the log in that epoch. It fails with [ErrMoved] when it does not own it any more. Codes: unavailable, when
// ctx ends.
func (r *Registry) Wait(ctx context.Context, log string, epoch uint64) error {
	for {
		if r.Sure(log, epoch) {
			return nil
		}
		r.mu.Lock()
		c, changes := r.m.claims[log], r.changes
		moved := c == nil || !r.m.mine(c) || c.rec.Epoch != epoch
		r.mu.Unlock()
		if moved {
			return ErrMoved
		}
		if r.Sure(log, epoch) {
			return nil
		}
		select {
		case <-changes:
		case <-ctx.Done():
			return protocol.Wrap(protocol.CodeUnavailable, ctx.Err(), "this node is not sure of its lease")
		}
	}
}

// Release gives a log of this node in that epoch to another node; "" stands for the one that should own it. From the call on the node is not sure of
// the log. When it fails, Owner finds out which node owns the log. Codes: invalid, unavailable; or [ErrMoved].
func (r *Registry) Release(ctx context.Context, log string, epoch uint64, to string) (Owner, error) {
	return r.give(ctx, log, epoch, to, 0)
}

// Raise gives a log of this node in that epoch an epoch above another one, which the log itself is found to have seen. It fails as Release does.
func (r *Registry) Raise(ctx context.Context, log string, epoch, above uint64) (Owner, error) {
	return r.give(ctx, log, epoch, "", max(above, 1))
}

func (r *Registry) give(ctx context.Context, log string, epoch uint64, to string, raise uint64) (Owner, error) {
	for {
		r.mu.Lock()
		o, err := r.m.give(r.now(), log, epoch, to, raise)
		changes := r.changes
		r.mu.Unlock()
		switch {
		case err == nil:
			if err := r.do(ctx, o); err != nil {
				return Owner{}, protocol.Wrap(protocol.CodeUnavailable, err, "it is not known whether the log has changed its owner")
			}
			return r.Owner(ctx, log)
		case errors.Is(err, errOwn):
			return r.Owner(ctx, log)
		case !errors.Is(err, errBusy):
			return Owner{}, err
		}
		select {
		case <-changes:
		case <-ctx.Done():
			return Owner{}, protocol.Wrap(protocol.CodeUnavailable, ctx.Err(), "it is not known which node owns the log")
		}
	}
}

// Forget removes the claim of a log that was deleted.
func (r *Registry) Forget(ctx context.Context, log string) error {
	r.mu.Lock()
	c := r.m.claims[log]
	if c == nil || c.absent {
		r.mu.Unlock()
		return nil
	}
	c.busy = true
	r.m.held.Delete(log)
	o := op{key: claimKey(log), expect: c.revision}
	r.mu.Unlock()
	return r.do(ctx, o)
}

// ForgetNode removes the records of a node that has ended for good, after its logs have got other owners. Codes: invalid, if it is live; unavailable.
func (r *Registry) ForgetNode(ctx context.Context, node string) error {
	var owned []string
	for _, c := range r.Claims() {
		if c.Node == node {
			owned = append(owned, c.Log)
		}
	}
	for _, log := range owned {
		if _, err := r.Owner(ctx, log); err != nil {
			return err
		}
	}
	r.mu.Lock()
	var last nodeView
	if n := r.m.nodes[node]; n != nil {
		last = *n
	}
	r.mu.Unlock()
	if last.rec.Incarnation != "" && !last.rec.State.ended() {
		return protocol.Errorf(protocol.CodeInvalid, "node: %q is %s", node, last.rec.State)
	}
	if err := r.do(ctx, op{key: wishKey(node), anyway: true}); err != nil {
		return protocol.Wrap(protocol.CodeUnavailable, err, "the node's records could not be removed")
	}
	if last.revision == 0 {
		return nil
	}
	if err := r.do(ctx, op{key: nodeKey(node), expect: last.revision}); err != nil {
		return protocol.Wrap(protocol.CodeUnavailable, err, "the node's records could not be removed")
	}
	return nil
}

// SetDraining says whether the node takes no logs that another one can take.
func (r *Registry) SetDraining(draining bool) {
	r.mu.Lock()
	r.m.drains, r.m.beatSent = draining, never
	r.mu.Unlock()
	r.stir()
}

// AwaitReady returns when the node knows the records that were there when it started. Codes: unavailable, when ctx ends.
func (r *Registry) AwaitReady(ctx context.Context) error {
	for {
		r.mu.Lock()
		ready, changes := r.m.ready, r.changes
		r.mu.Unlock()
		if ready {
			return nil
		}
		select {
		case <-changes:
		case <-ctx.Done():
			return protocol.Wrap(protocol.CodeUnavailable, ctx.Err(), "this node does not know the others yet")
		}
	}
}

// AskToDrain asks a live node to give its logs to others, or not to do so any more, until it starts again. Codes: invalid, unavailable.
func (r *Registry) AskToDrain(ctx context.Context, node string, draining bool) error {
	r.mu.Lock()
	wish, err := r.m.wish(node, draining)
	r.mu.Unlock()
	if err != nil {
		return err
	}
	return r.ask(ctx, op{key: wishKey(node), value: encode(wish), anyway: true, ttl: deadTTL})
}

// AskToBalance asks all nodes to give the logs away that others should own. Codes: unavailable.
func (r *Registry) AskToBalance(ctx context.Context) error {
	return r.ask(ctx, op{key: balanceKey, value: []byte("{}"), anyway: true})
}

func (r *Registry) ask(ctx context.Context, o op) error {
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	var err error
	for ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, attempt)
		_, err = r.write(attempt, o)
		if cancel(); err == nil {
			return nil
		}
		sleep(ctx, pause)
	}
	return protocol.Wrap(protocol.CodeUnavailable, errors.Join(ctx.Err(), err), "the nodes could not be asked")
}

// Other reports whether this node knows another live one that takes logs.
func (r *Registry) Other() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	other := r.m.nodes[r.m.desired(r.now(), "", r.m.self)]
	return other != nil && !other.rec.Draining
}

// Desired is the node that should own a log, as far as this one knows; "" if it knows of none.
func (r *Registry) Desired(log string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.m.desired(r.now(), log, "")
}

// Unowned reports whether a log has no live owner, as far as this node knows, and this node should be it.
func (r *Registry) Unowned(log string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.m.unowned(r.now(), log)
}

// Close stops renewing. If the node was live, the others take its logs over at once.
func (r *Registry) Close(ctx context.Context) {
	var last op
	var leaves bool
	r.update(func(m *machine, now moment) { last, leaves = m.leave(now) })
	for range lastTries { // a renewal that is under way makes another revision
		if !leaves {
			break
		}
		err := r.do(ctx, last)
		if err == nil {
			break
		}
		r.logger.Debug("the other nodes were not told that this one leaves", slog.Any("error", err))
		if leaves = js.WrongSequence(err) && ctx.Err() == nil; leaves {
			sleep(ctx, pause/2) // until the renewal is applied, and can be read
			_ = r.read(ctx, last.key)
			r.update(func(m *machine, now moment) { last, leaves = m.lastWrite(now) })
		}
	}
	r.shut()
}

func (r *Registry) shut() {
	r.cancel()
	r.tasks.Wait()
	if r.nc != nil {
		r.nc.Close()
	}
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
