package broker_test

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

func initFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "resources.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestInitFile: what it names is there when the broker has started, and what it does not name stays (control plane 9.4).
func TestInitFile(t *testing.T) {
	cfg := conf.Default().WithStoreDir(t.TempDir())
	cfg.NATS.Listen, cfg.HTTP.Listen, cfg.LameDuck = conf.ListenNone, conf.ListenNone, 0
	start := func(text string, check func(svc protocol.Service)) {
		t.Helper()
		cfg.InitFile = initFile(t, text)
		b, err := broker.Start(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		check(b.Service())
		if err := b.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	ref := protocol.StreamRef{Basin: "basin-one", Stream: "events"}
	start(`{"basins":[{"name":"basin-one","streams":[{"name":"events","config":{"retention_policy":"infinite"}}]},{"name":"basin-two"}]}`,
		func(svc protocol.Service) {
			if c, err := svc.GetStreamConfig(t.Context(), ref); err != nil || !c.RetentionPolicy.Infinite() {
				t.Errorf("after the first start: %+v, %v", c, err)
			}
		})
	start(`{"basins":[{"name":"basin-one","streams":[{"name":"events"}]}]}`, func(svc protocol.Service) {
		if c, err := svc.GetStreamConfig(t.Context(), ref); err != nil || c != protocol.DefaultStreamConfig {
			t.Errorf("after the second start: %+v, %v", c, err)
		}
		if _, err := svc.GetBasinConfig(t.Context(), "basin-two"); err != nil {
			t.Error(err)
		}
	})
}

// TestInitFileRefused: row A.24/442, nothing listens, and nothing of the store is touched, before the file is found good.
func TestInitFileRefused(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for name, tc := range map[string]struct {
		path string
		want []string
	}{
		"missing": {filepath.Join(t.TempDir(), "none.json"), []string{"init file: ", "none.json"}},
		"invalid": {initFile(t, `{"basins":[{"name":"Bad"},{"name":"basin-one","location":"local"}]}`), []string{"init file ",
			"resources.json:\n", "basins[0].name: invalid basin name", "basins[1].location: there is no such field"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "store")
			cfg := conf.Default().WithStoreDir(dir)
			cfg.InitFile = tc.path
			cfg.HTTP.Listen = ln.Addr().String() // taken: a start that got so far would say so
			_, err := broker.Start(t.Context(), cfg)
			if err == nil {
				t.Fatal("the broker started")
			}
			for _, text := range tc.want {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("%q is not in %v", text, err)
				}
			}
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				t.Errorf("the store directory: %v", err)
			}
		})
	}
}

// TestInitFileFails: a file that is good and cannot be applied ends the start before the doors open.
func TestInitFileFails(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	cfg := conf.Default().WithMemory()
	cfg.HTTP.Listen = ln.Addr().String()
	cfg.InitFile = initFile(t, `{"basins":[{"name":"basin-one"},{"name":"basin-two"}]}`)
	ctx, cancel := context.WithCancel(t.Context())
	_, err = broker.Start(ctx, cfg, broker.WithLogger(cancelAt(cancel, "applied an item of the init file")))
	if err == nil || !strings.Contains(err.Error(), cfg.InitFile+": s2://basin-two: ") || strings.Contains(err.Error(), "address already in use") {
		t.Fatalf("got %v", err)
	}
}

// cancelAt returns a logger that cancels when it gets the message.
func cancelAt(cancel func(), message string) *slog.Logger {
	return slog.New(onMessage{slog.DiscardHandler, message, cancel})
}

type onMessage struct {
	slog.Handler
	message string
	do      func()
}

func (h onMessage) Enabled(context.Context, slog.Level) bool { return true }

func (h onMessage) Handle(_ context.Context, r slog.Record) error {
	if r.Message == h.message {
		h.do()
	}
	return nil
}

func (h onMessage) WithAttrs([]slog.Attr) slog.Handler { return h }

func (h onMessage) WithGroup(string) slog.Handler { return h }
