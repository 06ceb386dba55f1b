package cli_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/cmd/weir/internal/cli"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// keyboard sends signals to everybody in the command who asked for them.
type keyboard struct {
	mu        sync.Mutex
	listeners []chan os.Signal
}

func (k *keyboard) signals(...os.Signal) (<-chan os.Signal, func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := make(chan os.Signal, 8)
	k.listeners = append(k.listeners, c)
	return c, func() {}
}

func (k *keyboard) press(s os.Signal) {
	synctest.Wait()
	k.mu.Lock()
	for _, c := range k.listeners {
		c <- s
	}
	k.mu.Unlock()
	synctest.Wait()
}

// background runs a command line inside a bubble; the returned channel delivers it when it is over.
func background(e cli.Env, r *run, args ...string) <-chan *run {
	done := make(chan *run, 1)
	go func() {
		r.code = cli.Main(context.Background(), e, args)
		done <- r
	}()
	return done
}

func TestTailFollowsUntilInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc := newFake()
		weir(svc, "", "create-basin", "demo-basin", "--create-stream-on-append")
		weir(svc, "a\nb\nc\n", "append", "s2://demo-basin/s")
		k, r := &keyboard{}, &run{}
		e := env(svc, r, "")
		e.Signals = k.signals
		done := background(e, r, "tail", "s2://demo-basin/s", "-n", "2", "-f")
		synctest.Wait()
		if got := r.stdout.String(); got != "b\nc\n" {
			t.Errorf("before: %q", got)
		}
		weir(svc, "d\n", "append", "s2://demo-basin/s")
		synctest.Wait()
		if got := r.stdout.String(); got != "b\nc\nd\n" {
			t.Errorf("after: %q", got)
		}
		k.press(os.Interrupt)
		if r := <-done; r.code != 130 || r.stderr.String() != "weir: interrupted\n" {
			t.Errorf("exit %d, %s", r.code, r.stderr.String())
		}
	})
}

func TestAppendInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc := newFake()
		weir(svc, "", "create-basin", "demo-basin", "--create-stream-on-append")
		in, typed := io.Pipe()
		defer typed.Close()
		k, r := &keyboard{}, &run{}
		e := env(svc, r, "")
		e.Stdin, e.Signals = in, k.signals
		done := background(e, r, "append", "s2://demo-basin/s", "--linger", "1s")
		if _, err := io.WriteString(typed, "a\nb\n"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if r.stderr.Len() != 0 {
			t.Errorf("sent before the linger was over: %s", r.stderr.String())
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := r.stderr.String(); !strings.HasPrefix(got, "appended 0..2 ") {
			t.Errorf("after the linger: %q", got)
		}
		k.press(syscall.SIGTERM)
		got := <-done
		if got.code != 130 || !strings.HasSuffix(got.stderr.String(), "acknowledged before the failure: 2\nweir: interrupted\n") {
			t.Errorf("exit %d, %s", got.code, got.stderr.String())
		}
	})
}

func TestBench(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc := newFake()
		weir(svc, "", "create-basin", "demo-basin")
		r := weir(svc, "", "bench", "demo-basin", "-d", "2s", "-t", "1", "-b", "1024", "-w", "3s", "-c", "standard", "--json")
		if r.code != 0 || r.stderr.Len() != 0 {
			t.Fatalf("exit %d, %s", r.code, r.stderr.String())
		}
		got := r.stdout.String()
		for _, want := range []string{
			`{"basin":"demo-basin","stream":"bench/`, `"streams":1,"over":"nats","mode":"session","storage_class":"standard","record_size":1024,"target_mibps":1,"duration_secs":2,`,
			`"append":{"records":20`, `"live_read":{"records":20`, `"catchup_read":{"records":20`,
			`"latency_ms":{"min":0,"p50":0,"p90":0,"p99":0,"p99_9":0,"max":0}`,
		} {
			if !strings.Contains(got, want) {
				t.Errorf("%s is not in %s", want, got)
			}
		}
		if strings.Count(got, "\n") != 1 {
			t.Errorf("not one line: %s", got)
		}
		if len(svc.deletes) != 1 || !strings.HasPrefix(svc.deletes[0], "s2://demo-basin/bench/") {
			t.Errorf("deleted %v", svc.deletes)
		}
	})
}

func TestBenchMistakes(t *testing.T) {
	wrong := filepath.Join(t.TempDir(), "wrong.json")
	if err := os.WriteFile(wrong, []byte(`{"a":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--streams", "0"}, "--streams is 0; allowed is from 1 to 1000"},
		{[]string{"--batch-records", "1001"}, "--batch-records is 1001; allowed is from 1 to 1000"},
		{[]string{"--http", "localhost:8080"}, `--http: "localhost:8080" begins with neither http:// nor https://`},
		{[]string{"--compare", wrong}, "is not what bench --json prints"},
		{[]string{"--compare", wrong + ".none"}, "no such file"},
	} {
		r := weir(newFake(), "", append([]string{"bench", "demo-basin"}, c.args...)...)
		if r.code != 2 || !strings.Contains(r.stderr.String(), c.want) {
			t.Errorf("%v: exit %d, %s", c.args, r.code, r.stderr.String())
		}
	}
}

func TestBenchPrintsATable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc := newFake()
		weir(svc, "", "create-basin", "demo-basin")
		r := weir(svc, "", "bench", "demo-basin", "--duration", "3s", "--target-mibps", "0.5")
		if r.code != 0 {
			t.Fatalf("exit %d, %s", r.code, r.stderr.String())
		}
		for _, want := range []string{"records/s", "append ", "live read ", "catch-up read ", "latency, ms", "p99.9", "ack "} {
			if !strings.Contains(r.stdout.String(), want) {
				t.Errorf("%q is not in\n%s", want, r.stdout.String())
			}
		}
		if n := strings.Count(r.stderr.String(), "records acknowledged"); n < 2 {
			t.Errorf("%d progress lines in\n%s", n, r.stderr.String())
		}
	})
}

// TestBenchInterrupted: the first signal ends the appending, and what was appended is still read and reported.
func TestBenchInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc := newFake()
		weir(svc, "", "create-basin", "demo-basin")
		k, r := &keyboard{}, &run{}
		e := env(svc, r, "")
		e.Signals = k.signals
		done := background(e, r, "bench", "demo-basin", "-t", "1", "--json")
		time.Sleep(2 * time.Second)
		k.press(os.Interrupt)
		if r := <-done; r.code != 0 || !strings.Contains(r.stdout.String(), `"catchup_read":{"records":2`) {
			t.Errorf("exit %d, %s%s", r.code, r.stdout.String(), r.stderr.String())
		}
		if len(svc.deletes) != 1 {
			t.Errorf("deleted %v", svc.deletes)
		}
	})
}

// TestBenchGivesUp: a second signal ends the rest too, and the stream is still deleted.
func TestBenchGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc := newFake()
		weir(svc, "", "create-basin", "demo-basin")
		k, r := &keyboard{}, &run{}
		e := env(svc, r, "")
		e.Signals = k.signals
		done := background(e, r, "bench", "demo-basin", "-t", "1", "-w", "1h")
		time.Sleep(time.Second)
		k.press(os.Interrupt)
		k.press(os.Interrupt)
		if r := <-done; r.code != 130 {
			t.Errorf("exit %d, %s", r.code, r.stderr.String())
		}
		if len(svc.deletes) != 1 {
			t.Errorf("deleted %v", svc.deletes)
		}
	})
}

func TestBenchFailureDeletesTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc := newFake()
		weir(svc, "", "create-basin", "demo-basin")
		svc.failAppend[3] = protocol.Errorf(protocol.CodeStorage, "the disk is full")
		r := weir(svc, "", "bench", "demo-basin", "-t", "1", "--json")
		if r.code != 1 || r.stderr.String() != `{"code":"storage","message":"append: the disk is full"}`+"\n" {
			t.Errorf("exit %d, %s", r.code, r.stderr.String())
		}
		if len(svc.deletes) != 1 {
			t.Errorf("deleted %v", svc.deletes)
		}
	})
}

// fakeBroker is what serve runs in these tests.
type fakeBroker struct {
	done    chan error
	reloads int
	closed  bool
	// closing is how long Close takes unless its context ends.
	closing time.Duration
	// durable is the address of the Durable Streams protocol alone.
	durable string
	// plain makes the HTTP door one without TLS.
	plain bool
	// logins is whether access tokens are what NATS clients log in with.
	logins bool
}

func (b *fakeBroker) TokensLogIn() bool { return b.logins }

func (b *fakeBroker) ClientURL() string { return "nats://127.0.0.1:4222" }

func (b *fakeBroker) HTTPURL() string {
	if b.plain {
		return "http://127.0.0.1:8080"
	}
	return "https://127.0.0.1:8080"
}

func (b *fakeBroker) DurableStreamsURL() string { return b.durable }

func (b *fakeBroker) Done() <-chan error { return b.done }
func (b *fakeBroker) Reload() error {
	b.reloads++
	if b.reloads > 1 {
		return errors.New("a bad file")
	}
	return nil
}

func (b *fakeBroker) Close(ctx context.Context) error {
	b.closed = true
	select {
	case <-time.After(b.closing):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func serve(b *fakeBroker, k *keyboard, r *run, args ...string) <-chan *run {
	e := env(nil, r, "")
	e.Signals = k.signals
	e.Start = func(context.Context, conf.Config, *slog.Logger, string) (cli.Broker, error) { return b, nil }
	return background(e, r, append([]string{"serve"}, args...)...)
}

// TestServe: the hint is that of control plane A.24/438 and 440.
func TestServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, k, r := &fakeBroker{done: make(chan error), durable: "https://127.0.0.1:4437"}, &keyboard{}, &run{}
		done := serve(b, k, r, "--store-dir", "/data", "--durability", "always", "--log-level", "error", "--http-tls-self",
			"--durable-streams-listen", "127.0.0.1:4437", "--durable-streams-basin", "demo-basin")
		synctest.Wait()
		for _, want := range []string{
			"weir 1.2.3\n  store       /data\n  durability  always: acknowledged writes are on disk\n  NATS        nats://127.0.0.1:4222\n" +
				"  HTTP        https://127.0.0.1:8080\n",
			"  streams     https://127.0.0.1:4437/{stream}: Durable Streams, of basin demo-basin\n",
			"export S2_ACCOUNT_ENDPOINT=https://127.0.0.1:8080\n  export S2_BASIN_ENDPOINT=https://127.0.0.1:8080\n" +
				"  export S2_ACCESS_TOKEN=ignored\n  export S2_SSL_NO_VERIFY=1\n  # s2 0.43 refuses that 1 and wants: export S2_SSL_NO_VERIFY=true\n",
			"export NATS_URL=nats://127.0.0.1:4222", "weir create-basin demo-basin --create-stream-on-append",
			`printf 'a\nb\nc\n' | weir append s2://demo-basin/greetings`,
			"nats req s2.v1.append.demo-basin.greetings 'hello' -H 'lang:en'",
		} {
			if !strings.Contains(r.stdout.String(), want) {
				t.Errorf("%q is not in\n%s", want, r.stdout.String())
			}
		}
		k.press(syscall.SIGHUP)
		k.press(syscall.SIGHUP)
		if b.reloads != 2 || b.closed || !strings.Contains(r.stderr.String(), "reload refused") {
			t.Errorf("%d reloads, closed %t, %s", b.reloads, b.closed, r.stderr.String())
		}
		k.press(syscall.SIGTERM)
		if r := <-done; r.code != 0 || !b.closed {
			t.Errorf("exit %d, closed %t, %s", r.code, b.closed, r.stderr.String())
		}
	})
}

// TestHintWithoutTLS: control plane A.24/439, three exports.
func TestHintWithoutTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, k, r := &fakeBroker{done: make(chan error), plain: true}, &keyboard{}, &run{}
		done := serve(b, k, r, "--store-dir", "/data")
		synctest.Wait()
		want := "export S2_ACCOUNT_ENDPOINT=http://127.0.0.1:8080\n  export S2_BASIN_ENDPOINT=http://127.0.0.1:8080\n  export S2_ACCESS_TOKEN=ignored\n"
		if got := r.stdout.String(); !strings.Contains(got, want) || strings.Contains(got, "S2_SSL_NO_VERIFY") {
			t.Errorf("%q is not in, or S2_SSL_NO_VERIFY is in\n%s", want, got)
		}
		k.press(syscall.SIGTERM)
		<-done
	})
}

func TestServeStopsAtOnceOnASecondSignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, k, r := &fakeBroker{done: make(chan error), closing: time.Hour}, &keyboard{}, &run{}
		done := serve(b, k, r, "--memory")
		k.press(os.Interrupt)
		k.press(syscall.SIGHUP) // changes nothing
		k.press(os.Interrupt)
		if r := <-done; r.code != 130 {
			t.Errorf("exit %d, %s", r.code, r.stderr.String())
		}
	})
}

// TestServeGivesUpOnAStopThatHangs: lame duck and grace bound the stop.
func TestServeGivesUpOnAStopThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, k, r := &fakeBroker{done: make(chan error), closing: 10 * time.Hour}, &keyboard{}, &run{}
		done := serve(b, k, r, "--memory", "--lame-duck", "1m")
		began := time.Now()
		k.press(os.Interrupt)
		if r := <-done; r.code != 1 || time.Since(began) != 90*time.Second {
			t.Errorf("exit %d after %v, %s", r.code, time.Since(began), r.stderr.String())
		}
	})
}

func TestServeFailsWithTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, k, r := &fakeBroker{done: make(chan error, 1)}, &keyboard{}, &run{}
		done := serve(b, k, r, "--memory", "--log-format", "json")
		b.done <- errors.New("sync of the store failed; check the disk")
		if r := <-done; r.code != 1 || !b.closed || !strings.Contains(r.stderr.String(), "weir: sync of the store failed; check the disk") ||
			!strings.Contains(r.stderr.String(), `"level":"ERROR"`) {
			t.Errorf("exit %d, closed %t, %s", r.code, b.closed, r.stderr.String())
		}
	})
}

func TestServeInterruptedWhileStarting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, r := &keyboard{}, &run{}
		e := env(nil, r, "")
		e.Signals = k.signals
		e.Start = func(ctx context.Context, _ conf.Config, _ *slog.Logger, _ string) (cli.Broker, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		done := background(e, r, "serve", "--memory")
		k.press(syscall.SIGHUP)
		k.press(os.Interrupt)
		if r := <-done; r.code != 130 {
			t.Errorf("exit %d, %s", r.code, r.stderr.String())
		}
	})
}

func TestServeConfiguration(t *testing.T) {
	r := &run{}
	e := env(nil, r, "")
	e.Environ = []string{"WEIR_LOG_LEVEL=debug", "WEIR_EXTERNAL_URL=nats://u:hunter2@h:1"}
	code := cli.Main(context.Background(), e, []string{"serve", "--print-config", "--lame-duck", "3s"})
	for _, want := range []string{"lame_duck: \"3s\"", "level: \"debug\"", "nats://u:[redacted]@h:1"} {
		if code != 0 || !strings.Contains(r.stdout.String(), want) {
			t.Errorf("exit %d, %q is not in\n%s%s", code, want, r.stdout.String(), r.stderr.String())
		}
	}
}
