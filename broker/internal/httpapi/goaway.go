package httpapi

// goAwayFrame is a GOAWAY with the highest stream there can be and NO_ERROR: no further stream may be opened, and none
// that is on its way is lost (RFC 9113, section 6.8).
var goAwayFrame = []byte{0, 0, 8, frameGoAway, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0}

// The parts of HTTP/2 frames that matter here (RFC 9113, sections 4.1 and 6).
const (
	frameHeadBytes    = 9
	frameHeaders      = 1
	framePushPromise  = 5
	frameGoAway       = 7
	frameContinuation = 9
	flagEndHeaders    = 4
)

// frameTracker follows the bytes that a server writes, to know where one frame of HTTP/2 ends and the next begins. The zero value
// is the beginning of a connection.
type frameTracker struct {
	began  bool // something was written
	text   bool // the bytes written are HTTP/1.1
	head   [frameHeadBytes]byte
	have   int  // bytes of head
	left   int  // bytes of the payload that are still to come
	frames bool // a whole frame was written
	block  bool // a header block goes on: only CONTINUATION may follow
}

// track takes in the bytes that were written next and reports whether the connection speaks HTTP/2.
func (t *frameTracker) track(p []byte) bool {
	if !t.began && len(p) > 0 {
		// A server begins with SETTINGS in HTTP/2, whose first byte is a zero; an answer of HTTP/1.1 begins with its name.
		t.began, t.text = true, p[0] == 'H'
	}
	if t.text {
		return false
	}
	for len(p) > 0 {
		if t.left > 0 {
			n := min(t.left, len(p))
			t.left -= n
			p = p[n:]
			continue
		}
		n := copy(t.head[t.have:], p)
		t.have += n
		p = p[n:]
		if t.have == frameHeadBytes {
			t.frame()
		}
	}
	return t.began
}

// frame takes in a whole frame head.
func (t *frameTracker) frame() {
	t.have = 0
	t.left = int(t.head[0])<<16 | int(t.head[1])<<8 | int(t.head[2])
	t.frames = true
	switch t.head[3] {
	case frameHeaders, framePushPromise, frameContinuation:
		t.block = t.head[4]&flagEndHeaders == 0
	}
}

// between reports whether a frame may be written now.
func (t *frameTracker) between() bool {
	return t.frames && t.have == 0 && t.left == 0 && !t.block
}
