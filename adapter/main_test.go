package adapter

import (
	"os"
	"testing"

	"github.com/nats-io/nats-server/v2/server/ats"

	"github.com/weirstream/weir/protocol"
)

func TestMain(m *testing.M) {
	// The NATS server's shared clock must start outside of every synctest bubble, or time in the bubble stands still.
	ats.Register()
	os.Exit(m.Run())
}

func inMemory(o *Options) { o.Durability, o.Memory = protocol.DurabilityInterval, true }
