package natsd

import (
	"reflect"
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// TestSecretIsReadLocked: the lock of a connection is where secretOf looks for it.
func TestSecretIsReadLocked(t *testing.T) {
	seen := make(chan error, 1)
	srv, err := server.NewServer(&server.Options{DontListen: true, NoLog: true, NoSigs: true,
		CustomClientAuthentication: checkFunc(func(c server.ClientAuthentication) bool {
			var w walker
			walkTo[sync.RWMutex](&w, reflect.ValueOf(c), "mu")
			seen <- w.err
			return secretOf(c) == "secret"
		})})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	defer srv.WaitForShutdown()
	defer srv.Shutdown()
	nc, err := nats.Connect("", nats.InProcessServer(srv), nats.Token("secret"))
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	if err := <-seen; err != nil {
		t.Error(err)
	}
}

type checkFunc func(server.ClientAuthentication) bool

func (f checkFunc) Check(c server.ClientAuthentication) bool { return f(c) }
