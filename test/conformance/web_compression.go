package conformance

import (
	stdbytes "bytes"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/weirstream/weir/internal/httpclient"
	"github.com/weirstream/weir/protocol"
)

// compressionCases: data plane A.16 and 8.10, bodies of unary requests and answers.
var compressionCases = []WebCase{
	{Row: "A.16/324", Name: "compressed appends", Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream()
		in := input(text("x"))
		next := uint64(0)
		for _, encoding := range []string{"gzip", "zstd", "identity"} {
			for media, body := range map[string]string{jsonBody: oneRecord, protoBody: string(protocol.MarshalAppendInput(&in))} {
				next++
				ack := e.post(s.records(""), e.encode(encoding, body), s.in(), media, "content-encoding: "+encoding).ack()
				equal(t, "end", ack.End.SeqNum, next)
			}
		}
		e.post(s.records(""), e.encode("gzip", oneRecord), s.in(), jsonBody, "content-encoding: GZIP").ack()
	}},
	{Row: "A.16/324", Name: "compressed appends that are cut or something else", Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream()
		for _, encoding := range []string{"gzip", "zstd"} {
			whole := e.encode(encoding, oneRecord)
			for _, body := range []string{whole[:len(whole)-3], whole[:5], "not compressed", ""} {
				e.post(s.records(""), body, s.in(), jsonBody, "content-encoding: "+encoding).fails(protocol.CodeBadJSON)
			}
			e.post(s.records(""), whole[:len(whole)-3], s.in(), protoBody, "content-encoding: "+encoding).fails(protocol.CodeBadProto)
		}
		s.At(0)
	}},
	{Row: "A.16/323", Name: "compressed appends of more than 2 MiB", Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream()
		bomb := strings.Repeat("\x0a", 200<<20)
		for _, encoding := range []string{"gzip", "zstd"} {
			for _, size := range []int{protocol.MaxRequestBytes + 1, len(bomb)} {
				body := e.encode(encoding, bomb[:size])
				e.post(s.records(""), body, s.in(), jsonBody, "content-encoding: "+encoding).fails(protocol.CodeBadJSON)
				e.post(s.records(""), body, s.in(), protoBody, "content-encoding: "+encoding).fails(protocol.CodeBadProto)
			}
			ok := oneRecord + strings.Repeat(" ", protocol.MaxRequestBytes-len(oneRecord))
			e.post(s.records(""), e.encode(encoding, ok), s.in(), jsonBody, "content-encoding: "+encoding).ack()
		}
		s.At(2)
	}},
	{Row: "A.16/325", Name: "a read of two bodies of 2048 bytes is compressed as accepted", Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream()
		long := strings.Repeat("a", 2048)
		s.Append(text(long, long))
		for accepted, want := range map[string]string{
			"gzip": "gzip", "zstd": "zstd", "gzip, zstd": "zstd", "gzip;q=1, zstd;q=0.5": "gzip", "gzip;q=0.5, zstd;q=0.5": "zstd",
			"zstd;q=0, gzip": "gzip", "br, deflate": "", "identity": "", "": "", "br, gzip": "gzip", "GZIP": "gzip",
		} {
			for _, accept := range []string{wantJSON, wantProto} {
				a := e.get(s.records("?seq_num=0"), s.in(), accept, base64Fmt, "accept-encoding: "+accepted).is(200)
				a.has("Content-Encoding", want)
				if !strings.Contains(strings.ToLower(strings.Join(a.Head.Values("Vary"), ",")), "accept-encoding") {
					t.Fatalf("accept-encoding %q: the answer has Vary %q", accepted, a.Head.Values("Vary"))
				}
				if want != "" && len(a.Body) > 1000 {
					t.Fatalf("%s: %d bytes of the same letter are compressed to %d", want, 2*len(long), len(a.Body))
				}
				a.Body = e.decode(want, a.Body)
				a.batch().Bodies(long, long)
			}
		}
	}},
	{Row: "8.10", Name: "small answers and sessions are not compressed", Run: func(t *testing.T, e *WebEnv) {
		s := e.full()
		s.Append(these(sized(3000)))
		const both = "accept-encoding: zstd, gzip"
		e.get(s.records("?seq_num=0&count=1"), s.in(), both).ok().has("Content-Encoding", "")
		e.get(s.records("/tail"), s.in(), both).ok().has("Content-Encoding", "")
		e.get(s.records("?seq_num=0&count=6"), s.in(), both, wantSSE).is(200).has("Content-Encoding", "")
		w := e.openWire("GET", s.records("?seq_num=5&count=1"), nil, s.in(), both, s2sBody)
		equal(t, "content-encoding", w.resp.Header.Get("Content-Encoding"), "")
		w.got(httpclient.Zstd).Seqs(5, 6) // its frames are
	}},
	{Row: "A.16/326", Name: "another content-encoding", Run: func(t *testing.T, e *WebEnv) {
		s := e.full()
		for _, encoding := range []string{"br", "deflate", "compress", "nonsense"} {
			line := "content-encoding: " + encoding
			for _, a := range []*Answer{
				e.post(s.records(""), oneRecord, s.in(), jsonBody, line),
				e.ask("PUT", s.path(""), "{}", s.in(), jsonBody, line),
				e.post("/v1/basins", `{"basin":"some-basin"}`, jsonBody, line),
			} {
				a.refuses(415, protocol.CodeBadHeader) // decision D-21
				accepted := a.Head.Get("Accept-Encoding")
				if !strings.Contains(accepted, "gzip") || !strings.Contains(accepted, "zstd") {
					t.Fatalf("415 came with accept-encoding %q", accepted)
				}
			}
		}
		s.At(5)
	}},
}

// encode compresses a body.
func (e *WebEnv) encode(encoding, body string) string {
	e.t.Helper()
	var buf stdbytes.Buffer
	var w io.WriteCloser
	switch encoding {
	case "gzip":
		w = gzip.NewWriter(&buf)
	case "zstd":
		enc, err := zstd.NewWriter(&buf, zstd.WithEncoderConcurrency(1))
		e.must(err, "zstd")
		w = enc
	default:
		return body
	}
	_, err := io.WriteString(w, body)
	e.must(err, "compress")
	e.must(w.Close(), "compress")
	return buf.String()
}

// decode decompresses a body.
func (e *WebEnv) decode(encoding string, body []byte) []byte {
	e.t.Helper()
	var r io.Reader = stdbytes.NewReader(body)
	switch encoding {
	case "gzip":
		dec, err := gzip.NewReader(r)
		e.must(err, "gzip")
		r = dec
	case "zstd":
		dec, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
		e.must(err, "zstd")
		defer dec.Close()
		r = dec
	}
	out, err := io.ReadAll(r)
	e.must(err, "decompress")
	return out
}
