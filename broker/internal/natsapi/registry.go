package natsapi

import (
	"strings"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/protocol"
)

// session is a conversation as the door's callback and Close see it. No method waits.
type session interface {
	// message takes a client's message to the last token, token, of the session's subjects.
	message(token string, m *nats.Msg)
	// drain ends the session soon, with server_draining.
	drain()
	// leave is drain without the inputs that are not handed on yet.
	leave()
	// cancel ends the session at once, with cause.
	cancel(cause error)
}

// registry finds the open sessions of a door by their ids.
type registry struct {
	mu       sync.Mutex // guards byID and draining
	byID     map[string]session
	draining bool
}

// add enters a session. It reports false, and does not, when the door is draining.
func (r *registry) add(id string, s session) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.draining {
		return false
	}
	r.byID[id] = s
	return true
}

func (r *registry) remove(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byID, id)
}

func (r *registry) get(id string) session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byID[id]
}

func (r *registry) all() []session {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]session, 0, len(r.byID))
	for _, s := range r.byID {
		out = append(out, s)
	}
	return out
}

func (r *registry) drain() { r.end(session.drain) }

func (r *registry) leave() { r.end(session.leave) }

// end lets no session in any more, and ends those that are there.
func (r *registry) end(how func(session)) {
	r.mu.Lock()
	r.draining = true
	r.mu.Unlock()
	for _, s := range r.all() {
		how(s)
	}
}

func (r *registry) cancel(cause error) {
	for _, s := range r.all() {
		s.cancel(cause)
	}
}

// onSessionMessage files a message with its session: the last two tokens of the subject are the session's id and the token
// that the session gave the client for its messages, such as the number of a frame. It runs in the subscription's callback.
func (d *Door) onSessionMessage(m *nats.Msg) {
	id, token, _ := strings.Cut(strings.TrimPrefix(m.Subject, d.subjects.Session(d.id, "")), ".")
	if m.Reply != "" && !d.mayAnswer(m.Reply) {
		return
	}
	if s := d.sessions.get(id); s != nil {
		s.message(token, m)
		return
	}
	if m.Reply != "" {
		// An appender that went on after its session ended, or a client that never had one.
		end := errorMsg(m.Reply, protocol.Errorf(protocol.CodeUnavailable, "this session is over"))
		end.Header[protocol.HeaderFrame] = []string{protocol.FrameEnd}
		d.publish(end)
	}
}
