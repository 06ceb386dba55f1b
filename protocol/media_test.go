package protocol_test

import (
	"testing"

	"github.com/weirstream/weir/protocol"
)

// TestParseMedia: data plane 8.3, rows 301 to 303.
func TestParseMedia(t *testing.T) {
	for in, want := range map[string]protocol.MediaKind{
		"":                                protocol.KindNone,
		"application/json":                protocol.KindJSON,
		"Application/JSON; charset=utf-8": protocol.KindJSON,
		" application/json  , application/protobuf": protocol.KindJSON,
		"application/vnd.x+json":                    protocol.KindJSON,
		"application/+json":                         protocol.KindOther,
		"text/x+json":                               protocol.KindOther,
		"application/protobuf":                      protocol.KindProtobuf,
		"application/x-protobuf;v=1":                protocol.KindProtobuf,
		"text/event-stream":                         protocol.KindEventStream,
		"s2s/proto":                                 protocol.KindS2S,
		"S2S/Proto":                                 protocol.KindS2S,
		"application/octet-stream":                  protocol.KindRaw,
		"*/*":                                       protocol.KindOther,
		"text/plain, application/json":              protocol.KindOther,
		"not/a/mime, application/json":              protocol.KindNone,
		"json":                                      protocol.KindNone,
		"/":                                         protocol.KindNone,
		", application/json":                        protocol.KindNone,
		"application/json\u00e9":                    protocol.KindNone,
		"application/js on":                         protocol.KindNone,
	} {
		if got := protocol.ParseMedia(in); got != want {
			t.Errorf("%q: got %d, want %d", in, got, want)
		}
	}
}
