package abuse

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/internal/httpclient"
	"github.com/weirstream/weir/protocol"
)

// childEnv makes the test binary a broker: its value is the store directory. rootEnv is its root token.
const (
	childEnv = "WEIR_ABUSE_CHILD"
	rootEnv  = "WEIR_ABUSE_ROOT"
)

const rootToken = "the-root-token-of-the-abused"

// full reports whether the attacks run at full length.
func full() bool { return os.Getenv("WEIR_ABUSE") == "full" }

// patience is how long something may take that takes a moment on an idle machine: only a hang takes longer.
const patience = 2 * time.Minute

// scaled is a number of clients, streams or sessions of an attack.
func scaled(n int) int {
	if full() {
		return n
	}
	return max(n/8, 1)
}

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		if err := serve(dir); err != nil {
			fmt.Fprintln(os.Stderr, "weir:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// serve runs a broker with the default settings, on free ports that it prints, until its standard input ends.
func serve(dir string) error {
	cfg := conf.Default().WithStoreDir(dir)
	cfg.HTTP.Listen, cfg.NATS.Listen = "127.0.0.1:0", "127.0.0.1:0"
	cfg.RootToken = os.Getenv(rootEnv)
	cfg.LameDuck = 0
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	b, err := broker.Start(context.Background(), cfg, broker.WithLogger(log), broker.WithOwnProcess())
	if err != nil {
		return err
	}
	fmt.Println(b.HTTPURL(), b.ClientURL())
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	select {
	case <-ended:
	case err := <-b.Done():
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = b.Close(ctx) // what the attackers hold is cut off
	return nil
}

// victim is a broker in a process of its own.
type victim struct {
	pid       int
	http, url string // of HTTP and NATS clients
	token     string // the root token; "" if nothing is checked
	idle      int64  // resident bytes before the attack
	calm      time.Duration
}

// start starts a broker and lets it warm up.
func start(t *testing.T, token string) *victim {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the resident memory of another process is read from /proc")
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+t.TempDir(), rootEnv+"="+token)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the broker ended with %v", err)
		}
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	v := &victim{pid: cmd.Process.Pid, token: token}
	if v.http, v.url, _ = strings.Cut(strings.TrimSpace(line), " "); v.url == "" {
		t.Fatalf("the broker said %q", line)
	}
	svc := v.service(v.token)
	if _, _, err := svc.CreateBasin(t.Context(), protocol.CreateBasinRequest{Basin: basin, Config: protocol.BasinConfig{CreateStreamOnAppend: true}}); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		v.append(t, "warm", 100)
	}
	v.calm = v.p99(t, time.Second)
	v.idle = v.resident(t, "VmRSS")
	return v
}

const basin = protocol.BasinName("abused-basin")

func ref(stream string) protocol.StreamRef {
	return protocol.StreamRef{Basin: basin, Stream: protocol.StreamName(stream)}
}

func (v *victim) service(token string) protocol.Service {
	return httpclient.New(v.http, client(), httpclient.Token(token))
}

// issue makes a token for the basin that may do the operations alone.
func (v *victim) issue(t *testing.T, id string, ops ...protocol.Operation) string {
	t.Helper()
	secret, err := v.service(v.token).IssueAccessToken(t.Context(), protocol.IssueAccessTokenRequest{ID: protocol.AccessTokenID(id),
		Scope: protocol.AccessTokenScope{Basins: protocol.ResourceSet{Kind: protocol.MatchExact, Name: string(basin)},
			Streams: protocol.ResourceSet{Kind: protocol.MatchPrefix}, Ops: protocol.Operations(ops...)}})
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func (v *victim) append(t *testing.T, stream string, bytes int) {
	t.Helper()
	if _, err := v.service(v.token).Append(t.Context(), ref(stream), protocol.AppendInput{Records: []protocol.Record{{Body: make([]byte, bytes)}}}); err != nil {
		t.Fatal(err)
	}
}

// p99 appends for so long, one record after the other, with the root token.
func (v *victim) p99(t *testing.T, during time.Duration) time.Duration {
	t.Helper()
	svc := v.service(v.token)
	var took []time.Duration
	for begin := time.Now(); time.Since(begin) < during; {
		one := time.Now()
		if _, err := svc.Append(t.Context(), ref("other"), protocol.AppendInput{Records: []protocol.Record{{Body: make([]byte, 100)}}}); err != nil {
			t.Fatalf("another client's append: %v", err)
		}
		took = append(took, time.Since(one))
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

// resident is a line of the process's status, in bytes: VmRSS now, VmHWM at its highest.
func (v *victim) resident(t *testing.T, what string) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", v.pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, what+":"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatalf("no %s in the status", what)
	return 0
}

// maxGrowth is how much resident memory an attack may cost, on the default settings.
const maxGrowth = 512 << 20

// holds checks, while an attack goes on, that another client is served and what the attack has cost at most.
func (v *victim) holds(t *testing.T) {
	t.Helper()
	v.healthy(t)
	p99 := v.p99(t, 2*time.Second)
	peak := v.resident(t, "VmHWM")
	t.Logf("resident: %d MiB idle, %d MiB at most; p99 of another client's append: %v idle, %v under attack",
		v.idle>>20, peak>>20, v.calm, p99)
	report(t, figure{Attack: strings.TrimPrefix(t.Name(), "Test"), Grown: peak - v.idle, Calm: v.calm, P99: p99})
	if grown := peak - v.idle; grown > maxGrowth*raceFactor {
		t.Errorf("the attack cost %d MiB of resident memory, at most %d are allowed", grown>>20, int64(maxGrowth*raceFactor)>>20)
	}
}

// figuresEnv names a file to which each attack appends a line of JSON; make bench reads it.
const figuresEnv = "WEIR_ABUSE_FIGURES"

// figure is what an attack cost.
type figure struct {
	Attack string        `json:"attack"`
	Grown  int64         `json:"grown"` // resident bytes above idle, at most
	Calm   time.Duration `json:"calm"`  // p99 of another client's append before, and meanwhile
	P99    time.Duration `json:"p99"`
}

func report(t *testing.T, f figure) {
	t.Helper()
	path := os.Getenv(figuresEnv)
	if path == "" {
		return
	}
	out, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := json.NewEncoder(out).Encode(f); err != nil {
		t.Fatal(err)
	}
}

// healthy: the broker says that it is well, and shows its metrics.
func (v *victim) healthy(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, path := range []string{"/health", "/metrics"} {
		if status := get(ctx, t, v.http+path); status != 200 {
			t.Errorf("%s answers %d", path, status)
		}
	}
}
