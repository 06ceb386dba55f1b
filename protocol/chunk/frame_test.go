package chunk_test

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"testing"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/chunk"
)

var someFrames = []chunk.Frame{
	{Kind: chunk.FrameChunk, StoredChunk: protocol.StoredChunk{Stream: "vr1bvjrh9h6qt0rdn77ksnn9us", Header: "1 first=0 n=1", Payload: []byte("payload")}},
	{Kind: chunk.FrameChunk, StoredChunk: protocol.StoredChunk{Stream: "x", Header: "", Payload: []byte{}}},
	{Kind: chunk.FrameRestart, StoredChunk: protocol.StoredChunk{Stream: "vr1bvjrh9h6qt0rdn77ksnn9us"}},
	{Kind: chunk.FrameEnd, Count: 1 << 60},
}

func TestFrames(t *testing.T) {
	var all []byte
	for i := range someFrames {
		before := len(all)
		all = chunk.AppendFrame(all, &someFrames[i])
		if n := chunk.FrameSize(&someFrames[i].StoredChunk); someFrames[i].Kind == chunk.FrameChunk && n != len(all)-before {
			t.Errorf("frame %d has %d bytes, said to be %d", i, len(all)-before, n)
		}
	}
	r := bytes.NewReader(all)
	for i, want := range someFrames {
		got, err := chunk.ReadFrame(r)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("frame %d: %+v, %v", i, got, err)
		}
	}
	if _, err := chunk.ReadFrame(r); !errors.Is(err, io.EOF) {
		t.Errorf("behind the last: %v", err)
	}
	for cut := range all[:len(all)-1] {
		r := bytes.NewReader(all[:cut])
		var err error
		for err == nil {
			_, err = chunk.ReadFrame(r)
		}
		if errors.Is(err, io.EOF) != ends(cut) {
			t.Errorf("cut at %d: %v", cut, err)
		}
	}
}

// ends reports whether n bytes are whole frames.
func ends(n int) bool {
	var all []byte
	for i := range someFrames {
		if len(all) == n {
			return true
		}
		all = chunk.AppendFrame(all, &someFrames[i])
	}
	return len(all) == n
}

// FuzzFrame: whatever the bytes are, they are refused, or are a frame that is written the same way again.
func FuzzFrame(f *testing.F) {
	for i := range someFrames {
		f.Add(chunk.AppendFrame(nil, &someFrames[i]))
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		frame, err := chunk.ReadFrame(r)
		if err != nil {
			return
		}
		used := b[:len(b)-r.Len()]
		if again := chunk.AppendFrame(nil, &frame); !bytes.Equal(again, used) {
			t.Errorf("%x is written as %x", used, again)
		}
	})
}

// FuzzFrameBody gets behind the checksum.
func FuzzFrameBody(f *testing.F) {
	f.Add(byte(1), "vr1bvjrh9h6qt0rdn77ksnn9us", "1 first=0 n=1", []byte("payload"))
	f.Add(byte(2), "x", "", []byte(nil))
	f.Fuzz(func(t *testing.T, kind byte, stream, header string, payload []byte) {
		if len(stream) > 255 || len(header) > 65535 {
			return
		}
		in := chunk.Frame{Kind: chunk.FrameKind(kind), StoredChunk: protocol.StoredChunk{Stream: stream, Header: header, Payload: payload}}
		b := chunk.AppendFrame(nil, &in)
		out, err := chunk.ReadFrame(bytes.NewReader(b))
		if err == nil && !bytes.Equal(chunk.AppendFrame(nil, &out), b) {
			t.Errorf("%+v comes back as %+v", in, out)
		}
		if kind == 1 && err != nil {
			t.Errorf("%+v: %v", in, err)
		}
	})
}
