package protocol

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// RecordFormat says how header names, header values and bodies stand in JSON (data plane 8.5).
type RecordFormat uint8

const (
	// FormatRaw takes and gives the bytes as UTF-8 text. Bytes that are not UTF-8 are replaced on the way out.
	FormatRaw RecordFormat = iota
	// FormatBase64 takes and gives standard Base64 with padding; it is lossless.
	FormatBase64
)

func (f RecordFormat) String() string {
	if f == FormatBase64 {
		return "base64"
	}
	return "raw"
}

// ParseRecordFormat reads the value of the s2-format header: raw and json select [FormatRaw]; base64 and
// json-binsafe select [FormatBase64]. White space around it does not count, case does. The error has code bad_header.
func ParseRecordFormat(s string) (RecordFormat, error) {
	switch t := strings.TrimSpace(s); t {
	case "raw", "json":
		return FormatRaw, nil
	case "base64", "json-binsafe":
		return FormatBase64, nil
	default:
		return 0, Errorf(CodeBadHeader, "s2-format: unknown value %q, want raw, json, base64 or json-binsafe",
			truncate([]byte(t), 64))
	}
}

// strictBase64 refuses non-zero trailing bits; the line breaks that it still skips are refused by decodeBase64.
var strictBase64 = base64.StdEncoding.Strict()

// decodeBase64 appends the bytes that src stands for to dst and reports whether src is padded standard Base64 in
// canonical form without white space.
func decodeBase64(dst, src []byte) ([]byte, bool) {
	for _, c := range src {
		if c == '\n' || c == '\r' {
			return dst, false
		}
	}
	out, err := strictBase64.AppendDecode(dst, src)
	if err != nil {
		return dst, false
	}
	return out, true
}

// appendFormatted appends b as a JSON string in the format f. Raw bytes that are not UTF-8 are replaced; see
// appendJSONText.
func appendFormatted(dst, b []byte, f RecordFormat) []byte {
	if f == FormatBase64 {
		dst = append(dst, '"')
		dst = base64.StdEncoding.AppendEncode(dst, b)
		return append(dst, '"')
	}
	return appendJSONText(dst, b)
}

const hexDigits = "0123456789abcdef"

// plainJSON marks the bytes that stand for themselves in a JSON string.
var plainJSON = func() (t [256]bool) {
	for c := 0x20; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// appendJSONText appends s as a JSON string on one line. Each maximal invalid subsequence of UTF-8 becomes one U+FFFD
// (data plane 8.5), which neither []rune(s) nor strings.ToValidUTF8 does.
func appendJSONText[T ~string | ~[]byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	start := 0 // of the run that is copied as it stands
	for i := 0; i < len(s); {
		c := s[i]
		if plainJSON[c] {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			n, ok := nextSubpart(s[i:])
			if !ok {
				dst = append(append(dst, s[start:i]...), "\uFFFD"...)
				start = i + n
			}
			i += n
			continue
		}
		dst = appendJSONEscape(append(dst, s[start:i]...), c)
		i++
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}

func appendJSONEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// nextSubpart measures the UTF-8 sequence at the start of s, which begins with a byte of at least 0x80: its length if
// it is valid, else that of the maximal subpart that a single U+FFFD replaces (Unicode 3.9, table 3-7).
func nextSubpart[T ~string | ~[]byte](s T) (n int, ok bool) {
	var size int
	lo, hi := byte(0x80), byte(0xBF)
	switch c := s[0]; {
	case c < 0xC2:
		return 1, false
	case c < 0xE0:
		size = 2
	case c < 0xF0:
		size = 3
		switch c {
		case 0xE0:
			lo = 0xA0 // shorter forms exist below
		case 0xED:
			hi = 0x9F // surrogates follow
		}
	case c < 0xF5:
		size = 4
		switch c {
		case 0xF0:
			lo = 0x90
		case 0xF4:
			hi = 0x8F // the end of Unicode
		}
	default:
		return 1, false
	}
	for n = 1; n < size; n++ {
		if n == len(s) || s[n] < lo || s[n] > hi {
			return n, false
		}
		lo, hi = 0x80, 0xBF
	}
	return n, true
}
