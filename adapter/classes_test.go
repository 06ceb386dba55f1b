package adapter

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

func withClass(class protocol.StorageClass, c Class) func(*Options) {
	return func(o *Options) { o.Classes = map[protocol.StorageClass]Class{class: c} }
}

func ofClass(class protocol.StorageClass) protocol.StreamConfig {
	return protocol.StreamConfig{StorageClass: &class}
}

// logInfo is the JetStream stream that holds a weir stream.
func (h *harness) logInfo(ref protocol.StreamRef) *jetstream.StreamInfo {
	h.t.Helper()
	e, _, _ := h.catalog.View.Stream(ref)
	s, err := h.js.Stream(h.t.Context(), h.logName(e.Basin(), e.Log()))
	if err != nil {
		h.t.Fatal(err)
	}
	return s.CachedInfo()
}

func (h *harness) logNumber(ref protocol.StreamRef) int {
	e, _, _ := h.catalog.View.Stream(ref)
	return e.Log()
}

// byChance is how many streams are made at most until each log has one: a stream comes into any log of its class by chance.
const byChance = 1000

func TestBasinsShareTheLogsOfAClass(t *testing.T) {
	h := newHarness(t, inMemory, func(o *Options) { o.Logs = 3 })
	used := map[string]bool{}
	basins := 0
	for ; basins < 20 || len(used) < 6 && basins < byChance; basins++ {
		b := h.basin(fmt.Sprintf("test-basin-%d", basins), protocol.BasinConfig{})
		for _, class := range []protocol.StorageClass{protocol.StorageStandard, protocol.StorageExpress} {
			ref := h.stream(b, string(class), ofClass(class))
			h.mustAppend(ref, body("x"))
			info := h.logInfo(ref)
			if info.Config.Metadata["weir.class"] != string(class) || info.Config.Metadata["weir.basin"] != "" {
				t.Fatalf("a stream of class %s lives in %+v", class, info.Config)
			}
			used[info.Config.Name] = true
		}
	}
	if len(used) != 6 {
		t.Fatalf("%d basins have the logs %v", basins, used)
	}
}

func TestAClassHasSettingsOfItsOwn(t *testing.T) {
	h := newHarness(t, withClass(protocol.StorageStandard, Class{Compression: CompressionS2, Logs: 2}))
	b := h.basin("test-basin", protocol.BasinConfig{})
	logs := map[int]bool{}
	for i := 0; i < 20 || len(logs) < 2 && i < byChance; i++ {
		ref := h.stream(b, fmt.Sprintf("standard-%d", i), ofClass(protocol.StorageStandard))
		h.mustAppend(ref, body("x"))
		logs[h.logNumber(ref)] = true
		if info := h.logInfo(ref); info.Config.Compression != jetstream.S2Compression {
			t.Fatalf("its log has %+v", info.Config)
		}
	}
	if len(logs) != 2 || !logs[layout.MaxLogs] || !logs[layout.MaxLogs+1] {
		t.Fatalf("the class has the logs %v", logs)
	}
	ref := h.stream(b, "express", ofClass(protocol.StorageExpress))
	h.mustAppend(ref, body("x"))
	if info := h.logInfo(ref); h.logNumber(ref) != 0 || info.Config.Compression != jetstream.NoCompression {
		t.Fatalf("the other class is in log %d: %+v", h.logNumber(ref), info.Config)
	}
}

func TestStreamsStayWhenLogsAreAdded(t *testing.T) {
	h := newHarness(t)
	b := h.basin("test-basin", protocol.BasinConfig{})
	var refs []protocol.StreamRef
	for i := range 10 {
		refs = append(refs, h.stream(b, fmt.Sprintf("old-%d", i), protocol.StreamConfig{}))
		h.mustAppend(refs[i], body("x"))
	}
	h.opts.Logs = 4
	h.reopen()
	for _, ref := range refs {
		if n := h.logNumber(ref); n != 0 {
			t.Fatalf("%v went to log %d", ref, n)
		}
		if got := h.read(ref, 0); len(got) != 1 {
			t.Fatalf("%d records", len(got))
		}
	}
	used := map[int]bool{}
	for i := 0; len(used) < 4 && i < byChance; i++ {
		used[h.logNumber(h.stream(b, fmt.Sprintf("new-%d", i), protocol.StreamConfig{}))] = true
	}
	if len(used) != 4 || !used[0] || !used[3] {
		t.Fatalf("new streams live in %v", used)
	}
}

func (h *harness) basinRemoved(b protocol.BasinName) {
	h.t.Helper()
	if err := h.DeleteBasin(h.t.Context(), b); err != nil {
		h.t.Fatal(err)
	}
	eventually(h.t, "the basin is removed", func() bool {
		_, err := h.GetBasinConfig(h.t.Context(), b)
		return protocol.CodeOf(err) == protocol.CodeBasinNotFound
	})
}

func TestDedicatedLogs(t *testing.T) {
	h := newHarness(t)
	big, err := protocol.ParseBasinName("big-tenant")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.CreateBasin(t.Context(), protocol.CreateBasinRequest{Basin: big, DedicatedLogs: 2}); err != nil {
		t.Fatal(err)
	}
	used := map[int]bool{}
	for i := 0; i < 20 || len(used) < 2 && i < byChance; i++ {
		ref := h.stream(big, fmt.Sprintf("s-%d", i), protocol.StreamConfig{})
		used[h.logNumber(ref)] = true
		h.mustAppend(ref, body("x"))
		if info := h.logInfo(ref); info.Config.Metadata["weir.basin"] != "big-tenant" {
			t.Fatalf("its log is %+v", info.Config)
		}
	}
	small := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	h.mustAppend(small, body("x"))
	if logs, err := h.dedicatedLogs(t.Context(), big); err != nil || len(logs) != 2 {
		t.Fatalf("it has the logs %v, %v", logs, err)
	}
	h.reopen()
	if got := h.read(protocol.StreamRef{Basin: big, Stream: "s-3"}, 0); len(got) != 1 {
		t.Fatalf("%d records", len(got))
	}
	h.basinRemoved(big)
	if left, err := h.dedicatedLogs(t.Context(), big); err != nil || len(left) != 0 {
		t.Fatalf("the logs %v are left, %v", left, err)
	}
	if got := h.read(small, 0); len(got) != 1 {
		t.Fatalf("the other basin has %d records", len(got))
	}
	for _, logs := range []int{-1, layout.MaxLogs + 1} {
		if _, _, err := h.CreateBasin(t.Context(), protocol.CreateBasinRequest{Basin: big, DedicatedLogs: logs}); protocol.CodeOf(err) != protocol.CodeInvalid {
			t.Fatalf("with %d logs: %v", logs, err)
		}
	}
}

func TestChangingAClassLaterMovesNothing(t *testing.T) {
	h := newHarness(t, inMemory, withClass(protocol.StorageStandard, Class{Logs: 1}))
	ref := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", ofClass(protocol.StorageExpress))
	change := protocol.StreamReconfiguration{StorageClass: protocol.Set(protocol.StorageStandard)}
	config, err := h.ReconfigureStream(t.Context(), ref, change)
	if err != nil || config.StorageClass != protocol.StorageStandard {
		t.Fatalf("%+v, %v", config, err)
	}
	if n := h.logNumber(ref); n != 0 {
		t.Fatalf("the stream went to log %d", n)
	}
}

func TestALogFollowsItsClassAtTheNextStart(t *testing.T) {
	h := newHarness(t, withClass(protocol.StorageStandard, Class{Logs: 1}))
	b := h.basin("test-basin", protocol.BasinConfig{})
	ref, common := h.stream(b, "s", ofClass(protocol.StorageStandard)), h.stream(b, "c", ofClass(protocol.StorageExpress))
	h.mustAppend(ref, body("a"))
	h.mustAppend(common, body("a"))
	h.opts.Classes[protocol.StorageStandard] = Class{Logs: 1, Compression: CompressionS2}
	h.reopen()
	h.mustAppend(ref, body("b"))
	h.mustAppend(common, body("b"))
	if c := h.logInfo(ref).Config.Compression; c != jetstream.S2Compression {
		t.Fatalf("its compression is %v", c)
	}
	if c := h.logInfo(common).Config.Compression; c != jetstream.NoCompression {
		t.Fatalf("the compression of the other log is %v", c)
	}
	if got := h.read(ref, 0); len(got) != 2 {
		t.Fatalf("%d records", len(got))
	}
	delete(h.opts.Classes, protocol.StorageStandard) // the log is still there for the streams in it
	h.reopen()
	h.mustAppend(ref, body("c"))
	if got := h.read(ref, 0); len(got) != 3 {
		t.Fatalf("%d records", len(got))
	}
}

func TestDurabilityOfAClass(t *testing.T) {
	for _, c := range []struct {
		base, class          protocol.Durability
		classWaits, restWait bool
	}{
		{protocol.DurabilityGroup, protocol.DurabilityInterval, false, true},
		{protocol.DurabilityInterval, protocol.DurabilityGroup, true, false},
		{protocol.DurabilityGroup, "", true, true},
	} {
		t.Run(fmt.Sprintf("base=%s/class=%s", c.base, c.class), func(t *testing.T) {
			h := newHarness(t, withClass(protocol.StorageStandard, Class{Logs: 1, Durability: c.class}),
				func(o *Options) { o.Durability = c.base })
			b := h.basin("test-basin", protocol.BasinConfig{})
			for name, waits := range map[protocol.StorageClass]bool{protocol.StorageStandard: c.classWaits, protocol.StorageExpress: c.restWait} {
				s := h.handle(h.stream(b, string(name), ofClass(name)))
				gate := make(chan error)
				swapSync(h.Adapter, (&gatedSync{gate}).sync)
				out := submit(t, s.Appender(), protocol.AppendInput{Records: []protocol.Record{body("x")}})
				if waits {
					gate <- nil // somebody syncs
				}
				if got := <-out; got.err != nil {
					t.Fatal(got.err)
				}
				if !waits {
					select {
					case gate <- nil:
						t.Errorf("an append of class %s was synced", name)
					default:
					}
				}
				close(gate)
				s.Close()
			}
		})
	}
}

// cluster starts three servers with one JetStream between them.
func cluster(t *testing.T) []*server.Server {
	t.Helper()
	ports := freePorts(t, 3) // the servers name each other, so their ports must be known first
	var routes []string
	for _, port := range ports {
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", port))
	}
	var servers []*server.Server
	for i, port := range ports {
		srv, err := server.NewServer(&server.Options{ServerName: fmt.Sprintf("n%d", i), Host: "127.0.0.1", Port: -1, NoSigs: true,
			JetStream: true, StoreDir: t.TempDir(), MaxPayload: 8 << 20, JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: 1 << 30,
			Cluster: server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: port},
			Routes:  server.RoutesFromStr(strings.Join(routes, ","))})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			srv.Shutdown()
			srv.WaitForShutdown()
		})
		srv.Start()
		servers = append(servers, srv)
	}
	eventually(t, "the cluster has a leader and its peers", func() bool {
		for _, srv := range servers {
			if srv.JetStreamIsLeader() && len(srv.JetStreamClusterPeers()) == len(servers) {
				return true
			}
		}
		return false
	})
	return servers
}

func TestReplicasOfAClass(t *testing.T) {
	servers := cluster(t)
	a, err := Open(t.Context(), Options{Connect: func(name string) (*nats.Conn, error) {
		return nats.Connect("", nats.InProcessServer(servers[0]), nats.Name(name))
	}, Classes: map[protocol.StorageClass]Class{protocol.StorageStandard: {Replicas: 3}}, Shared: true})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close(context.Background()) // the servers are gone next
	h := &harness{t: t, Adapter: a}
	b := h.basin("test-basin", protocol.BasinConfig{})
	safe, plain := h.stream(b, "safe", ofClass(protocol.StorageStandard)), h.stream(b, "plain", ofClass(protocol.StorageExpress))
	for ref, want := range map[protocol.StreamRef]int{safe: 3, plain: 1} {
		h.mustAppend(ref, body("x"))
		if got := h.read(ref, 0); len(got) != 1 {
			t.Fatalf("%s: %d records", ref, len(got))
		}
		if got := h.logInfo(ref).Config.Replicas; got != want {
			t.Errorf("%s has %d replicas, want %d", ref, got, want)
		}
	}
}
