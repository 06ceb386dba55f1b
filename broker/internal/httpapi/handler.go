package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/broker/internal/door"
	"github.com/weirstream/weir/protocol"
)

// Handler serves the API; make one with [New].
type Handler struct {
	whole    door.Caller // of all requests when nothing is authenticated; calls use call.caller
	opts     Options
	log      *slog.Logger
	admit    *door.Limiter
	slotless *slotless
	outbox   *door.Outbox
	hosts    hosts // see checkOrigin
	metrics  *metrics

	leaving atomic.Bool // clients are to go elsewhere
	// drained ends when the handler begins to drain, and stopped when the remaining calls are cut off.
	drained context.Context //nolint:containedctx // both live as long as the handler
	drain   context.CancelFunc
	stopped context.Context //nolint:containedctx // see drained
	stop    context.CancelFunc
}

// New returns a handler that answers with svc, or with the service that [Options].Authenticate returns. It works in any
// server, best in one from [NewServer], and without HTTP/2 except that s2s sessions over HTTP/1.1 need a server that supports
// full duplex.
func New(svc protocol.Service, opts Options) *Handler {
	opts = opts.withDefaults()
	h := &Handler{
		whole: door.Caller{Service: svc}, opts: opts, log: opts.Logger,
		admit:    door.New(door.Limits{Requests: opts.MaxInflight, Bytes: opts.MaxInflightBytes, Sessions: opts.MaxSessions}),
		slotless: newSlotless(),
		outbox:   door.NewOutbox(door.OutboxBytes, putBuffer),
		hosts:    hostsOf(opts.CORSOrigins),
		metrics:  newMetrics(opts.Registry),
	}
	h.drained, h.drain = context.WithCancel(context.Background())
	h.stopped, h.stop = context.WithCancel(context.Background())
	return h
}

// Leave asks the clients to go elsewhere, and serves them until they do: connections of HTTP/1.1 end with their next answer, and the answer to probes says that
// the broker stops. [Listener.GoAway] is for those of HTTP/2.
func (h *Handler) Leave() { h.leaving.Store(true) }

// Drain makes the handler refuse every new request with server_draining, and ends sessions with it: read sessions at
// once, append sessions after the acks of the inputs that were taken. It does not wait, and may be called again.
func (h *Handler) Drain() {
	h.Leave()
	h.admit.Drain(door.ErrDraining())
	h.drain()
}

// Close drains and waits until every request and session has ended. When ctx ends it cuts off the remaining ones, and returns
// its error. It may be called again.
func (h *Handler) Close(ctx context.Context) error {
	h.Drain()
	err := h.admit.Wait(ctx)
	h.stop()
	return err
}

// call is one request being served.
type call struct {
	h        *Handler
	svc      protocol.Service // of the caller; set once that is known, as the next two
	client   door.Client
	life     context.Context //nolint:containedctx // ends with the caller's token; nil if nothing ends it
	w        http.ResponseWriter
	r        *http.Request
	rc       *http.ResponseController
	route    *route
	basin    protocol.BasinName // of a port that serves the Durable Streams protocol alone; "" on others
	params   [maxParams]string  // raw
	status   int                // of the head that was written; 0 before
	sent     int                // bytes of the response's body
	session  bool               // a session was opened
	place    *door.Place        // among the requests, or the sessions; nil before it has one
	slotless *slotlessPlace     // of an answer without such a place; nil if it has none
	writes   *stallWatch
	lasting  context.Context //nolint:containedctx // see context; nil until it is asked for
	forget   func()          // frees lasting; nil if there is nothing to free
	unhurry  func() bool     // when the token ends, the client is not hurried any more; nil if it never would be
	hold     *door.Hold      // the memory of a read; nil for other calls
	failed   protocol.Code   // of the failure that was answered
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.serve(w, r, "") }

// serve answers a request. With a basin, it is one of the Durable Streams protocol for a stream of that basin.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, basin protocol.BasinName) {
	began := time.Now()
	c := &call{h: h, w: w, r: r, rc: http.NewResponseController(w), basin: basin}
	c.writes = newStallWatch(c.rc, r.ProtoMajor == 2)
	defer c.writes.end()
	defer c.leave()
	c.askToLeave()
	if e := c.checkOrigin(); e != nil {
		c.refuseOrigin(e)
		h.metrics.done(unroutedName, c, time.Since(began))
		return
	}
	if basin == "" && c.serveDashboard() { // before cors: no other origin has a use for it
		h.metrics.done(dashboardName, c, time.Since(began))
		return
	}
	if !h.opts.NoCORS && c.cors() {
		return
	}
	if c.hasBrokenEscape() {
		c.failStatus(http.StatusBadRequest, protocol.Errorf(protocol.CodeBadPath, "the path holds a %% that is not followed by two hexadecimal digits; the character itself is written %%25"))
		h.metrics.done(unroutedName, c, time.Since(began))
		return
	}
	var allowed []string
	if basin != "" || isDurable(r) {
		c.route = &durableRoute
	} else {
		c.route, c.params, allowed = match(r.Method, r.URL.EscapedPath())
	}
	if c.route == nil {
		c.unrouted(allowed)
		h.metrics.done(unroutedName, c, time.Since(began))
		return
	}
	if !c.route.probe {
		var end func(int, protocol.Code)
		c.r, end = h.opts.Tracer.HTTP(r, c.route.pattern)
		defer func() { end(c.status, c.failed) }()
	}
	defer func() {
		h.metrics.done(c.route.name, c, time.Since(began))
		if h.log.Enabled(r.Context(), slog.LevelDebug) {
			h.log.LogAttrs(r.Context(), slog.LevelDebug, "http request", slog.String("route", c.route.name),
				slog.Int("status", c.status), slog.String("code", string(c.failed)), slog.Int("bytes", c.sent),
				slog.Duration("took", time.Since(began)))
		}
	}()
	defer c.recover()
	if err := c.serve(); err != nil { // a refusal is written while the call has its place, as every answer is
		c.fail(err)
	}
}

// askToLeave has the connection end with the answer if clients are to leave and this is HTTP/1.1. A client of HTTP/2
// learns it from the [Listener]: there the header would cut off the streams that are on their way.
func (c *call) askToLeave() {
	if c.r.ProtoMajor == 1 && c.h.leaving.Load() {
		c.w.Header()["Connection"] = []string{"close"}
	}
}

// serve identifies the caller, admits the request and calls its handler.
func (c *call) serve() error {
	if c.route.probe {
		c.takeSlotless()
		return c.route.serve(c)
	}
	if err := c.authenticate(); err != nil {
		return err
	}
	if _, ok := c.contentEncoding(); !ok {
		c.w.Header()["Accept-Encoding"] = []string{"gzip, zstd, identity"}
		c.failStatus(http.StatusUnsupportedMediaType, protocol.Errorf(protocol.CodeBadHeader,
			"content-encoding: only gzip, zstd and identity are supported"))
		return nil
	}
	place, err := c.h.admit.Request(c.client, 0) // its bytes are counted as they come
	if err != nil {
		return err
	}
	c.place = place
	if c.life != nil {
		c.unhurry = context.AfterFunc(c.life, c.writes.hurry)
	}
	return c.route.serve(c)
}

// becomeSession exchanges the request's place for one among the sessions, until the call ends.
func (c *call) becomeSession() error {
	place, err := c.h.admit.Session(c.client)
	if err != nil {
		return err
	}
	c.place.Leave()
	c.place = place
	return nil
}

// recover answers a panic in a handler, or cuts the connection if the answer has begun: it must not look complete.
func (c *call) recover() {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler { //nolint:errorlint // a panic's value, compared as net/http does
		panic(p) //nolint:forbidigo // passed on to net/http
	}
	err := door.Panicked(c.log(), p)
	if c.status != 0 {
		panic(http.ErrAbortHandler) //nolint:forbidigo // the way to have net/http cut the connection
	}
	c.fail(err)
}

// unrouted answers the requests that no route takes (control plane 8.4).
func (c *call) unrouted(allowed []string) {
	if len(allowed) == 0 {
		why := "there is nothing at this path"
		if strings.HasPrefix(c.r.URL.Path, "/v1/streams/") {
			why += "; a / in the name of a stream is written %2F"
		}
		c.failStatus(http.StatusNotFound, protocol.Errorf(protocol.CodeBadPath, "%s", why))
		return
	}
	c.w.Header()["Allow"] = []string{strings.Join(allowed, ", ")}
	c.failStatus(http.StatusMethodNotAllowed, protocol.Errorf(protocol.CodeBadPath, "this path takes %s only",
		strings.Join(allowed, ", ")))
}

// fail answers with the failure, with the status of its code.
func (c *call) fail(err error) {
	e := c.clientError(err)
	c.failStatus(e.Status(), e)
}

func (c *call) failStatus(status int, e *protocol.Error) {
	if c.status != 0 {
		return // too late to say anything
	}
	c.failed = e.Code
	c.unread()
	c.respond(status, contentJSON, e.Body())
}

// unread prepares a refusal for a request over HTTP/1.1 whose body may not have come to its end. net/http reads on, up to
// a bound but for any time, before it sends the head; a client that waits for the head before it goes on, as one of an
// append session does, would never see it.
func (c *call) unread() {
	if c.r.ProtoMajor != 1 || c.r.Body == http.NoBody {
		return
	}
	if c.r.Method == http.MethodPost && c.media("Content-Type") == protocol.KindS2S && c.rc.EnableFullDuplex() == nil {
		c.w.Header()["Connection"] = []string{"close"}
	}
	_ = c.rc.SetReadDeadline(time.Now().Add(lingerTime))
}

// clientError turns any failure into one fit for a client.
func (c *call) clientError(err error) *protocol.Error {
	return door.ClientError(c.h.log, err, slog.String("route", c.name()))
}

// name is the request's route in the log.
func (c *call) name() string {
	if c.route == nil {
		return unroutedName
	}
	return c.route.name
}

// log is the door's log with the name of the request's route.
func (c *call) log() *slog.Logger { return c.h.log.With(slog.String("route", c.name())) }

// noWait is the wait of a request that does not wait for something new to happen.
const noWait time.Duration = 0

// served is the context of the work for a unary request: over HTTP/1.1 one that does not wait for anything is done and answered
// in any case.
func (c *call) served(wait time.Duration) context.Context {
	if c.r.ProtoMajor == 1 && wait <= 0 {
		return context.WithoutCancel(c.r.Context())
	}
	return c.context()
}

// context ends when the client has left. Over HTTP/1.1 net/http ends the request's own when the client shuts its sending
// side, although it may still wait for its answer; the connection of a [Listener] knows better. A client that has closed its
// socket looks the same at first: the loss shows when something is written to it. In another server it is the request's own.
func (c *call) context() context.Context {
	if c.lasting != nil {
		return c.lasting
	}
	c.lasting = c.r.Context()
	if nc, ok := c.lasting.Value(connKey{}).(*conn); ok && c.r.ProtoMajor == 1 {
		ctx, cancel := context.WithCancel(context.WithoutCancel(c.lasting))
		unhook := context.AfterFunc(nc.gone, cancel)
		c.lasting, c.forget = ctx, func() { unhook(); cancel() }
	}
	return c.lasting
}

// unary returns the context of a unary request: it ends with the request, when the door stops, and after the request
// timeout and wait. That of a request that waits ends when the door drains too. Pass errors of calls under it through
// [door.CauseOf].
func (c *call) unary(wait time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(c.served(wait), c.h.opts.RequestTimeout+wait)
	if wait <= 0 {
		return ctx, cancel
	}
	bound, unbind := c.bind(ctx)
	return bound, func() { unbind(); cancel() }
}

// bind returns a context that ends with ctx, and with the cause server_draining when the door drains.
func (c *call) bind(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(c.h.drained, func() { cancel(door.ErrDraining()) })
	return ctx, func() { unhook(); cancel(nil) }
}
