package faults

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime/pprof"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/test/freeport"
)

// The test binary is a NATS server, and nothing else, when these are set.
const (
	natsDirVar    = "WEIR_FAULTS_NATS_DIR"
	natsListenVar = "WEIR_FAULTS_NATS_LISTEN"
)

// serveNATS runs a NATS server that knows nothing of weir until it is killed.
func serveNATS(dir, listen string) {
	o := &server.Options{}
	err := o.ProcessConfigString(fmt.Sprintf("listen: %q\nmax_payload: 8MB\njetstream { store_dir: %q }", listen, dir))
	if err == nil {
		var s *server.Server
		if s, err = server.NewServer(o); err == nil {
			s.Start()
			s.WaitForShutdown()
		}
	}
	fmt.Fprintln(os.Stderr, "the NATS server ended:", err)
	os.Exit(1)
}

// natsServer is an external NATS server in a process of its own.
type natsServer struct {
	t           *testing.T
	dir, listen string
	cmd         *exec.Cmd
}

func newNATSServer(t *testing.T) *natsServer {
	t.Helper()
	free, err := freeport.Addresses(1)
	must(t, err)
	s := &natsServer{t: t, dir: t.TempDir(), listen: free[0]}
	t.Cleanup(s.kill) // after the brokers, which are started later
	s.start()
	return s
}

func (s *natsServer) url() string { return "nats://" + s.listen }

// start starts the server and waits until it takes connections.
func (s *natsServer) start() {
	s.t.Helper()
	s.cmd = exec.CommandContext(context.WithoutCancel(s.t.Context()), os.Args[0]) // itself, until the brokers are closed
	s.cmd.Env = append(os.Environ(), natsDirVar+"="+s.dir, natsListenVar+"="+s.listen)
	s.cmd.Stderr = os.Stderr
	must(s.t, s.cmd.Start())
	eventually(s.t, "the NATS server takes connections", func() bool {
		nc, err := nats.Connect(s.url())
		if err == nil {
			nc.Close()
		}
		return err == nil
	})
}

func (s *natsServer) kill() {
	if s.cmd != nil && s.cmd.Process != nil && s.cmd.ProcessState == nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	}
}

// connect is a client's connection, which outlives the server.
func (s *natsServer) connect() *nats.Conn {
	s.t.Helper()
	nc, err := nats.Connect(s.url(), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond), quiet)
	must(s.t, err)
	s.t.Cleanup(nc.Close)
	return nc
}

// quiet keeps the client library from printing that a connection has broken, which is the point.
var quiet = nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})

func outside(url string) conf.Config {
	cfg := conf.Default()
	cfg.HTTP.Listen = conf.ListenNone
	cfg.External.URL = url
	cfg.LameDuck = 0
	return cfg
}

// TestFaultNATSIsKilled kills the external NATS server under a running broker, at work, and starts it again: what was
// acknowledged is there, what failed is open, nothing is there twice, followers miss nothing, and the broker goes on by
// itself.
func TestFaultNATSIsKilled(t *testing.T) {
	s := newNATSServer(t)
	b := start(t, outside(s.url()))
	overNATS := client.New(s.connect(), client.Options{})
	var ledgers []*ledger
	for i := range 4 {
		ledgers = append(ledgers, newLedger(t, b.Service(), "remote-basin", fmt.Sprintf("s%d", i)))
	}
	var near, far *load
	resume := func() {
		near = startAppenders(t, b.Service(), 4, ledgers[:2])
		far = startAppenders(t, overNATS, 4, ledgers[2:])
	}
	resume()
	// A read inside the process ends when the store is away for long. Clients over NATS resume by themselves.
	follow := []*followers{startFollowers(t, b.Service(), 2, ledgers[0], protocol.CodeUnavailable), startFollowers(t, overNATS, 2, ledgers[2])}
	working := func(what string) {
		t.Helper()
		var before []int
		for _, l := range ledgers {
			before = append(before, l.count(acked))
		}
		eventually(t, what, func() bool {
			for i, l := range ledgers {
				if l.count(acked) < before[i]+50 {
					return false
				}
			}
			return true
		})
	}
	working("the load is on")
	for round := range scale(1, 4) {
		if !*long {
			// What is in flight at the kill waits for the sequencer to give up on an answer: too long for a plain run.
			near.end()
			far.end()
		}
		s.kill()
		s.start()
		if !*long {
			resume()
		}
		working(fmt.Sprintf("appends work again after kill %d", round+1))
	}
	near.end()
	far.end()
	for i, l := range []*ledger{ledgers[0], ledgers[2]} {
		tail, err := b.Service().CheckTail(t.Context(), l.ref)
		must(t, err)
		follow[i].eventuallyReach(t, tail.SeqNum)
	}
	for _, l := range ledgers {
		l.verify(t, b.Service())
		l.verify(t, overNATS)
		t.Logf("%v: %d acknowledged, %d open, %d refused", l.ref, l.count(acked), l.count(open), l.count(refused))
	}
	for _, f := range follow {
		for _, err := range f.end() {
			if code := protocol.CodeOf(err); code != protocol.CodeClientHangup {
				t.Errorf("a follower ended with %v before it was told to", err)
			}
		}
	}
}

// eventuallyReach waits until every follower has read up to the tail. One that has ended before never does.
func (f *followers) eventuallyReach(t *testing.T, tail uint64) {
	t.Helper()
	reached := func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		for i, at := range f.at {
			if at < tail && f.ends[i] != nil {
				t.Fatalf("a follower ended at %d, before the tail %d: %v", at, tail, f.ends[i])
			}
		}
		return slices.Min(f.at) >= tail
	}
	defer func() {
		if t.Failed() {
			f.mu.Lock()
			defer f.mu.Unlock()
			t.Logf("the followers are at %v, their ends are %v", f.at, f.ends)
			_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
		}
	}()
	eventually(t, fmt.Sprintf("all followers reach %d", tail), reached)
}

// TestFaultTwoBrokersOneNATS: two brokers append to the same streams of one external NATS. Whoever loses a race decides
// again; no append is lost or doubled and no seq_num is missing.
func TestFaultTwoBrokersOneNATS(t *testing.T) {
	s := newNATSServer(t)
	a, b := start(t, outside(s.url())), start(t, outside(s.url()))
	var ledgers []*ledger
	for i := range 3 {
		ledgers = append(ledgers, newLedger(t, a.Service(), "shared-basin", fmt.Sprintf("s%d", i)))
	}
	eventually(t, "the other broker knows the streams", func() bool {
		_, err := b.Service().GetStreamConfig(t.Context(), ledgers[2].ref)
		return err == nil
	})
	one, two := startAppenders(t, a.Service(), 2, ledgers), startAppenders(t, b.Service(), 2, ledgers)
	time.Sleep(scale(500*time.Millisecond, 5*time.Second))
	eventually(t, "appends are acknowledged", func() bool {
		return !slices.ContainsFunc(ledgers, func(l *ledger) bool { return l.count(acked) < 10 })
	})
	one.end()
	two.end()
	for _, l := range ledgers {
		l.mustAppend(t, a.Service(), 1, 10)
		l.verify(t, a.Service())
		l.mustAppend(t, b.Service(), 1, 10)
		l.verify(t, b.Service())
	}
}
