package faults

import (
	"bufio"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// TestFaultShutdownUnderLoad closes a broker while clients append and follow, in process and over NATS: what was
// acknowledged is there after a restart, followers are told server_draining, and it all ends in time.
func TestFaultShutdownUnderLoad(t *testing.T) {
	for round := range scale(2, 8) {
		dir := t.TempDir()
		cfg := onDisk(dir)
		cfg.LameDuck = 30 * time.Second // only a hang takes so long
		b := start(t, cfg)
		var ledgers []*ledger
		for i := range 6 {
			ledgers = append(ledgers, newLedger(t, b.Service(), "busy-basin", fmt.Sprintf("s%d", i)))
		}
		nc := b.conn()
		overNATS := client.New(nc, client.Options{ResumeFor: 100 * time.Millisecond})
		inProcess := startAppenders(t, b.Service(), 4, ledgers[:3])
		remote := startAppenders(t, overNATS, 4, ledgers[3:])
		near := startFollowers(t, b.Service(), 5, ledgers[0])
		far := startFollowers(t, overNATS, 5, ledgers[3])
		raw := openRaw(t, b.conn(), ledgers[3].ref, `{"tail_offset":0}`, nil)
		eventually(t, "the load is on", func() bool {
			return ledgers[0].count(acked) > 100 && ledgers[3].count(acked) > 100 && near.records.Load() > 100 && far.records.Load() > 100
		})
		began := time.Now()
		if err := b.close(); err != nil {
			t.Errorf("round %d: close: %v", round, err)
		}
		if took := time.Since(began); took > cfg.LameDuck+patience {
			t.Errorf("round %d: the close took %v", round, took)
		}
		nc.Close() // Nobody comes back: clients need not wait for that.
		inProcess.stop()
		remote.end()
		inProcess.end()
		if code := raw.drainToEnd(t); code != protocol.CodeServerDraining {
			t.Errorf("round %d: the door ended a session with %q", round, code)
		}
		near.wg.Wait() // They end by themselves, told why.
		for _, err := range near.end() {
			if code := protocol.CodeOf(err); code != protocol.CodeServerDraining {
				t.Errorf("round %d: a follower in process ended with %v", round, err)
			}
		}
		for _, err := range far.end() {
			switch code := protocol.CodeOf(err); code {
			case protocol.CodeServerDraining, protocol.CodeUnavailable, protocol.CodeClientHangup:
				// The client resumes by itself; how that ends is the client's story. It must not end cleanly.
			default:
				t.Errorf("round %d: a follower over NATS ended with %v", round, err)
			}
		}
		refusals := map[protocol.Code]int{}
		for _, l := range ledgers[:3] {
			for _, e := range l.entries {
				if e.outcome == refused {
					refusals[protocol.CodeOf(e.err)]++
				}
			}
		}
		for code := range refusals {
			if code != protocol.CodeServerDraining {
				t.Errorf("round %d: appends were refused with %s", round, code)
			}
		}
		b = start(t, onDisk(dir))
		for _, l := range ledgers {
			l.verify(t, b.Service())
		}
		b.stop()
	}
}

// process is the started command.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	url  string
	done chan error
	out  strings.Builder // all it wrote; read after done
}

// startProcess starts "weir serve" and waits until it says where it listens.
func startProcess(t *testing.T, args ...string) *process {
	t.Helper()
	bin, err := weirBinary()
	must(t, err)
	p := &process{t: t, cmd: weirCommand(t.Context(), bin, append([]string{"serve", "--http-listen", "none"}, args...)...), done: make(chan error, 1)}
	stdout, err := p.cmd.StdoutPipe()
	must(t, err)
	p.cmd.Stderr = p.cmd.Stdout
	must(t, p.cmd.Start())
	url := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			fmt.Fprintln(&p.out, lines.Text())
			if at, ok := strings.CutPrefix(strings.TrimSpace(lines.Text()), "NATS "); ok {
				url <- strings.TrimSpace(at)
			}
		}
		p.done <- p.cmd.Wait()
	}()
	select {
	case p.url = <-url:
	case err := <-p.done:
		t.Fatalf("weir ended at once: %v\n%s", err, p.out.String())
	case <-time.After(patience):
		t.Fatal("weir does not say where it listens")
	}
	return p
}

// TestFaultTerminatedUnderLoad sends SIGTERM to the started command under load.
func TestFaultTerminatedUnderLoad(t *testing.T) {
	for round := range scale(1, 5) {
		dir := t.TempDir()
		const lameDuck = 30 * time.Second // only a hang takes so long
		p := startProcess(t, "--store-dir", dir, "--nats-listen", "127.0.0.1:0", "--lame-duck", lameDuck.String())
		nc, err := nats.Connect(p.url, nats.MaxReconnects(0), quiet)
		must(t, err)
		t.Cleanup(nc.Close)
		svc := client.New(nc, client.Options{ResumeFor: 100 * time.Millisecond})
		var ledgers []*ledger
		for i := range 4 {
			ledgers = append(ledgers, newLedger(t, svc, "busy-basin", fmt.Sprintf("s%d", i)))
		}
		work := startAppenders(t, svc, 4, ledgers)
		follow := startFollowers(t, svc, 5, ledgers[0])
		eventually(t, "the load is on", func() bool {
			return ledgers[0].count(acked) > 100 && follow.records.Load() > 100
		})
		began := time.Now()
		must(t, p.cmd.Process.Signal(syscall.SIGTERM))
		err = <-p.done
		if took := time.Since(began); took > lameDuck+patience {
			t.Errorf("round %d: the stop took %v", round, took)
		}
		if err != nil {
			t.Errorf("round %d: weir ended with %v\n%s", round, err, p.out.String())
		}
		work.end()
		for _, err := range follow.end() {
			if err == nil {
				t.Errorf("round %d: a follower ended cleanly", round)
			}
		}
		cfg := onDisk(dir)
		cfg.NATS.Listen = conf.ListenNone
		b := start(t, cfg)
		for _, l := range ledgers {
			l.verify(t, b.Service())
		}
		b.stop()
	}
}
