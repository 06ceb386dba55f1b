package client

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"weak"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/protocol"
)

// refusals hears what the NATS server does not let a connection publish, which it says beside the request, and ends the
// requests that would wait in vain. There is one for a connection, whatever the number of its clients.
type refusals struct {
	mu      sync.Mutex // guards waiting
	waiting map[*waiter]struct{}
}

// waiter is a request under way.
type waiter struct {
	subject string
	refuse  context.CancelCauseFunc
}

var (
	refusalsMu sync.Mutex // guards refusalsOf
	refusalsOf = map[weak.Pointer[nats.Conn]]*refusals{}
)

// watch returns the refusals of a connection. It puts itself before the error handler that the connection has.
func watch(nc *nats.Conn) *refusals {
	refusalsMu.Lock()
	defer refusalsMu.Unlock()
	key := weak.Make(nc)
	if r := refusalsOf[key]; r != nil {
		return r
	}
	r := &refusals{waiting: map[*waiter]struct{}{}}
	refusalsOf[key] = r
	runtime.AddCleanup(nc, func(key weak.Pointer[nats.Conn]) {
		refusalsMu.Lock()
		defer refusalsMu.Unlock()
		delete(refusalsOf, key)
	}, key)
	next := nc.ErrorHandler()
	nc.SetErrorHandler(func(nc *nats.Conn, sub *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrPermissionViolation) && r.tell(err.Error()) {
			return // whoever asked gets the failure
		}
		if next != nil {
			next(nc, sub, err)
		}
	})
	return r
}

// errRefused says the same whatever was asked for.
var errRefused = protocol.Errorf(protocol.CodePermissionDenied, "NATS does not allow this connection to ask that; its access token, or user, may not")

// tell ends the requests that a message of the server is about, and reports whether there were any.
func (r *refusals) tell(text string) (told bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for w := range r.waiting {
		if strings.Contains(text, strconv.Quote(w.subject)) {
			w.refuse(errRefused)
			told = true
		}
	}
	return told
}

// bind returns a context that ends with errRefused as its cause if the server refuses a request on the subject.
func (r *refusals) bind(ctx context.Context, subject string) (context.Context, context.CancelFunc) {
	ctx, refuse := context.WithCancelCause(ctx)
	w := &waiter{subject, refuse}
	r.mu.Lock()
	r.waiting[w] = struct{}{}
	r.mu.Unlock()
	return ctx, func() {
		r.mu.Lock()
		delete(r.waiting, w)
		r.mu.Unlock()
		refuse(nil)
	}
}
