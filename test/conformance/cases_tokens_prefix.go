package conformance

import (
	"errors"
	"strings"
	"testing"

	"github.com/weirstream/weir/protocol"
)

// tenant is the holder of a token that may do everything with the streams under a prefix, by their names without it.
type tenant struct {
	*Basin
	e *TokenEnv // of the tenant: its service is the tenant's
}

func (e *TokenEnv) tenant(b *Basin, prefix string) *tenant {
	e.t.Helper()
	own := *e.Env
	own.Service = e.holder(allPowers, autoPrefix(prefix))
	return &tenant{&Basin{b.Name, &own}, &TokenEnv{&own, e.as, e.before}}
}

// autoPrefixCases: control plane A.20 and 5.10.
var autoPrefixCases = []TokenCase{
	{Row: "cp A.20/371", Name: "a tenant sees its streams by their own names, and the root by the full ones", Run: func(t *testing.T, e *TokenEnv) {
		b := e.Basin()
		tenant := e.tenant(b, "tenant/")
		info, result, err := tenant.e.Service.CreateStream(e.ctx, b.Name, protocol.CreateStreamRequest{Stream: "my-stream"})
		e.must(err, "create")
		equal(t, "created", string(info.Name)+" "+string(result), "my-stream created")
		info, result, err = tenant.e.Service.EnsureStream(e.ctx, protocol.StreamRef{Basin: b.Name, Stream: "my-stream"}, protocol.StreamConfig{})
		e.must(err, "ensure")
		equal(t, "ensured", string(info.Name)+" "+string(result), "my-stream noop")
		tenant.lists(protocol.ListRequest{Prefix: "my-"}, false, "my-stream")
		tenant.Holds("my-stream")
		b.lists(protocol.ListRequest{Prefix: "tenant/"}, false, "tenant/my-stream")
		b.Holds("tenant/my-stream")
	}},
	{Row: "cp A.20/372", Name: "streams that the root made", Run: func(t *testing.T, e *TokenEnv) {
		b := e.Basin()
		for _, name := range []protocol.StreamName{"tenant/b", "tenant/a", "tenant", "tenants/x", "other", "tenant/a/1"} {
			b.Stream(name)
		}
		tenant := e.tenant(b, "tenant/")
		tenant.Holds("a", "a/1", "b")
		tenant.lists(protocol.ListRequest{Limit: 2}, true, "a", "a/1")
		tenant.lists(protocol.ListRequest{StartAfter: "a"}, false, "a/1", "b")
		tenant.lists(protocol.ListRequest{StartAfter: "a", Limit: 1}, true, "a/1")
		tenant.lists(protocol.ListRequest{Prefix: "a/"}, false, "a/1")
		tenant.lists(protocol.ListRequest{Prefix: "tenant/"}, false)
		tenant.lists(protocol.ListRequest{StartAfter: "z"}, false)
	}},
	{Row: "cp 5.10", Name: "names that the prefix cannot be taken off", Run: func(t *testing.T, e *TokenEnv) {
		b := e.Basin()
		for _, name := range []protocol.StreamName{"p", "p.", "p..", "p...", "pa"} {
			b.Stream(name)
		}
		tenant := e.tenant(b, "p")
		tenant.Holds("...", "a")
		tenant.lists(protocol.ListRequest{Limit: 1}, true, "...")
		dot := e.tenant(b, ".")
		_, _, err := dot.e.Service.CreateStream(e.ctx, b.Name, protocol.CreateStreamRequest{Stream: "x"})
		e.must(err, "create .x")
	}},
	{Row: "cp 5.10", Name: "every call goes under the prefix", Run: func(t *testing.T, e *TokenEnv) {
		b := e.Basin()
		s := e.tenant(b, "tenant/").Stream("stream")
		full := b.Missing("tenant/stream")
		s.AppendRange(0, 2, text("a", "b"))
		full.Read(from(0)).Bodies("a", "b")
		full.Append(text("c"))
		s.Read(from(0)).Bodies("a", "b", "c")
		s.At(3)
		equal(t, "followed", len(s.All().Records), 3)
		s.Writer().Submit(text("d")).Acked(3, 4)
		full.At(4)
		equal(t, "config", s.Config(), full.Config())
		s.Reconfigure(protocol.StreamReconfiguration{})
		s.Delete()
		_, err := full.tryRead(from(0))
		e.fails(err, protocol.CodeStreamDeletionPending, protocol.CodeStreamNotFound)
	}},
	{Row: "cp 5.10", Name: "names are bounded with the prefix", Run: func(t *testing.T, e *TokenEnv) {
		b := e.Basin()
		prefix := strings.Repeat("p", 500)
		tenant := e.tenant(b, prefix)
		tenant.Stream(protocol.StreamName(strings.Repeat("n", 12)))
		_, _, err := tenant.e.Service.CreateStream(e.ctx, b.Name, protocol.CreateStreamRequest{Stream: protocol.StreamName(strings.Repeat("n", 13))})
		e.fails(err, protocol.CodeInvalid)
		_, err = tenant.Missing(protocol.StreamName(strings.Repeat("n", 13))).tryRead(from(0))
		e.fails(err, protocol.CodeInvalid)
		tenant.lists(protocol.ListRequest{Prefix: strings.Repeat("n", 500)}, false)
		tenant.Holds(strings.Repeat("n", 12))
	}},
	{Row: "cp 5.10", Name: "no name leaves the prefix", Run: func(t *testing.T, e *TokenEnv) {
		b := e.Basin(createOnAppend, createOnRead)
		b.Stream("secret")
		tenant := e.tenant(b, "tenant/")
		for _, name := range []protocol.StreamName{"../secret", "/secret", "//", "/../secret", "..//secret", "%2E%2E/secret", "%", "*", ">", "*.>", ".secret",
			"secret", "tenant/../secret", "\\..\\secret", "a\r\nsecret", "$SYS", "...", "a/..", "é/..", "tenant/secret"} {
			tenant.Missing(name).Append(text("mine"))
			tenant.Missing(name).Read(from(0)).Bodies("mine")
			b.Missing("tenant/" + name).Read(from(0)).Bodies("mine")
		}
		names, _ := b.List(protocol.ListRequest{})
		for _, name := range names {
			if name != "secret" && !strings.HasPrefix(name, "tenant/") {
				t.Fatalf("stream %q is out of the prefix", name)
			}
		}
		b.Missing("secret").At(0)
	}},
	{Row: "cp 5.10", Name: "failures do not tell the prefix", Run: func(t *testing.T, e *TokenEnv) {
		b := e.Basin()
		prefix := `hidden "ü`
		tenant := e.tenant(b, prefix)
		tenant.Stream("there")
		on := NoTarget(b.Name, "missing", e.freeTokenID())
		on.NewStream.Stream = "there"
		failed := 0
		for _, call := range Calls {
			err := call.Do(e.ctx, tenant.e.Service, on)
			var f *protocol.Error
			if err == nil || !call.Stream || !errors.As(err, &f) {
				continue
			}
			failed++
			if strings.Contains(f.Message, "hidden") {
				t.Fatalf("%s: %q tells the prefix", call.Name, f.Message)
			}
			if (f.Code == protocol.CodeStreamNotFound) && !strings.Contains(f.Message, `"missing"`) {
				t.Fatalf("%s: %q does not name the stream", call.Name, f.Message)
			}
		}
		if failed < 8 {
			t.Fatalf("only %d calls failed", failed)
		}
	}},
}
