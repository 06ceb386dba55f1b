// Package tap publishes durable records as plain NATS messages, so that a subscription receives the records of a stream, or
// of all streams below a prefix (docs/live-taps.md).
//
// A Hub gets every durable chunk from the sequencer of its log, and looks at once whether a subscription in one of the
// NATS accounts takes its subject. If none does, that is all: nothing is copied, kept or encoded. Otherwise the chunk goes
// into the bounded queue of the account's Outlet, whose goroutine publishes its records. A chunk that finds the queue full
// is dropped whole: a slow tap never slows appends.
//
// Goroutines: the worker of an outlet, begun with its first chunk, ends after a while without one, or with Outlet.Close,
// which waits for it.
//
// Locks: Hub.mu, then Outlet.mu. Neither is held while anything is sent.
package tap

import (
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/subject"
)

// Account is a NATS account in which records are published. Its functions may be called at once from many goroutines.
type Account struct {
	Name string
	// Interest reports whether a subscription in the account takes messages on a subject. It must return at once.
	Interest func(subject string) bool
	// Connect opens a connection into the account that may publish on the subjects of taps. It is used for nothing else,
	// because a consumer that is slow makes the server slow its publisher down.
	Connect func() (*nats.Conn, error)
	// MayRead reports whether those in the account may read a stream. It must return at once.
	MayRead func(protocol.StreamRef) bool
	// StreamPrefix is taken off the names of streams, and those without it are not published.
	StreamPrefix string
}

// Hub is where chunks come from and outlets stand. Its methods may be called at once from many goroutines.
type Hub struct {
	prefix subject.Prefix
	log    *slog.Logger

	mu      sync.Mutex // guards changes of outlets
	outlets atomic.Pointer[[]*Outlet]

	queued    atomic.Int64 // bytes in the queues of all outlets
	published atomic.Uint64
	dropped   atomic.Uint64
}

// NewHub makes a hub without outlets. prefix is that of the service's subjects.
func NewHub(prefix string, log *slog.Logger) *Hub {
	h := &Hub{prefix: subject.Prefix(prefix), log: log}
	h.outlets.Store(&[]*Outlet{})
	return h
}

// Published and Dropped are how many records were published, in all accounts, and how many were not because a queue was full
// or the server does not take so large a message.
func (h *Hub) Published() uint64 { return h.published.Load() }

// Dropped counts as [Hub.Published] describes.
func (h *Hub) Dropped() uint64 { return h.dropped.Load() }

// Open makes an outlet for an account. The caller closes it.
func (h *Hub) Open(a Account) *Outlet {
	o := newOutlet(h, a)
	h.change(func(all []*Outlet) []*Outlet { return append(all, o) })
	return o
}

func (h *Hub) change(f func([]*Outlet) []*Outlet) {
	h.mu.Lock()
	defer h.mu.Unlock()
	next := f(slices.Clone(*h.outlets.Load()))
	h.outlets.Store(&next)
}

// Stream returns the function that takes each durable chunk of a stream, in order, from one goroutine. The function returns
// at once, and reports whether it keeps the records' memory.
func (h *Hub) Stream(ref protocol.StreamRef) func(protocol.Records) (kept bool) {
	s := &stream{hub: h, ref: ref, subject: h.prefix.Live(ref)}
	return s.publish
}

// stream is a loaded stream. The sequencer of its log owns it.
type stream struct {
	hub     *Hub
	ref     protocol.StreamRef
	subject string
	own     map[string]string // subjects by prefix, see Account.StreamPrefix
}

func (s *stream) publish(r protocol.Records) (kept bool) {
	for _, o := range *s.hub.outlets.Load() {
		to := s.subject
		if o.account.StreamPrefix != "" {
			to = s.without(o.account.StreamPrefix)
		}
		if to != "" && o.account.Interest(to) && o.account.MayRead(s.ref) && o.put(item{to, r}) {
			kept = true
		}
	}
	return kept
}

// maxOwnSubjects bounds the prefixes that a stream remembers.
const maxOwnSubjects = 16

// without is the subject of the stream under its name without prefix; "" if it has none.
func (s *stream) without(prefix string) string {
	if to, ok := s.own[prefix]; ok {
		return to
	}
	to := ""
	if name, ok := strings.CutPrefix(string(s.ref.Stream), prefix); ok && name != "" {
		to = s.hub.prefix.Live(protocol.StreamRef{Basin: s.ref.Basin, Stream: protocol.StreamName(name)})
	}
	if s.own == nil || len(s.own) >= maxOwnSubjects {
		s.own = map[string]string{}
	}
	s.own[prefix] = to
	return to
}
