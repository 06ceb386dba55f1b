package backup_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/backup"
	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// The environment that makes the test binary a broker: its store directory and its address.
const (
	childDir  = "WEIR_BACKUP_TEST_DIR"
	childAddr = "WEIR_BACKUP_TEST_ADDR"
)

func TestMain(m *testing.M) {
	if os.Getenv(childDir) == "" {
		os.Exit(m.Run())
	}
	cfg := conf.Default().WithStoreDir(os.Getenv(childDir))
	cfg.HTTP.Listen, cfg.NATS.Listen = "", os.Getenv(childAddr)
	b, err := broker.Start(context.Background(), cfg)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(b.ClientURL())
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test ends, or kills
	os.Exit(0)
}

// child is a broker in a process of its own.
func child(t *testing.T, dir, addr string) (url string, kill func()) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childDir+"="+dir, childAddr+"="+addr)
	cmd.Stderr = os.Stderr
	_, err = cmd.StdinPipe() // it ends with this process
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	kill = func() { _ = cmd.Process.Kill(); _, _ = cmd.Process.Wait() }
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		kill()
		t.Fatal("the broker did not start: ", err)
	}
	return strings.TrimSpace(line), kill
}

// TestKilledInTheMiddle: a broker that is killed while it is restored into, and started again, has everything in the end.
func TestKilledInTheMiddle(t *testing.T) {
	defer backup.SetCallTimeout(time.Second)()
	src := inMemory(t)
	basin := src.basin("some-basin", protocol.BasinConfig{})
	var refs []protocol.StreamRef
	for i := range 20 {
		ref := src.stream(basin, fmt.Sprint("s", i), protocol.StreamConfig{})
		for k := range 10 {
			src.append(ref, record(fmt.Sprint(i, k, strings.Repeat("x", 5000))))
		}
		refs = append(refs, ref)
	}
	dir, _ := save(t, src, backup.SaveOptions{})
	for _, calls := range []int{2, 4, 9, 20} {
		t.Run(fmt.Sprint(calls), func(t *testing.T) {
			store := t.TempDir()
			url, kill := child(t, store, "127.0.0.1:0")
			addr := strings.TrimPrefix(url, "nats://")
			nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond), nats.ReconnectJitter(0, 0))
			must(t, err)
			defer nc.Close()
			c := client.New(nc, client.Options{})
			f := broken(c, &faulty{after: calls, once: true})
			f.fault = func() error { // what is under way dies with it
				kill()
				_, kill = child(t, store, addr)
				return errLost
			}
			_, err = backup.Restore(t.Context(), f, dir, backup.RestoreOptions{BatchBytes: 30_000})
			defer func() { kill() }()
			must(t, err)
			dst := &rig{t: t, nc: nc, Client: c}
			compareCatalogs(t, src, dst)
			for _, ref := range refs {
				if want, got := fmt.Sprint(src.records(ref)), fmt.Sprint(dst.records(ref)); want != got {
					t.Errorf("%s: restored %.200s, want %.200s", ref, got, want)
				}
				next := dst.tail(ref).SeqNum
				if _, err := c.Append(t.Context(), ref, protocol.AppendInput{Records: []protocol.Record{record("more")}, MatchSeqNum: &next}); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
