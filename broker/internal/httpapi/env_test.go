package httpapi_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server/ats"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

func TestMain(m *testing.M) {
	// The server's shared clock must start outside of every synctest bubble, or time in the bubble stands still.
	ats.Register()
	os.Exit(m.Run())
}

var events = protocol.StreamRef{Basin: "test-basin", Stream: "events"}

// startBroker starts a broker in memory with a basin whose streams come with the first append.
func startBroker(t testing.TB) *broker.Broker {
	t.Helper()
	b, err := broker.Start(t.Context(), conf.Default().WithMemory())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // only a hang fails
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	config := protocol.BasinConfig{CreateStreamOnAppend: true}
	if _, _, err := b.Service().EnsureBasin(t.Context(), events.Basin, protocol.EnsureBasinRequest{Config: config}); err != nil {
		t.Fatal(err)
	}
	return b
}
