package crash

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
)

// childEnv holds the store directory when the test binary is to be a broker.
const childEnv = "WEIR_CRASH_CHILD"

// acceptLossEnv holds the broker's accept_loss.
const acceptLossEnv = "WEIR_CRASH_ACCEPT_LOSS"

const logsPerBasin = 2

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

// serve runs a broker on dir, on a free port that it prints, until its standard input ends. So a child never outlives
// the test that started it.
func serve(dir string) error {
	cfg := conf.Default().WithStoreDir(dir)
	cfg.HTTP.Listen = conf.ListenNone
	cfg.NATS.Listen = "127.0.0.1:0"
	cfg.Durability = conf.DurabilityGroup
	cfg.Logs = logsPerBasin
	cfg.LameDuck = 0
	cfg.AcceptLoss = os.Getenv(acceptLossEnv)
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	b, err := broker.Start(context.Background(), cfg, broker.WithLogger(log))
	if err != nil {
		return err
	}
	fmt.Println(b.ClientURL())
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
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return b.Close(ctx)
}
