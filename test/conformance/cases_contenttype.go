package conformance

import (
	"strings"
	"testing"

	"github.com/weirstream/weir/protocol"
)

func media(s string) StreamOption {
	return func(c *protocol.StreamConfig) { c.ContentType = &s }
}

// contentTypeCases: the content type of streams, which S2 does not have (docs/durable-streams.md).
var contentTypeCases = []Case{
	{Row: beyondS2, Name: "an ensure that says nothing of the content type keeps it", Run: func(t *testing.T, e *Env) {
		b := e.Basin(defaulting(media("text/plain")))
		s, plain := b.Stream("s", media("application/json")), b.Stream("plain")
		equal(t, "content type", s.Config().ContentType, "application/json")
		equal(t, "content type", plain.Config().ContentType, "text/plain")
		s.Ensure(uncapped(true))
		equal(t, "content type", s.Config().ContentType, "application/json")
		equal(t, "uncapped", s.Config().Uncapped, true)
		equal(t, "result", s.Ensure(uncapped(true)), protocol.ProvisionNoop)
		s.Ensure(media(""))
		equal(t, "content type", s.Config().ContentType, "")
		s.Ensure(media("text/csv"))
		equal(t, "content type", s.Config().ContentType, "text/csv")
	}},
	{Row: beyondS2, Name: "a reconfiguration sets the content type, keeps it and takes it away", Run: func(t *testing.T, e *Env) {
		s := e.Basin(defaulting(media("text/plain"))).Stream("s")
		set := protocol.StreamReconfiguration{ContentType: protocol.Set("application/json")}
		equal(t, "content type", s.Reconfigure(set).ContentType, "application/json")
		equal(t, "content type", s.Reconfigure(protocol.StreamReconfiguration{Uncapped: protocol.Set(true)}).ContentType, "application/json")
		equal(t, "content type", s.Reconfigure(protocol.StreamReconfiguration{ContentType: protocol.Unset[string]()}).ContentType, "text/plain")
		equal(t, "content type", s.Config().ContentType, "text/plain")
	}},
	{Row: beyondS2, Name: "a refused content type names the field", Run: func(t *testing.T, e *Env) {
		b := e.Basin()
		s := b.Stream("s")
		for _, bad := range []string{strings.Repeat("x", 257), "text/plain\r\nX: y", "é"} {
			_, _, err := b.Missing("new").create("", media(bad))
			if e.fails(err, protocol.CodeInvalid); !strings.Contains(err.Error(), "content_type") {
				t.Errorf("%v", err)
			}
			_, err = e.Service.ReconfigureStream(e.ctx, s.StreamRef, protocol.StreamReconfiguration{ContentType: protocol.Set(bad)})
			e.fails(err, protocol.CodeInvalid)
			_, err = e.Service.ReconfigureBasin(e.ctx, b.Name, protocol.BasinReconfiguration{
				DefaultStreamConfig: protocol.Set(protocol.StreamReconfiguration{ContentType: protocol.Set(bad)})})
			if e.fails(err, protocol.CodeInvalid); !strings.Contains(err.Error(), "default_stream_config.content_type") {
				t.Errorf("%v", err)
			}
		}
		equal(t, "content type", s.Config().ContentType, "")
	}},
}
