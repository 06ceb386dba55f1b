//go:build linux

package powercut

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
)

// The test binary is a broker or a disk when one of these is set.
const (
	brokerEnv = "WEIR_POWERCUT_BROKER" // the configuration, as JSON
	diskEnv   = "WEIR_POWERCUT_DISK"   // the directory to mount
)

func TestMain(m *testing.M) {
	var err error
	switch {
	case os.Getenv(brokerEnv) != "":
		err = serve(os.Getenv(brokerEnv))
	case os.Getenv(diskEnv) != "":
		signal.Ignore(syscall.SIGINT)
		err = serveDisk(os.Getenv(diskEnv))
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "weir:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// brokerConfig is what a child broker is told.
type brokerConfig struct {
	Dir          string
	Durability   conf.Durability
	SyncInterval time.Duration
	Compression  string
}

// serve runs a broker on a free port that it prints. It stops in order when it reads "stop", and ends at the end of its
// standard input.
func serve(config string) error {
	var c brokerConfig
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		return err
	}
	cfg := conf.Default().WithStoreDir(c.Dir)
	cfg.HTTP.Listen = conf.ListenNone
	cfg.NATS.Listen = "127.0.0.1:0"
	cfg.Durability, cfg.SyncInterval = c.Durability, c.SyncInterval
	cfg.StorageExpress.Compression = c.Compression
	cfg.StorageStandard.Compression = c.Compression
	cfg.LameDuck = 0
	cfg.Logs = 1 // so that all streams share a log
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	b, err := broker.Start(context.Background(), cfg, broker.WithLogger(log))
	if err != nil {
		return err
	}
	fmt.Println(strings.TrimPrefix(b.ClientURL(), "nats://"))
	in := bufio.NewReader(os.Stdin)
	line, err := in.ReadString('\n')
	if err != nil || strings.TrimSpace(line) != "stop" {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	err = b.Close(ctx)
	_, _ = io.Copy(io.Discard, in)
	return err
}
