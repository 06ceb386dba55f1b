package conformance

import (
	"bufio"
	stdbytes "bytes"
	"io"
	"net/http"

	"github.com/weirstream/weir/internal/httpclient"
	"github.com/weirstream/weir/protocol"
)

// Wire is an s2s session, frame by frame.
type Wire struct {
	e    *WebEnv
	resp *http.Response
	r    *bufio.Reader
	body *io.PipeWriter // nil for reads
}

// openWire opens a session, which must succeed. The body supplies the bytes that it sends.
func (e *WebEnv) openWire(method, path string, body io.Reader, headers ...string) *Wire {
	e.t.Helper()
	resp, err := e.Client.Do(e.request(method, path, body, headers...))
	e.must(err, "open a session")
	e.t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(resp.Body)
		e.t.Fatalf("%s %s: got status %d and %.300q", method, path, resp.StatusCode, body)
	}
	for name, want := range map[string]string{"Content-Type": "s2s/proto", "Cache-Control": "no-cache, no-transform",
		"X-Accel-Buffering": "no", "Content-Encoding": ""} {
		equal(e.t, name, resp.Header.Get(name), want)
	}
	return &Wire{e: e, resp: resp, r: bufio.NewReader(resp.Body)}
}

// writing opens an append session on the stream; nothing has been sent when it returns.
func (e *WebEnv) writing(s *Stream, headers ...string) *Wire {
	e.t.Helper()
	pr, pw := io.Pipe()
	e.t.Cleanup(func() { pw.CloseWithError(io.ErrClosedPipe) })
	w := e.openWire(http.MethodPost, s.records(""), pr, append(headers, s.in(), s2sBody)...)
	w.body = pw
	return w
}

// reading opens a read session on the stream.
func (e *WebEnv) reading(s *Stream, query string, headers ...string) *Wire {
	e.t.Helper()
	return e.openWire(http.MethodGet, s.records(query), nil, append(headers, s.in(), s2sBody)...)
}

// raw sends bytes as they are. The server may have ended the session, so that they go nowhere.
func (w *Wire) raw(parts ...[]byte) *Wire {
	for _, part := range parts {
		_, _ = w.body.Write(part)
	}
	return w
}

// in sends an input in a frame of its own.
func (w *Wire) in(recs []protocol.Record, conds ...Condition) *Wire {
	return w.raw(inputFrame(recs, conds...))
}

func inputFrame(recs []protocol.Record, conds ...Condition) []byte {
	in := input(recs, conds...)
	return httpclient.EncodeFrame(0, protocol.MarshalAppendInput(&in))
}

// packed sends an input in a compressed frame.
func (w *Wire) packed(how httpclient.Compression, recs []protocol.Record) *Wire {
	w.e.t.Helper()
	in := input(recs)
	frame, err := httpclient.EncodeMessage(protocol.MarshalAppendInput(&in), how)
	w.e.must(err, "compress a frame")
	return w.raw(frame)
}

// finish ends the request's body.
func (w *Wire) finish() *Wire {
	w.body.Close()
	return w
}

func (w *Wire) frame() httpclient.Frame {
	w.e.t.Helper()
	f, err := httpclient.ReadFrame(w.r)
	w.e.must(err, "read a frame")
	return f
}

// message demands a regular frame and returns it with its message.
func (w *Wire) message() (httpclient.Frame, []byte) {
	w.e.t.Helper()
	f := w.frame()
	if f.Terminal() {
		w.e.t.Fatalf("got a terminal frame: %v", f.Failure())
	}
	message, err := f.Message()
	w.e.must(err, "decompress a frame")
	return f, message
}

// acked demands an ack of [start, end).
func (w *Wire) acked(start, end uint64) protocol.AppendAck {
	w.e.t.Helper()
	_, message := w.message()
	ack, err := protocol.UnmarshalAppendAck(message)
	w.e.must(err, "decode an ack")
	equal(w.e.t, "start of the ack", ack.Start.SeqNum, start)
	w.e.soundAck(ack, int(end-start))
	return ack
}

// got demands a batch or heartbeat, and how it is compressed.
func (w *Wire) got(how httpclient.Compression) Got {
	w.e.t.Helper()
	f, message := w.message()
	equal(w.e.t, "compression", f.Compression(), how)
	batch, err := protocol.UnmarshalReadBatch(message)
	w.e.must(err, "decode a batch")
	return w.e.got(batch)
}

// batch demands a batch or heartbeat that is not compressed.
func (w *Wire) batch() Got {
	w.e.t.Helper()
	return w.got(httpclient.Plain)
}

// ends demands the clean end: of the body, after a whole frame.
func (w *Wire) ends() {
	w.e.t.Helper()
	if f, err := httpclient.ReadFrame(w.r); err != io.EOF {
		w.e.t.Fatalf("got frame %#x of %d bytes and %v, want the end", f.Flag, len(f.Payload), err)
	}
}

// breaks demands a terminal frame with one of the codes, and the end of the body.
func (w *Wire) breaks(codes ...protocol.Code) *protocol.Error {
	w.e.t.Helper()
	f := w.frame()
	if !f.Terminal() {
		w.e.t.Fatalf("got a regular frame of %d bytes, want a terminal one", len(f.Payload))
	}
	equal(w.e.t, "flag", f.Flag, httpclient.FlagTerminal)
	failure := w.e.fails(f.Failure(), codes...)
	equal(w.e.t, "status that is not the code's", failure.RemoteStatus, 0)
	w.ends()
	return failure
}

// join makes one run of bytes.
func join(parts ...[]byte) []byte { return stdbytes.Join(parts, nil) }
