package conformance

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/weirstream/weir/internal/httpclient"
	"github.com/weirstream/weir/protocol"
)

// padded makes an input of one record whose message has exactly size bytes, about 2 MiB: an unknown field fills it up.
func padded(size int) []byte {
	in := input(text("x"))
	message := protowire.AppendTag(protocol.MarshalAppendInput(&in), 15, protowire.BytesType)
	return protowire.AppendBytes(message, make([]byte, size-len(message)-3)) // 3 bytes say how long the field is
}

// bodyFor makes a body with which a record at timestamp 1 takes exactly size bytes as a batch in protobuf.
func bodyFor(seq uint64, size int) []byte {
	for n := size; ; n-- {
		body := make([]byte, n)
		if protocol.SequencedSize(seq, 1, nil, body) == size {
			return body
		}
	}
}

// wireFrameCases: data plane A.18, frames and their compression.
var wireFrameCases = []WebCase{
	{Row: "A.18/339", Name: "zstd wherever it is listed", Run: func(t *testing.T, e *WebEnv) {
		s := e.bulky()
		for _, accepted := range []string{"gzip, zstd, br", "zstd", "GZIP, ZSTD", "br;q=1, zstd;q=0.1", "gzip;q=1.0,zstd;q=0.5"} {
			e.reading(s, "?seq_num=0&count=1", "accept-encoding: "+accepted).got(httpclient.Zstd).Seqs(0, 1)
		}
		e.reading(s, "?seq_num=0&count=1", "accept-encoding: gzip", "accept-encoding: zstd").got(httpclient.Zstd).Seqs(0, 1)
	}},
	{Row: "A.18/340", Name: "gzip if zstd is not listed", Run: func(t *testing.T, e *WebEnv) {
		s := e.bulky()
		for _, accepted := range []string{"gzip;q=0.8, deflate", "gzip", "deflate, gzip"} {
			e.reading(s, "?seq_num=0&count=1", "accept-encoding: "+accepted).got(httpclient.Gzip).Seqs(0, 1)
		}
	}},
	{Row: "A.18/341", Name: "nothing is listed", Run: func(t *testing.T, e *WebEnv) {
		s := e.bulky()
		for _, accepted := range []string{"identity", "", "br, deflate", "*"} {
			e.reading(s, "?seq_num=0&count=1", "accept-encoding: "+accepted).got(httpclient.Plain).Seqs(0, 1)
		}
	}},
	{Row: "A.18/342", Name: "small payloads are not compressed", Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream()
		s.Append(these(sized(900)))
		for _, accepted := range []string{"zstd", "gzip"} {
			w := e.reading(s, "?seq_num=0&count=1", "accept-encoding: "+accepted)
			w.got(httpclient.Plain).Seqs(0, 1)
			w.ends()
			e.writing(e.Stream(), "accept-encoding: "+accepted).in(text("x")).acked(0, 1)
		}
	}},
	{Row: "A.18/343", Name: "the threshold is a payload of 1024 bytes", Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream(uncapped(true))
		for i, size := range []int{1022, 1023, 1024, 1025} {
			s.Append(these(protocol.Record{Timestamp: new(uint64(1)), Body: bodyFor(uint64(2*i), size)}))
			s.Append(stamped(1)) // a batch that reaches the tail would carry it
			for accepted, want := range map[string]httpclient.Compression{"zstd": httpclient.Zstd, "gzip": httpclient.Gzip} {
				if size < httpclient.CompressAt {
					want = httpclient.Plain
				}
				w := e.reading(s, "?tail_offset=2&count=1", "accept-encoding: "+accepted)
				f, message := w.message()
				equal(t, "payload", len(message), size)
				equal(t, "compression", f.Compression(), want)
			}
		}
	}},
	{Row: "A.18/344", Name: "compressible payloads of 1 MiB", Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream()
		s.Append(these(sized(protocol.MaxBatchBytes)))
		for accepted, how := range map[string]httpclient.Compression{"zstd": httpclient.Zstd, "gzip": httpclient.Gzip} {
			w := e.reading(s, "?seq_num=0&count=1", "accept-encoding: "+accepted)
			f, message := w.message()
			equal(t, "compression", f.Compression(), how)
			if len(f.Payload) > len(message)/100 {
				t.Fatalf("%s: %d bytes of the same letter are compressed to %d", accepted, len(message), len(f.Payload))
			}
			batch, err := protocol.UnmarshalReadBatch(message)
			e.must(err, "decode")
			e.got(batch).Seqs(0, 1)
		}
	}},
	{Row: "A.18/345,346", Name: "frames in pieces", Timed: true, Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream()
		w := e.writing(s)
		for i := range uint64(3) {
			frame := inputFrame(text("pieces"))
			for _, b := range frame[:len(frame)-1] {
				w.raw([]byte{b})
				time.Sleep(time.Second)
			}
			s.At(i) // one byte short is no frame yet
			w.raw(frame[len(frame)-1:])
			w.acked(i, i+1)
		}
		w.finish().ends()
	}},
	{Row: "A.18/347", Name: "several frames at once", Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream()
		a, b := inputFrame(text("a")), inputFrame(text("b", "c"))
		w := e.writing(s).raw(join(a, b, a[:7])).raw(join(a[7:], b, a)).finish()
		for i, n := range []uint64{0, 1, 3, 4, 6} {
			w.acked(n, []uint64{1, 3, 4, 6, 7}[i])
		}
		w.ends()
		s.Read(from(0)).Bodies("a", "b", "c", "a", "b", "c", "a")
	}},
	{Row: "A.18/348", Name: "the longest frame", Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream()
		w := e.writing(s).raw(httpclient.EncodeFrame(0, padded(httpclient.MaxPayloadBytes)))
		w.acked(0, 1)
		for i, how := range []httpclient.Compression{httpclient.Zstd, httpclient.Gzip} {
			frame, err := httpclient.EncodeMessage(padded(httpclient.MaxPayloadBytes), how)
			e.must(err, "compress")
			w.raw(frame).acked(uint64(i+1), uint64(i+2))
		}
		w.finish().ends()
	}},
	{Row: "A.18/349", Name: "a frame of one byte more", Run: func(t *testing.T, e *WebEnv) {
		e.spoiled(httpclient.EncodeFrame(0, padded(httpclient.MaxPayloadBytes+1)), protocol.CodeBadFrame)
		e.spoiled([]byte("\xff\xff\xff\x00"), protocol.CodeBadFrame)
	}},
	{Row: "A.18/350", Name: "a frame of length 0", Run: func(t *testing.T, e *WebEnv) {
		e.spoiled([]byte{0, 0, 0, 0}, protocol.CodeBadFrame)
	}},
	{Row: "A.18/351", Name: "compression bits 11", Run: func(t *testing.T, e *WebEnv) {
		frame := inputFrame(text("x"))
		frame[3] = 0x60
		e.spoiled(frame, protocol.CodeBadFrame)
	}},
	{Row: "A.18/352", Name: "a terminal frame without a status", Run: func(t *testing.T, e *WebEnv) {
		e.spoiled(httpclient.EncodeFrame(0x80, nil), protocol.CodeBadFrame)
	}},
	{Row: "A.18/353", Name: "a terminal frame with status 418", Run: func(t *testing.T, e *WebEnv) {
		e.spoiled(httpclient.EncodeFrame(0x80, []byte("\x01\xa2short and stout")), protocol.CodeBadFrame)
		e.spoiled(httpclient.EncodeFrame(0xe0, []byte("\x01\xa2short and stout")), protocol.CodeBadFrame)
	}},
	{Row: "A.18/354", Name: "payloads that expand beyond the limit", Run: func(t *testing.T, e *WebEnv) {
		for _, how := range []httpclient.Compression{httpclient.Zstd, httpclient.Gzip} {
			for _, size := range []int{httpclient.MaxPayloadBytes + 1, 512 << 20} {
				frame, err := httpclient.EncodeMessage(make([]byte, size), how)
				e.must(err, "compress")
				if len(frame) > httpclient.MaxFrameBytes {
					t.Fatalf("a bomb of %d bytes", len(frame))
				}
				e.spoiled(frame, protocol.CodeBadFrame)
			}
			frame, err := httpclient.EncodeMessage([]byte(strings.Repeat("x", 5000)), how)
			e.must(err, "compress")
			e.spoiled(httpclient.EncodeFrame(frame[3], frame[4:len(frame)-4]), protocol.CodeBadFrame)
			e.spoiled(httpclient.EncodeFrame(frame[3], []byte("not compressed")), protocol.CodeBadFrame)
		}
	}},
	{Row: "A.18/357", Name: "a record of 20,480 bytes, there and back, compressed", Run: func(t *testing.T, e *WebEnv) {
		body := strings.Repeat("0123456789abcdef", 1280)
		for accepted, how := range map[string]httpclient.Compression{"gzip": httpclient.Gzip, "zstd": httpclient.Zstd} {
			s := e.Stream()
			w := e.writing(s, "accept-encoding: "+accepted).packed(how, text(body))
			w.acked(0, 1)
			w.finish().ends()
			e.reading(s, "?seq_num=0&count=1", "accept-encoding: "+accepted).got(how).Bodies(body)
		}
	}},
	{Row: "A.18/358", Name: "reserved bits and bit 4 say nothing", Run: func(t *testing.T, e *WebEnv) {
		w := e.writing(e.Stream())
		for i, flag := range []byte{0x01, 0x0f, 0x10, 0x1f} {
			frame := inputFrame(text("x"))
			frame[3] = flag
			w.raw(frame).acked(uint64(i), uint64(i+1))
		}
	}},
	{Row: "A.18/359", Name: "a frame of a flag alone", Run: func(t *testing.T, e *WebEnv) {
		e.spoiled(httpclient.EncodeFrame(0, nil), protocol.CodeInvalid)
	}},
	{Row: "A.18/360", Name: "compressed frames of a client that accepts none", Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream()
		w := e.writing(s, "accept-encoding: identity").packed(httpclient.Gzip, text("a")).packed(httpclient.Zstd, text("b")).
			packed(httpclient.Plain, text("c"))
		w.acked(0, 1)
		w.acked(1, 2)
		w.acked(2, 3)
		s.Read(from(0)).Bodies("a", "b", "c")
	}},
}

// bulky creates a stream whose one record is worth compressing.
func (e *WebEnv) bulky() *Stream {
	e.t.Helper()
	s := e.Stream()
	s.Append(these(sized(20_000)))
	return s
}
