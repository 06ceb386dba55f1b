package natsd

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/weirstream/weir/conf"
)

// quiet is a file configuration that opens no port.
func quiet(dir string) conf.Config {
	c := conf.Default().WithStoreDir(dir)
	c.HTTP.Listen = ""
	c.NATS.Listen = ""
	return c
}

// listening is a file configuration with a free port.
func listening(dir string) conf.Config {
	c := quiet(dir)
	c.NATS.Listen = "127.0.0.1:0"
	return c
}

// withNATS includes a NATS configuration.
func withNATS(t *testing.T, c conf.Config, text string) conf.Config {
	t.Helper()
	c.NATS.ConfigFile = filepath.Join(t.TempDir(), "nats.conf")
	write(t, c.NATS.ConfigFile, text)
	return c
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, c conf.Config) *Embedded {
	t.Helper()
	e, err := startEmbedded(t.Context(), c, slog.New(slog.DiscardHandler), func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func stop(t *testing.T, e *Embedded) {
	t.Helper()
	if err := e.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// storeOne stores a message in a stream of the storage account, made if needed.
func storeOne(t *testing.T, e *Embedded, stream string) {
	t.Helper()
	nc, err := e.Storage("test")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // only a hang fails
	defer cancel()
	st := jetstream.FileStorage
	if e.cfg.Memory {
		st = jetstream.MemoryStorage
	}
	if _, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: stream, Subjects: []string{"log." + stream}, Storage: st}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(ctx, "log."+stream, []byte("x")); err != nil {
		t.Fatal(err)
	}
}

func TestEmbeddedKeepsItsStreams(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		e := open(t, quiet(dir))
		storeOne(t, e, "S2_A")
		if got := e.URL(); got != "" {
			t.Errorf("a server without a listener has the address %q", got)
		}
		stop(t, e)
	}
	e := open(t, quiet(dir))
	defer stop(t, e)
	d, err := e.srv.JszAccount(&server.JSzOptions{Account: PrivateAccount, Streams: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Streams) != 1 || d.Streams[0].State.Msgs != 2 {
		t.Fatalf("after two restarts: %+v, want one stream with two messages", d.Streams)
	}
}

func TestEmbeddedServerIsSetUpForWeir(t *testing.T) {
	c := listening(t.TempDir())
	c.Durability = conf.DurabilityAlways
	c.NATS.ServerName = "gate-1"
	e := open(t, c)
	defer stop(t, e)
	nc, err := nats.Connect(e.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if nc.MaxPayload() != 8<<20 || nc.ConnectedServerName() != "gate-1" {
		t.Errorf("max_payload %d, name %q", nc.MaxPayload(), nc.ConnectedServerName())
	}
	js := e.srv.JetStreamConfig()
	if !js.SyncAlways || js.MaxStore <= 0 || js.StoreDir != filepath.Join(c.StoreDir, "jetstream") {
		t.Errorf("JetStream runs with %+v", *js)
	}
}

func TestMemoryModeLeavesNothingBehind(t *testing.T) {
	e := open(t, conf.Default().WithMemory())
	storeOne(t, e, "S2_A")
	dir := e.dir
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	stop(t, e)
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the temporary directory is still there: %v", err)
	}
}

func TestMemoryModeRunsOnFakeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, conf.Default().WithMemory())
		storeOne(t, e, "S2_A")
		time.Sleep(time.Hour)
		stop(t, e)
	})
}

// TestStartFailures: what an operator reads when the start fails must say what is wrong and what to do.
func TestStartFailures(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()

	for _, tc := range []struct {
		name   string
		config func(t *testing.T) conf.Config
		want   []string
	}{
		{"the store directory cannot be made", func(t *testing.T) conf.Config {
			file := filepath.Join(t.TempDir(), "file")
			write(t, file, "")
			return quiet(filepath.Join(file, "store"))
		}, []string{"store directory", "cannot be made", "write permission"}},
		{"the store directory cannot be written", func(t *testing.T) conf.Config {
			dir := t.TempDir()
			// A directory in the place of the lock file refuses every user, even root.
			if err := os.Mkdir(filepath.Join(dir, lockName), 0o700); err != nil {
				t.Fatal(err)
			}
			return quiet(dir)
		}, []string{"cannot be written", "write permission"}},
		{"JetStream cannot use the store directory", func(t *testing.T) conf.Config {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "jetstream"), "not a directory")
			return quiet(dir)
		}, []string{"JetStream cannot use the store directory", "check that"}},
		{"another broker runs on the store directory", func(t *testing.T) conf.Config {
			c := quiet(t.TempDir())
			e := open(t, c)
			t.Cleanup(func() { stop(t, e) })
			return c
		}, []string{"another weir (process ", "stop it"}},
		{"the port is in use", func(t *testing.T) conf.Config {
			c := quiet(t.TempDir())
			c.NATS.Listen = taken.Addr().String()
			return c
		}, []string{"port is in use", taken.Addr().String(), "choose another address"}},
		{"the NATS configuration is missing", func(t *testing.T) conf.Config {
			c := quiet(t.TempDir())
			c.NATS.ConfigFile = filepath.Join(t.TempDir(), "missing.conf")
			return c
		}, []string{"missing.conf", "not valid"}},
		{"the NATS configuration is malformed", func(t *testing.T) conf.Config {
			return withNATS(t, quiet(t.TempDir()), "accounts {")
		}, []string{"not valid"}},
		{"the NATS configuration has an unknown key", func(t *testing.T) conf.Config {
			return withNATS(t, quiet(t.TempDir()), "max_paylod: 8MB")
		}, []string{"not valid", "max_paylod"}},
		{"the NATS configuration has another store directory", func(t *testing.T) conf.Config {
			return withNATS(t, quiet(t.TempDir()), `jetstream { store_dir: "/elsewhere" }`)
		}, []string{"store_dir", "remove store_dir"}},
		{"the NATS configuration has a max_payload that is too small", func(t *testing.T) conf.Config {
			return withNATS(t, quiet(t.TempDir()), "max_payload: 1MB")
		}, []string{"max_payload", "full batch"}},
		{"the NATS configuration contradicts max_payload", func(t *testing.T) conf.Config {
			return withNATS(t, quiet(t.TempDir()), "max_payload: 4MB")
		}, []string{"max_payload", "weir's max_payload"}},
		{"the NATS configuration contradicts the listener", func(t *testing.T) conf.Config {
			return withNATS(t, quiet(t.TempDir()), "port: 4333")
		}, []string{"client listener", "remove one"}},
		{"the NATS configuration contradicts the durability", func(t *testing.T) conf.Config {
			return withNATS(t, quiet(t.TempDir()), "jetstream { sync_interval: always }")
		}, []string{"sync_interval", "durability to always"}},
		{"the NATS configuration contradicts the sync interval", func(t *testing.T) conf.Config {
			return withNATS(t, quiet(t.TempDir()), "jetstream { sync_interval: 10s }")
		}, []string{"sync_interval", "weir's sync_interval"}},
		{"the NATS configuration contradicts the name", func(t *testing.T) conf.Config {
			c := withNATS(t, quiet(t.TempDir()), "server_name: one")
			c.NATS.ServerName = "two"
			return c
		}, []string{"server_name", "remove one"}},
		{"a cluster", func(t *testing.T) conf.Config {
			return withNATS(t, quiet(t.TempDir()), `cluster { name: c, listen: "127.0.0.1:-1", authorization { user: a, password: b } }`)
		}, []string{"sets cluster", "external.url"}},
		{"a super-cluster", func(t *testing.T) conf.Config {
			return withNATS(t, quiet(t.TempDir()), `gateway { name: c, listen: "127.0.0.1:-1", authorization { user: a, password: b } }`)
		}, []string{"sets gateway", "external.url"}},
		{"the private account is taken", func(t *testing.T) conf.Config {
			return withNATS(t, quiet(t.TempDir()), "accounts { WEIR { users: [{user: a, password: b}] } }")
		}, []string{"WEIR", "rename"}},
		{"operator mode", func(t *testing.T) conf.Config {
			kp, err := nkeys.CreateOperator()
			if err != nil {
				t.Fatal(err)
			}
			public, err := kp.PublicKey()
			if err != nil {
				t.Fatal(err)
			}
			return withNATS(t, quiet(t.TempDir()), "trusted_keys: ["+public+"]")
		}, []string{"operator", "external.url"}},
		{"a stream is damaged", func(t *testing.T) conf.Config {
			c := quiet(t.TempDir())
			e := open(t, c)
			storeOne(t, e, "S2_A")
			stop(t, e)
			write(t, filepath.Join(streamsDir(c.StoreDir, PrivateAccount), "S2_A", streamMetaFile), "{")
			return c
		}, []string{"damaged", "S2_A", "backup"}},
		{"a stream has lost its description", func(t *testing.T) conf.Config {
			c := quiet(t.TempDir())
			e := open(t, c)
			storeOne(t, e, "S2_A")
			stop(t, e)
			if err := os.Remove(filepath.Join(streamsDir(c.StoreDir, PrivateAccount), "S2_A", streamMetaFile)); err != nil {
				t.Fatal(err)
			}
			return c
		}, []string{"damaged", "S2_A", "backup"}},
		{"the storage is in the global account", func(t *testing.T) conf.Config {
			c := quiet(t.TempDir())
			e := open(t, c)
			storeOne(t, e, "S2_A")
			stop(t, e)
			js := filepath.Join(c.StoreDir, "jetstream")
			if err := os.Rename(filepath.Join(js, PrivateAccount), filepath.Join(js, globalAccount)); err != nil {
				t.Fatal(err)
			}
			return c
		}, []string{"account $G", "weir backup", "weir restore"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := tc.config(t)
			e, err := startEmbedded(t.Context(), c, slog.New(slog.DiscardHandler), func(error) {})
			if err == nil {
				stop(t, e)
				t.Fatal("it started")
			}
			for _, w := range tc.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("the error does not say %q:\n%v", w, err)
				}
			}
			t.Log(err)
		})
	}
}

// TestTheStorageStays: it is in one account, whatever the NATS configuration says of users.
func TestTheStorageStays(t *testing.T) {
	c := quiet(t.TempDir())
	e := open(t, c)
	storeOne(t, e, "S2_A")
	stop(t, e)
	e = open(t, withNATS(t, c, "authorization { token: secret }"))
	defer stop(t, e)
	names, err := e.streams(PrivateAccount)
	if err != nil || len(names) != 1 || names[0] != "S2_A" {
		t.Fatalf("streams %v, %v", names, err)
	}
}

// TestLeftoverDirectoryIsNoDamage: a crash while a stream is created leaves an empty directory.
func TestLeftoverDirectoryIsNoDamage(t *testing.T) {
	c := quiet(t.TempDir())
	e := open(t, c)
	storeOne(t, e, "S2_A")
	stop(t, e)
	if err := os.MkdirAll(filepath.Join(streamsDir(c.StoreDir, PrivateAccount), "S2_B", streamMsgsDir), 0o700); err != nil {
		t.Fatal(err)
	}
	stop(t, open(t, c))
}

func TestStartObeysItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := quiet(t.TempDir())
	// The start may win the race against the context; either way nothing may be left that holds the lock.
	if e, err := startEmbedded(ctx, c, slog.New(slog.DiscardHandler), func(error) {}); err == nil {
		stop(t, e)
	} else if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	stop(t, open(t, c))
}

func TestServerThatDiesIsReported(t *testing.T) {
	for _, tc := range []struct {
		name string
		do   func(*server.Server)
		want string
	}{
		{"stopped", func(s *server.Server) { s.Shutdown() }, "stopped"},
		{"JetStream off", func(s *server.Server) { _ = s.ShutdownJetStream() }, "turned itself off"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			failed := make(chan error, 1)
			e, err := startEmbedded(t.Context(), quiet(t.TempDir()), slog.New(slog.DiscardHandler), func(err error) { failed <- err })
			if err != nil {
				t.Fatal(err)
			}
			defer stop(t, e)
			tc.do(e.srv)
			if err := <-failed; !strings.Contains(err.Error(), tc.want) {
				t.Errorf("reported %q, want %q", err, tc.want)
			}
		})
	}
}

// TestClientsAreToldToMove: on a stop a client hears of it before its connection ends, and the whole takes no longer
// than the lame duck time.
func TestClientsAreToldToMove(t *testing.T) {
	c := listening(t.TempDir())
	c.LameDuck = 2 * time.Second
	e := open(t, c)
	told, gone := make(chan struct{}), make(chan struct{})
	nc, err := nats.Connect(e.URL(), nats.NoReconnect(),
		nats.LameDuckModeHandler(func(*nats.Conn) { close(told) }),
		nats.ClosedHandler(func(*nats.Conn) {
			select {
			case <-told:
			default:
				t.Error("the connection ended before the client was told")
			}
			close(gone)
		}))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	began := time.Now()
	stop(t, e)
	<-gone
	if took := time.Since(began); took > c.LameDuck+time.Minute { // the server's own default is two minutes
		t.Errorf("the stop took %s", took)
	}
}

func TestStopObeysItsContext(t *testing.T) {
	c := listening(t.TempDir())
	c.LameDuck = 10 * time.Minute
	e := open(t, c)
	nc, err := nats.Connect(e.URL(), nats.NoReconnect())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := e.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > c.LameDuck/2 {
		t.Errorf("the stop took %s", took)
	}
}
