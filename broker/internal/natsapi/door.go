package natsapi

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/weirstream/weir/broker/internal/door"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/subject"
)

// serviceName is the name that service discovery shows.
const serviceName = "weir"

// sessionPendingBytes is how much may wait in the client library for the callback that files session messages. It is
// above all the inputs that admission lets in at a time by default.
const sessionPendingBytes = 512 << 20

// Door serves a service over a connection; see [Serve].
type Door struct {
	nc       *nats.Conn
	whole    protocol.Service // of requests without a token; nil if there must be one. Calls use call.svc.
	opts     Options
	log      *slog.Logger
	subjects subject.Prefix
	id       string // unguessable, part of the subjects of this door's sessions

	admit    *door.Limiter
	sessions registry
	stalled  atomic.Int64 // read sessions that wait for acknowledgements or for room

	// base is the context of all unary requests; stop ends it when a draining door's time is up.
	base context.Context //nolint:containedctx // the door's life
	stop context.CancelCauseFunc
	// waits ends when the door begins to drain, or its clients are to leave: nothing is waited for then that may happen later.
	waits    context.Context //nolint:containedctx // ends before the door's life
	endWaits context.CancelCauseFunc

	leaving atomic.Pointer[string] // the NATS server that all answers tell the clients to leave; nil: none

	micro      micro.Service
	sessionSub *nats.Subscription
	stats      map[string]*endpointStats // by endpoint name; not written after Serve

	expelled  atomic.Bool // no client is owed an answer any more
	closeOnce sync.Once
	closed    chan struct{}
}

// Serve answers requests that arrive on nc with svc until [Door.Close]; requests that carry a token with the service that
// [Options].Authenticate returns for it. svc may be nil: then every request needs a token. ctx bounds the opening only. The
// connection stays the caller's and should outlive the door. Any number of doors may serve the same subjects, on one
// connection or on many: NATS gives each request to one of them.
func Serve(ctx context.Context, nc *nats.Conn, svc protocol.Service, opts Options) (*Door, error) {
	opts = opts.withDefaults()
	d := &Door{
		nc: nc, whole: opts.measured(svc), opts: opts, log: opts.Logger,
		subjects: subject.Prefix(opts.Prefix),
		id:       rand.Text(),
		admit: door.New(door.Limits{
			Requests: opts.MaxInflight, Bytes: opts.MaxInflightBytes, Sessions: opts.MaxSessions, Budget: opts.Budget,
		}),
		sessions: registry{byID: map[string]session{}},
		stats:    map[string]*endpointStats{},
		closed:   make(chan struct{}),
	}
	d.base, d.stop = context.WithCancelCause(context.WithoutCancel(ctx))
	d.waits, d.endWaits = context.WithCancelCause(d.base)
	if err := d.subscribe(); err != nil {
		d.stop(err)
		return nil, errors.Join(err, d.unsubscribe())
	}
	// The subscriptions must have reached the server before the caller tells others that the door is open.
	flush, cancel := context.WithTimeout(ctx, opts.RequestTimeout)
	defer cancel()
	if err := nc.FlushWithContext(flush); err != nil {
		return nil, errors.Join(fmt.Errorf("announcing the subscriptions: %w", err), d.Close(ctx))
	}
	return d, nil
}

func (d *Door) subscribe() (err error) {
	d.sessionSub, err = d.nc.Subscribe(d.subjects.Session(d.id, "*.*"), d.onSessionMessage)
	if err != nil {
		return fmt.Errorf("subscribing to session messages: %w", err)
	}
	if err = d.sessionSub.SetPendingLimits(-1, sessionPendingBytes); err != nil {
		return fmt.Errorf("raising the pending limit of session messages: %w", err)
	}
	eps := endpoints()
	if d.opts.Backup != nil {
		eps = append(eps, backupEndpoints()...)
	}
	if d.opts.Cluster != nil {
		eps = append(eps, clusterEndpoints()...)
	}
	for i := range eps {
		d.stats[eps[i].name] = &endpointStats{}
	}
	d.micro, err = micro.AddService(d.nc, micro.Config{
		Name:        serviceName,
		Version:     d.opts.Version,
		Description: "durable streams: basins, streams, appends and reads",
		Metadata:    map[string]string{"prefix": d.subjects.Root()},
		StatsHandler: func(ep *micro.Endpoint) any {
			return d.stats[ep.Name].snapshot()
		},
		ErrorHandler: func(_ micro.Service, err *micro.NATSError) {
			level := slog.LevelWarn
			if err.Description == nats.ErrBadHeaderMsg.Error() {
				level = slog.LevelDebug // Any client can send that as often as it likes.
			}
			d.log.Log(context.Background(), level, "nats reported an error on a service subject", "subject", err.Subject, "error", err.Description)
		},
	})
	if err != nil {
		return fmt.Errorf("adding the micro service: %w", err)
	}
	for i := range eps {
		ep := &eps[i]
		err := d.micro.AddEndpoint(ep.name, micro.HandlerFunc(func(req micro.Request) { d.onRequest(ep, req) }),
			micro.WithEndpointSubject(d.subjects.Root()+"."+ep.subject),
			micro.WithEndpointMetadata(map[string]string{"description": ep.description, "subject": ep.usage}))
		if err != nil {
			return fmt.Errorf("adding endpoint %s: %w", ep.name, err)
		}
	}
	return nil
}

// Close stops the door: requests that arrive from now on are refused with server_draining, sessions end with that error
// (append sessions once their accepted inputs are answered), and requests being served are finished. When ctx ends the
// remaining ones are cancelled. Close returns when all goroutines of the door have ended, and reports whether some had to be
// cancelled. It may be called more than once and by many.
//
// It drains subscriptions, which nats.go does with timers that do not survive a synctest bubble: in one, close the
// connection first.
func (d *Door) Close(ctx context.Context) error {
	d.refuse()
	var err error
	d.closeOnce.Do(func() {
		defer close(d.closed)
		err = d.shutDown(ctx)
	})
	<-d.closed
	return err
}

// Drain refuses all that comes from now on with server_draining, as Close does, and returns when nothing is being served and the answers have left; or
// when ctx ends. The door still answers.
func (d *Door) Drain(ctx context.Context) error {
	d.refuse()
	d.sessions.drain()
	if err := d.admit.Wait(ctx); err != nil {
		return err
	}
	return d.nc.FlushWithContext(ctx)
}

// refuse refuses all that comes from now on, and ends the requests that wait for something to happen.
func (d *Door) refuse() {
	d.admit.Drain(door.ErrDraining())
	d.endWaits(door.ErrDraining())
}

// Leave tells the clients in all answers to leave a NATS server, which stops, for another one. Sessions end with server_draining, and so do requests that
// wait for something to happen. Everything else is still served.
func (d *Door) Leave(server string) {
	d.leaving.Store(&server)
	d.endWaits(door.ErrDraining())
	d.sessions.leave()
}

// Withdraw lets other doors serve what comes from now on; there must be some. Sessions end with server_draining, and so do requests that wait for something
// to happen. Requests that NATS has sent to this door already are served. It returns when NATS sends it none any more, or when ctx ends.
func (d *Door) Withdraw(ctx context.Context) error {
	d.endWaits(door.ErrDraining())
	d.sessions.leave()
	if err := d.micro.Stop(); err != nil {
		return err
	}
	return d.nc.FlushWithContext(ctx)
}

// Expel ends all sessions at once with cause, and refuses with it everything that comes. It does not close the door.
func (d *Door) Expel(cause *protocol.Error) {
	d.expelled.Store(true)
	d.admit.Drain(cause)
	d.sessions.cancel(cause)
}

func (d *Door) shutDown(ctx context.Context) error {
	d.sessions.drain()
	waitErr := d.admit.Wait(ctx)
	if waitErr != nil {
		waitErr = fmt.Errorf("cancelling what did not settle in time: %w", waitErr)
		d.stop(errStopped)
		d.sessions.cancel(errStopped)
		_ = d.admit.Wait(context.Background()) // cannot fail; everything selects on its context
	}
	d.stop(errStopped)
	if d.opts.OwnConn {
		// The last answers leave first. Without a connection there is nothing to drain below, which saves the timers
		// that nats.go shares between all connections of a process.
		flush, cancel := context.WithTimeout(ctx, d.opts.RequestTimeout)
		waitErr = errors.Join(waitErr, d.nc.FlushWithContext(flush))
		cancel()
		d.closeConn(ctx)
	}
	return errors.Join(waitErr, d.unsubscribe())
}

// closeConn closes the door's own connection. With DrainConn the subscriptions end first, and the requests that NATS sent
// before are refused; those that come later get the answer of NATS that there are no responders.
func (d *Door) closeConn(ctx context.Context) {
	defer d.nc.Close()
	if !d.opts.DrainConn || d.expelled.Load() {
		return
	}
	closed := d.nc.StatusChanged(nats.CLOSED)
	defer d.nc.RemoveStatusListener(closed)
	if d.nc.Drain() != nil {
		return // it is closed
	}
	select {
	case <-closed:
	case <-ctx.Done():
	}
}

func (d *Door) unsubscribe() error {
	var errs []error
	if d.micro != nil {
		errs = append(errs, d.micro.Stop())
	}
	if d.sessionSub != nil {
		errs = append(errs, d.sessionSub.Unsubscribe())
	}
	for i, err := range errs {
		if errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrBadSubscription) {
			errs[i] = nil // the connection ended first; nothing is left to give back
		}
	}
	return errors.Join(errs...)
}

// errStopped is the cause with which a stopping door cancels the requests that did not settle: they may have been done.
var errStopped = protocol.Errorf(protocol.CodeUnavailable, "this server stopped before it knew the outcome")

// reader is the client as which the door counts what a read of c holds.
func (d *Door) reader(c door.Client) door.Client {
	if c.Key == "" {
		return d.opts.Reader
	}
	return c
}

// mayAnswer reports whether the door answers to a subject that a client chose.
func (d *Door) mayAnswer(reply string) bool {
	return reply != "" && reply[0] != '$' && !strings.HasPrefix(reply, d.opts.Prefix+".")
}
