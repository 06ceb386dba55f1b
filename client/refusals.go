package client

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/protocol"
)

// Refusals ends requests that the NATS server does not let their connection publish. NATS does not answer such a request:
// it reports a permissions violation to the connection's error handler. So a program that wants the failure at once, as
// permission_denied, makes Refusals a part of that handler; without it the request fails with request_timeout.
//
//	refusals := client.NewRefusals(nil)
//	nc, err := nats.Connect(url, nats.ErrorHandler(refusals.HandleError))
//	c := client.New(nc, client.Options{Refusals: refusals})
//
// The subject of the request is known only from the text of the violation. One Refusals is for one connection, and for any
// number of clients on it.
type Refusals struct {
	next    nats.ErrHandler
	mu      sync.Mutex // guards waiting
	waiting map[*waiter]struct{}
}

// waiter is a request under way.
type waiter struct {
	subject string
	refuse  context.CancelCauseFunc
}

// NewRefusals makes a Refusals that passes on to next, unless that is nil, every error that is not about a request of its
// clients.
func NewRefusals(next nats.ErrHandler) *Refusals {
	return &Refusals{next: next, waiting: map[*waiter]struct{}{}}
}

// WatchRefusals makes a Refusals the error handler of a connection, before the handler that it has.
func WatchRefusals(nc *nats.Conn) *Refusals {
	r := NewRefusals(nc.ErrorHandler())
	nc.SetErrorHandler(r.HandleError)
	return r
}

// HandleError is a [nats.ErrHandler].
func (r *Refusals) HandleError(nc *nats.Conn, sub *nats.Subscription, err error) {
	if errors.Is(err, nats.ErrPermissionViolation) && r.refuse(err.Error()) {
		return // the caller gets the failure
	}
	if r.next != nil {
		r.next(nc, sub, err)
	}
}

// refused is the cause of a context whose request the server refuses.
type refused struct{ subject string }

func (r *refused) Error() string { return r.failure().Message }

func (r *refused) failure() *protocol.Error {
	return protocol.Errorf(protocol.CodePermissionDenied,
		"NATS does not allow this connection to publish on %s: its user or access token lacks the permission", r.subject)
}

// refuse ends the requests whose subject the text of a violation names, and reports whether there were any.
func (r *Refusals) refuse(text string) (found bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for w := range r.waiting {
		if strings.Contains(text, strconv.Quote(w.subject)) {
			w.refuse(&refused{w.subject})
			found = true
		}
	}
	return found
}

// bind returns a context that ends with a *refused as its cause if the server refuses a request on the subject. A nil
// Refusals binds nothing.
func (r *Refusals) bind(ctx context.Context, subject string) (context.Context, context.CancelFunc) {
	if r == nil {
		return ctx, func() {}
	}
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
