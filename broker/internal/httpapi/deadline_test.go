package httpapi

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// finished is the writer of a call that may end: then nothing may be set any more.
type finished struct {
	http.ResponseWriter
	over bool
	t    *testing.T
}

func (f *finished) SetReadDeadline(time.Time) error {
	if f.over {
		f.t.Error("a deadline was set after the end of the call")
	}
	return nil
}

// TestALateKickTouchesNothing: a door that begins to drain at the very end of a session kicks after the call.
func TestALateKickTouchesNothing(t *testing.T) {
	w := &finished{ResponseWriter: httptest.NewRecorder(), t: t}
	d := newReadDeadline(http.NewResponseController(w))
	d.set(time.Now().Add(time.Minute))
	d.kick() // as a session does at its end
	w.over = true
	d.kick()
	d.clear()
	if !d.ended() {
		t.Error("the reads go on")
	}
}
