package httpapi

import (
	"net/http"
	"sync"
	"time"
)

const (
	// streamStall is how long a client of HTTP/2 may take nothing of an answer that is there. Over HTTP/1.1 the connection
	// has a bound; see writeStall.
	streamStall = 30 * time.Second
	// answerPiece is how much is written at a time: each piece has the time of streamStall.
	answerPiece = 64 << 10
	// revokedStall takes the place of streamStall once the token was revoked or has expired.
	revokedStall = time.Second
)

// stallWatch cuts an answer whose client takes nothing. net/http's deadline of a stream ends it whether something is written
// or not, so that this one looks at a clock of its own, and sets that deadline only to cut. All methods may be called
// at once; after end they do nothing, because net/http panics when the deadline of a call that is over is set.
type stallWatch struct {
	mu    sync.Mutex // guards the fields below, and orders the calls of rc
	rc    *http.ResponseController
	http2 bool
	allow time.Duration
	since time.Time // when the write under way began; zero while there is none
	timer *time.Timer
	over  bool
}

func newStallWatch(rc *http.ResponseController, http2 bool) *stallWatch {
	return &stallWatch{rc: rc, http2: http2, allow: streamStall}
}

// begin says that a write begins.
func (w *stallWatch) begin() {
	if !w.http2 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.since = time.Now(); w.timer == nil && !w.over {
		w.timer = time.AfterFunc(w.allow, w.look)
	}
}

// done says that the write has ended.
func (w *stallWatch) done() {
	if !w.http2 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.since = time.Time{}
}

// look cuts the answer if its write takes too long.
func (w *stallWatch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch waited := time.Since(w.since); {
	case w.over:
	case w.since.IsZero():
		w.timer = nil // the next write makes another
	case waited < w.allow:
		w.timer.Reset(w.allow - waited)
	default:
		w.cutLocked()
	}
}

// hurry leaves the client little time from now on.
func (w *stallWatch) hurry() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.allow = revokedStall; w.timer != nil && !w.over {
		w.timer.Reset(w.allow)
	}
}

// cut ends the write under way and all that follow.
func (w *stallWatch) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cutLocked()
}

func (w *stallWatch) cutLocked() {
	if !w.over {
		_ = w.rc.SetWriteDeadline(time.Unix(1, 0))
	}
}

// end says that the call is over.
func (w *stallWatch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over = true; w.timer != nil {
		w.timer.Stop()
	}
}
