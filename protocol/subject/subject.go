// Package subject makes and reads the NATS subjects of the service: the names of streams as tokens of a subject, and the
// subjects of its operations (docs/nats-api.md). Everything in it is a pure function.
package subject

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/weirstream/weir/protocol"
)

// Encode spells a stream's name as the tail of a NATS subject: "/" separates tokens, so that NATS
// wildcards and permissions work on prefixes of names, as in user/42/chat -> user.42.chat.
//
// An empty segment is a lone "%". Within a segment the bytes of these are escaped as %XX, upper-case hex:
//
//   - "%", and the bytes with a meaning in subjects, "." "*" ">"
//   - white space and control characters, of ASCII and of Unicode: NATS splits its protocol lines at some, and people
//     cannot see the others
//   - "$" at the start of a segment, where NATS gives it a meaning ($SYS, $JS, and $1 in subject mappings)
//   - bytes that are not UTF-8; no valid name has them
//
// Everything else stands for itself. The mapping is one to one; [Decode] is its inverse.
func Encode(name protocol.StreamName) string {
	s := string(name)
	var b strings.Builder
	b.Grow(len(s) + len(s)/4)
	for i := 0; ; {
		end := strings.IndexByte(s[i:], '/')
		if end < 0 {
			encodeSegment(&b, s[i:])
			return b.String()
		}
		encodeSegment(&b, s[i:i+end])
		b.WriteByte('.')
		i += end + 1
	}
}

func encodeSegment(b *strings.Builder, seg string) {
	if seg == "" {
		b.WriteByte('%')
		return
	}
	for i := 0; i < len(seg); {
		r, n := utf8.DecodeRuneInString(seg[i:])
		if subjectSafe(r, n) && (r != '$' || i > 0) {
			b.WriteString(seg[i : i+n])
		} else {
			for _, c := range []byte(seg[i : i+n]) {
				b.Write([]byte{'%', upperHex[c>>4], upperHex[c&15]})
			}
		}
		i += n
	}
}

const upperHex = "0123456789ABCDEF"

// subjectSafe reports whether a rune of n bytes may stand in a token as it is.
func subjectSafe(r rune, n int) bool {
	switch r {
	case '%', '.', '*', '>':
		return false
	case utf8.RuneError:
		return n > 1 // a real U+FFFD; 1 is a byte that is not UTF-8
	}
	return !unicode.IsSpace(r) && !unicode.IsControl(r)
}

// Decode is the inverse of [Encode]. It accepts only results of that function, so that
// two subjects never name one stream. The error is a [*protocol.NameError].
func Decode(s string) (protocol.StreamName, error) {
	if len(s) > 3*protocol.MaxStreamNameBytes {
		return "", subjectError("is longer than that of any stream name")
	}
	buf := make([]byte, 0, len(s))
	for i, tok := range strings.Split(s, ".") {
		if i > 0 {
			buf = append(buf, '/')
		}
		switch tok {
		case "":
			return "", subjectError("has an empty token; an empty segment of the name is a lone %")
		case "%":
			continue
		}
		for j := 0; j < len(tok); j++ {
			c := tok[j]
			if c == '%' {
				if j+2 >= len(tok) {
					return "", subjectError("has an escape that is cut short")
				}
				hi, lo := unhex(tok[j+1]), unhex(tok[j+2])
				if hi < 0 || lo < 0 {
					return "", subjectError("has an escape that is not % and two upper-case hex digits")
				}
				c = byte(hi<<4 | lo)
				j += 2
			}
			buf = append(buf, c)
		}
	}
	name, err := protocol.ParseStreamName(string(buf))
	if err != nil {
		return "", err
	}
	if Encode(name) != s {
		return "", subjectError("is not in canonical form; that would be " + Encode(name))
	}
	return name, nil
}

func unhex(c byte) int { return strings.IndexByte(upperHex, c) }

func subjectError(reason string) error {
	return &protocol.NameError{Field: "stream subject", Reason: reason}
}
