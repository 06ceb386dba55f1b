package sessions

import (
	"context"
	"sync"
	"sync/atomic"
)

// handing is the context of an input of an append session. It ends with the session, and as long as the call of Submit lasts with the
// call's context as well. Most inputs are queued without waiting for anything, so the channel is made only when it is asked for: the
// garbage of one append slows down the appends of all others.
type handing struct {
	context.Context                 //nolint:containedctx // the session's life
	call            context.Context //nolint:containedctx // that of Submit
	returned        atomic.Bool     // call does not count any more

	mu     sync.Mutex
	joined context.Context //nolint:containedctx // nil until Done is called
	unhook func() bool     // from call
	cancel context.CancelFunc
}

func (h *handing) Err() error {
	if err := h.Context.Err(); err != nil {
		return err
	}
	if h.returned.Load() {
		return h.joinedErr()
	}
	if h.call.Err() != nil {
		return context.Canceled // as joined has it
	}
	return nil
}

// joinedErr is not nil if the channel of Done was closed because the call ended just before it returned.
func (h *handing) joinedErr() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.joined == nil {
		return nil
	}
	return h.joined.Err()
}

func (h *handing) Done() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.joined == nil {
		if h.returned.Load() {
			return h.Context.Done()
		}
		h.joined, h.cancel = context.WithCancel(h.Context)
		h.unhook = context.AfterFunc(h.call, h.cancel)
	}
	return h.joined.Done()
}

// callReturned says that Submit returns.
func (h *handing) callReturned() {
	h.returned.Store(true)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.unhook != nil {
		h.unhook()
	}
}

// release ends the context that Done has made. The context is not used after it.
func (h *handing) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cancel != nil {
		h.unhook()
		h.cancel()
	}
}
