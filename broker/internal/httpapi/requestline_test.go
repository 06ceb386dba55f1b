package httpapi

import (
	"bytes"
	"strings"
	"testing"
)

func TestRequestLines(t *testing.T) {
	for name, tt := range map[string]struct{ in, want string }{
		"broken":             {"GET /a%zz HTTP/1.1\r\n", "GET /a\xffzz HTTP/1.1\r\n"},
		"one digit":          {"GET /a%2 HTTP/1.1\r\n", "GET /a\xff2 HTTP/1.1\r\n"},
		"at the end":         {"DELETE /a% HTTP/1.1\r\n", "DELETE /a\xff HTTP/1.1\r\n"},
		"several":            {"PUT /%%/%gg/%41 HTTP/1.1\r\n", "PUT /\xff\xff/\xffgg/%41 HTTP/1.1\r\n"},
		"whole":              {"GET /a%2Fb%ff HTTP/1.1\r\n", "GET /a%2Fb%ff HTTP/1.1\r\n"},
		"in the query":       {"GET /a?prefix=%zz HTTP/1.1\r\n", "GET /a?prefix=%zz HTTP/1.1\r\n"},
		"in a header":        {"GET /a HTTP/1.1\r\nx: /%zz\r\n\r\n", "GET /a HTTP/1.1\r\nx: /%zz\r\n\r\n"},
		"in a body":          {"POST /a HTTP/1.1\r\ncontent-length: 10\r\n\r\nGET /a%zz ", "POST /a HTTP/1.1\r\ncontent-length: 10\r\n\r\nGET /a%zz "},
		"cut":                {"GET /a%z", "GET /a%z"},
		"HTTP/2":             {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET /%zz ", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET /%zz "},
		"no method":          {"get /%zz HTTP/1.1\r\n", "get /%zz HTTP/1.1\r\n"},
		"of another method":  {"FROBNICATE /%zz HTTP/1.1\r\n", "FROBNICATE /%zz HTTP/1.1\r\n"},
		"an absolute target": {"GET http://a/%zz HTTP/1.1\r\n", "GET http://a/%zz HTTP/1.1\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var l requestLines
			p := []byte(tt.in)
			l.mend(p)
			if string(p) != tt.want {
				t.Errorf("got %q, want %q", p, tt.want)
			}
		})
	}
}

// TestRequestLinesInPieces: what was read in pieces is never made something valid that it was not, and HTTP/2 is left alone for ever.
func TestRequestLinesInPieces(t *testing.T) {
	for _, line := range []string{"GET /a%zz HTTP/1.1\r\n", "GET /a%2/records HTTP/1.1\r\n", "POST /%41%4 HTTP/1.1\r\n"} {
		for cut := range len(line) {
			var l requestLines
			a, b := []byte(line[:cut]), []byte(line[cut:])
			l.mend(a)
			l.mend(b)
			if got := append(a, b...); strings.ReplaceAll(string(got), "\xff", "%") != line {
				t.Errorf("cut at %d: got %q", cut, got)
			}
		}
	}
	for _, early := range []string{"G", "}"} {
		var l requestLines
		l.mend([]byte("POST / HTTP/1.1\r\n\r\n"))
		l.mend([]byte(early))
		l.next()
		line := []byte(strings.TrimPrefix("GET /%zz HTTP/1.1\r\n", early))
		if l.mend(line); bytes.IndexByte(line, brokenEscape) < 0 {
			t.Errorf("after the byte %q: got %q", early, line)
		}
	}
	var l requestLines
	l.mend([]byte("PRI * HTTP/2.0\r\n\r\n"))
	l.next()
	frame := []byte("GET /%zz ")
	if l.mend(frame); !bytes.Equal(frame, []byte("GET /%zz ")) {
		t.Errorf("a frame of HTTP/2 became %q", frame)
	}
}

// FuzzRequestLines: nothing but a % that begins no escape is ever changed.
func FuzzRequestLines(f *testing.F) {
	f.Add([]byte("GET /a%zz HTTP/1.1\r\n"), 7)
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		var l requestLines
		got := bytes.Clone(in)
		cut = min(max(cut, 0), len(got))
		l.mend(got[:cut])
		l.mend(got[cut:])
		for i := range got {
			if got[i] != in[i] && (in[i] != '%' || got[i] != brokenEscape || i+2 < len(in) && isHex(in[i+1]) && isHex(in[i+2])) {
				t.Fatalf("byte %d of %q became %q", i, in, got[i])
			}
		}
	})
}
