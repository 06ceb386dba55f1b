package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/nats-io/nats-server/v2/server/ats"

	"github.com/weirstream/weir/conf"
)

// NodeEnv has the configuration of a broker, in JSON: the test binary is that broker then, so that a test can kill it.
const NodeEnv = "WEIR_TEST_NODE"

func TestMain(m *testing.M) {
	// The server's shared clock must start outside of every synctest bubble, or time in the bubble stands still.
	ats.Register()
	if text := os.Getenv(NodeEnv); text != "" {
		os.Exit(beNode(text))
	}
	os.Exit(m.Run())
}

// beNode runs a broker until the standard input is closed, also by the end of the process that started it. It writes a line when the broker serves.
func beNode(text string) int {
	var cfg conf.Config
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	b, err := Start(ctx, cfg)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("serves")
	<-over
	if err := b.Close(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
