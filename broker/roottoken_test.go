package broker_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/broker"
)

func TestStartReadsTheRootTokenFile(t *testing.T) {
	c := onDisk(t.TempDir())
	c.NATS.Listen = "127.0.0.1:0"
	c.RootTokenFile = filepath.Join(t.TempDir(), "root.token")
	if _, err := broker.Start(t.Context(), c); err == nil || !strings.Contains(err.Error(), "root_token_file: cannot be read") {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.RootTokenFile, []byte(rootToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var log syncLog
	b, err := broker.Start(t.Context(), c, broker.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(context.Background())
	nc, _ := login(t, b, rootToken)
	nc.Close()
	if nc, err := nats.Connect(b.ClientURL()); err == nil {
		nc.Close()
		t.Error("let in without a token")
	}
	if !strings.Contains(log.String(), "access=checked") {
		t.Error("the start does not say that access is checked")
	}
}

// syncLog is a log that a test reads while the broker runs.
type syncLog struct {
	mu  sync.Mutex
	buf strings.Builder
}

func (l *syncLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *syncLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
