package natsd

import (
	"os"
	"testing"

	"github.com/nats-io/nats-server/v2/server/ats"
)

func TestMain(m *testing.M) {
	// The server's shared clock must start outside of every synctest bubble, or time in the bubble stands still.
	ats.Register()
	os.Exit(m.Run())
}
