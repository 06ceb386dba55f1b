package s2s

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/weirstream/weir/protocol"
)

func fromHex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestBytes are the byte examples of data plane 8.9.
func TestBytes(t *testing.T) {
	heartbeat := protocol.ReadBatch{Tail: &protocol.Position{SeqNum: 5, Timestamp: 1000}}
	got, err := AppendFrame(nil, protocol.MarshalReadBatch(&heartbeat), Head{})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ got, want []byte }{
		"heartbeat": {got, fromHex(t, "00 00 08 00 12 05 08 05 10 E8 07")},
		"416": {AppendTerminal(nil, protocol.Unwritten(protocol.Position{})),
			append(fromHex(t, "00 00 27 80 01 A0"), `{"tail":{"seq_num":0,"timestamp":0}}`...)},
		"412":       {AppendTerminal(nil, protocol.SeqNumMismatch(1)), append(fromHex(t, "00 00 19 80 01 9C"), `{"seq_num_mismatch":1}`...)},
		"reconnect": {must(AppendFrame(nil, []byte("x"), Head{Compression: Zstd, Reconnect: true})), fromHex(t, "00 00 02 10 78")},
	} {
		if !bytes.Equal(c.got, c.want) {
			t.Errorf("%s: got % X, want % X", name, c.got, c.want)
		}
	}
}

// TestDecoding is the table of data plane 8.9, rows 345 to 353, 358 and 359.
func TestDecoding(t *testing.T) {
	for name, c := range map[string]struct {
		in   string // the head, and what follows
		want Head
		bad  bool
	}{
		"plain":                            {in: "00 00 01 00", want: Head{}},
		"largest":                          {in: "20 00 00 00", want: Head{Payload: MaxPayload}},
		"too large":                        {in: "20 00 01 00", bad: true},
		"length 0":                         {in: "00 00 00 00", bad: true},
		"zstd":                             {in: "00 00 05 20", want: Head{Payload: 4, Compression: Zstd}},
		"gzip":                             {in: "00 00 05 40", want: Head{Payload: 4, Compression: Gzip}},
		"unknown compression":              {in: "00 00 05 60", bad: true},
		"terminal ignores its compression": {in: "00 00 05 E0", want: Head{Payload: 4, Terminal: true}},
		"reserved bits do not count":       {in: "00 00 05 0F", want: Head{Payload: 4}},
		"reconnect is told":                {in: "00 00 05 10", want: Head{Payload: 4, Reconnect: true}},
		"a head that is cut":               {in: "00 00 05", bad: true},
	} {
		got, err := DecodeHead(fromHex(t, c.in))
		if c.bad {
			if protocol.CodeOf(err) != protocol.CodeBadFrame {
				t.Errorf("%s: %v, want code bad_frame", name, err)
			}
		} else if err != nil || got != c.want {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	for _, in := range [][]byte{nil, {1}, append([]byte{1, 2}, 0xff)} {
		if _, _, err := DecodeTerminal(in); protocol.CodeOf(err) != protocol.CodeBadFrame {
			t.Errorf("terminal % X: %v, want code bad_frame", in, err)
		}
	}
	status, body, err := DecodeTerminal(append([]byte{1, 0xa2}, "a teapot"...))
	if status != 418 || string(body) != "a teapot" || err != nil {
		t.Errorf("got %d %q %v", status, body, err)
	}
}

// TestStream: frames survive any cut of the stream, rows 345 to 347.
func TestStream(t *testing.T) {
	var stream []byte
	want := []string{"", "a", strings.Repeat("b", 1023), strings.Repeat("c", 1024), strings.Repeat("d", 1<<20)}
	for i, m := range want {
		stream = must(AppendFrame(stream, []byte(m), Head{Compression: Compression(i % 3)}))
	}
	var got []string
	for held, cut := []byte(nil), 1; len(stream) > 0; cut = cut*3%7919 + 1 {
		held = append(held, stream[:min(cut, len(stream))]...)
		stream = stream[min(cut, len(stream)):]
		for {
			f, n, err := DecodeFrame(held)
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				break
			}
			msg, err := f.Message(f.Body)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(msg))
			held = held[n:]
		}
	}
	if len(got) != len(want) {
		t.Fatalf("got %d frames, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("frame %d has %d bytes, want %d", i, len(got[i]), len(want[i]))
		}
	}
}

// TestCompression: rows 342 to 344, 354 and 355.
func TestCompression(t *testing.T) {
	noise := make([]byte, MaxPayload)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	for _, c := range []Compression{Zstd, Gzip} {
		small := must(AppendFrame(nil, bytes.Repeat([]byte("x"), CompressionThreshold-1), Head{Compression: c}))
		if h, _ := DecodeHead(small); h.Compression != NoCompression || h.Payload != CompressionThreshold-1 {
			t.Errorf("%v: below the threshold: %+v", c, h)
		}
		large := bytes.Repeat([]byte("compressible "), 90_000)
		frame := must(AppendFrame([]byte("before"), large, Head{Compression: c}))[len("before"):]
		f, n, err := DecodeFrame(frame)
		if err != nil || n != len(frame) || f.Compression != c || n > len(large)/10 {
			t.Fatalf("%v: %+v, %d of %d bytes, %v", c, f.Head, n, len(frame), err)
		}
		if msg, err := f.Message(f.Body); err != nil || !bytes.Equal(msg, large) {
			t.Errorf("%v: %d bytes came back, %v", c, len(msg), err)
		}
		// What does not compress at the limit still leaves, as it is.
		if h, err := DecodeHead(must(AppendFrame(nil, noise, Head{Compression: c}))); err != nil || h.Payload != MaxPayload {
			t.Errorf("%v: noise at the limit: %+v, %v", c, h, err)
		}
		if _, err := AppendFrame(nil, append(noise, 0), Head{Compression: c}); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%v: over the limit: %v", c, err)
		}
		for name, bomb := range map[string][]byte{
			"bomb":         c.Append(nil, make([]byte, MaxPayload+1)),
			"large bomb":   c.Append(nil, make([]byte, 64<<20)),
			"two in a row": c.Append(c.Append(nil, make([]byte, 1<<20)), make([]byte, 1<<20)),
			"not that":     []byte("neither gzip nor zstd"),
			"cut":          c.Append(nil, large)[:40],
		} {
			if _, err := (Head{Compression: c}).Message(bomb); protocol.CodeOf(err) != protocol.CodeBadFrame {
				t.Errorf("%v, %s: %v, want code bad_frame", c, name, err)
			}
		}
		if msg, err := (Head{Compression: c}).Message(c.Append(nil, make([]byte, MaxPayload))); err != nil || len(msg) != MaxPayload {
			t.Errorf("%v at the limit: %d bytes, %v", c, len(msg), err)
		}
	}
}

// TestNegotiate: rows 339 to 341.
func TestNegotiate(t *testing.T) {
	for in, want := range map[string]Compression{
		"": NoCompression, "gzip, zstd, br": Zstd, "gzip;q=0.8, deflate": Gzip, "br": NoCompression,
		"ZSTD;q=0": Zstd, "x-gzip": NoCompression, "GZip": Gzip,
	} {
		if got := Negotiate([]string{in}); got != want {
			t.Errorf("%q: got %v, want %v", in, got, want)
		}
	}
	if got := Negotiate([]string{"gzip", "br, zstd"}); got != Zstd {
		t.Errorf("two headers: got %v", got)
	}
}

func TestParseContentEncoding(t *testing.T) {
	for in, want := range map[string]Compression{"": NoCompression, "identity": NoCompression, "gzip": Gzip, "ZSTD": Zstd} {
		if got, ok := ParseContentEncoding(in); !ok || got != want {
			t.Errorf("%q: got %v, %t", in, got, ok)
		}
	}
	for _, in := range []string{"br", "gzip, zstd", "deflate", "*"} {
		if _, ok := ParseContentEncoding(in); ok {
			t.Errorf("%q is taken", in)
		}
	}
}

// FuzzFrame: any bytes are a frame, too few, or an error; what is a frame and can be encoded comes back the same.
func FuzzFrame(f *testing.F) {
	f.Add(must(AppendFrame(nil, []byte("hello"), Head{})))
	f.Add(must(AppendFrame(nil, bytes.Repeat([]byte("hello"), 500), Head{Compression: Zstd, Reconnect: true})))
	f.Add(must(AppendFrame(nil, bytes.Repeat([]byte("hello"), 500), Head{Compression: Gzip})))
	f.Add(AppendTerminal(nil, protocol.SeqNumMismatch(1)))
	f.Add([]byte{0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, n, err := DecodeFrame(b)
		if err != nil || n == 0 {
			if err != nil && protocol.CodeOf(err) != protocol.CodeBadFrame {
				t.Fatalf("code %s", protocol.CodeOf(err))
			}
			return
		}
		if n > len(b) || len(frame.Body) != frame.Payload || n != HeadBytes+frame.Payload {
			t.Fatalf("%+v of %d bytes", frame.Head, n)
		}
		if frame.Terminal {
			if _, _, err := DecodeTerminal(frame.Body); err != nil && protocol.CodeOf(err) != protocol.CodeBadFrame {
				t.Fatalf("code %s", protocol.CodeOf(err))
			}
			return
		}
		msg, err := frame.Message(frame.Body)
		if err != nil {
			if protocol.CodeOf(err) != protocol.CodeBadFrame {
				t.Fatalf("code %s", protocol.CodeOf(err))
			}
			return
		}
		if len(msg) > MaxPayload {
			t.Fatalf("a message of %d bytes", len(msg))
		}
		again, n, err := DecodeFrame(must(AppendFrame(nil, msg, Head{Compression: frame.Compression, Reconnect: frame.Reconnect})))
		if err != nil || n == 0 || again.Reconnect != frame.Reconnect {
			t.Fatalf("%+v, %v", again.Head, err)
		}
		if back, err := again.Message(again.Body); err != nil || !bytes.Equal(back, msg) {
			t.Fatalf("%d bytes became %d, %v", len(msg), len(back), err)
		}
	})
}
