package protocol

import "strings"

// MediaKind is the media type of a Content-Type or Accept header, as far as weir distinguishes media types.
type MediaKind uint8

const (
	// KindNone means no header, or one that names no media type.
	KindNone MediaKind = iota
	// KindOther is a media type that none of the kinds below has, */* among them.
	KindOther
	// KindJSON is application/json and application/*+json.
	KindJSON
	// KindProtobuf is application/protobuf and application/x-protobuf.
	KindProtobuf
	// KindRaw is application/octet-stream.
	KindRaw
	// KindEventStream is text/event-stream.
	KindEventStream
	// KindS2S is s2s/proto.
	KindS2S
)

// Media types that only HTTP has; the others stand beside the words of NATS.
const (
	MediaEventStream = "text/event-stream"
	MediaS2S         = "s2s/proto"
)

// ParseMedia reads the value of a Content-Type or Accept header (data plane 8.3): the first element of the
// comma-separated list counts, its parameters do not, nor does case. An element that is not of the form type/subtype, and a value
// with anything but visible ASCII, spaces and tabs, is [KindNone].
func ParseMedia(v string) MediaKind {
	// The two values that nearly every request has.
	switch v {
	case MediaJSON:
		return KindJSON
	case MediaProtobuf:
		return KindProtobuf
	}
	if !VisibleASCII(v) {
		return KindNone
	}
	v, _, _ = strings.Cut(v, ",")
	v, _, _ = strings.Cut(v, ";")
	top, sub, ok := strings.Cut(strings.ToLower(strings.Trim(v, " \t")), "/")
	if !ok || !isToken(top) || !isToken(sub) {
		return KindNone
	}
	switch top + "/" + sub {
	case MediaJSON:
		return KindJSON
	case MediaProtobuf, "application/x-protobuf":
		return KindProtobuf
	case MediaRaw:
		return KindRaw
	case MediaEventStream:
		return KindEventStream
	case MediaS2S:
		return KindS2S
	}
	if top == "application" && strings.HasSuffix(sub, "+json") && len(sub) > len("+json") {
		return KindJSON
	}
	return KindOther
}

// VisibleASCII reports whether a header's value holds only visible ASCII, spaces and tabs.
func VisibleASCII(v string) bool {
	for i := range len(v) {
		if c := v[i]; (c < 0x20 || c > 0x7e) && c != '\t' {
			return false
		}
	}
	return true
}

// isToken reports whether s is a token of RFC 9110, section 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}
