package httpapi

import "strings"

// brokenEscape stands in the path of a request for a % that begins no escape. It is no part of UTF-8, so that no name has it.
const brokenEscape = 0xff

// requestLines finds the broken escapes in the paths of requests over HTTP/1.1 and puts brokenEscape in the place of their %. net/http
// refuses such a request before it comes to the [Handler]: with a text that is no JSON, and without the headers that a web page needs
// to read it. An escape of which only a part was read stays as it is. The zero value is at the beginning of a connection.
type requestLines struct {
	place  linePlace
	method []byte
	// early is the byte of the last read of a single one. While it serves a request net/http reads one byte, to see whether
	// the client has left: that is the first of the next request.
	early byte
}

// linePlace is where in a request line the next byte is.
type linePlace uint8

const (
	inMethod linePlace = iota
	beforePath
	inPath
	behindPath // until the next request
	noLines    // this is HTTP/2
)

// next says that the next byte is the first of a request. A client that sends requests without waiting for answers may have sent the
// beginning before: then no method is found, or its request is left alone.
func (l *requestLines) next() {
	if l.place != noLines {
		l.place, l.method = inMethod, l.method[:0]
	}
}

// mend looks at the bytes that were read.
func (l *requestLines) mend(p []byte) {
	if l.place == behindPath {
		if l.early = 0; len(p) == 1 {
			l.early = p[0]
		}
	}
	for i := 0; i < len(p) && l.place < behindPath; i++ {
		switch l.place {
		case inMethod:
			l.methodByte(p[i])
		case beforePath:
			if l.place = behindPath; p[i] == '/' {
				l.place = inPath
			}
		default:
			switch c := p[i]; {
			case c == '%' && i+2 < len(p) && !(isHex(p[i+1]) && isHex(p[i+2])):
				p[i] = brokenEscape
			case c == '?' || c == '#' || c <= ' ':
				l.place = behindPath
			}
		}
	}
}

func (l *requestLines) methodByte(c byte) {
	switch {
	case c >= 'A' && c <= 'Z' && len(l.method) < len("OPTIONS"):
		l.method = append(l.method, c)
	case c == ' ' && string(l.method) == "PRI":
		l.place = noLines
	case c == ' ' && (isMethod(string(l.method)) || isMethod(string(l.early)+string(l.method))):
		l.place = beforePath
	case len(l.method) == 0 && (c == '\r' || c == '\n'): // as net/http lets pass between requests
	default:
		l.place = behindPath
	}
}

func isMethod(m string) bool {
	switch m {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
		return true
	}
	return false
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// hasBrokenEscape reports whether a % in the path of the request begins no escape.
func (c *call) hasBrokenEscape() bool {
	path, _, _ := strings.Cut(c.r.RequestURI, "?")
	return strings.IndexByte(path, brokenEscape) >= 0
}
