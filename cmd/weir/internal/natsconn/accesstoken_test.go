package natsconn

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

func startWith(t *testing.T, o *server.Options) string {
	t.Helper()
	o.Host, o.Port, o.NoSigs, o.NoLog = "127.0.0.1", server.RANDOM_PORT, true, true
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(time.Minute) {
		t.Fatal("the server does not start")
	}
	return s.ClientURL()
}

// TestAccessTokenLogsIn: the access token is the credential of the connection unless there is another.
func TestAccessTokenLogsIn(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	tokens := startWith(t, &server.Options{Authorization: "weir-token"})
	users := startServer(t)
	everybody := startWith(t, &server.Options{Users: []*server.User{{Username: "app", Password: "s3cret"}, {Username: "any", Password: "x"}}, NoAuthUser: "any"})
	open := startWith(t, &server.Options{})
	for _, tt := range []struct {
		name    string
		options Options
		ok      bool
	}{
		{"the token of the server", Options{Server: tokens, AccessToken: "weir-token"}, true},
		{"another", Options{Server: tokens, AccessToken: "no-token"}, false},
		{"a user goes over it", Options{Server: users, User: "app", Password: "s3cret", AccessToken: "weir-token"}, true},
		{"a user in the URL goes over it", Options{Server: strings.Replace(users, "nats://", "nats://app:s3cret@", 1), AccessToken: "weir-token"}, true},
		{"a token of NATS goes over it", Options{Server: tokens, Token: "weir-token", AccessToken: "other"}, true},
		{"a server that knows users", Options{Server: users, AccessToken: "weir-token"}, false},
		{"a server that lets in who says nothing", Options{Server: everybody, AccessToken: "weir-token"}, true},
		{"a server that asks nobody", Options{Server: open, AccessToken: "weir-token"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.options.Timeout = time.Minute // only a hang fails
			nc, err := Connect(tt.options, func(string) {})
			if err == nil {
				nc.Close()
			}
			var failed *ConnectError
			switch {
			case tt.ok && err != nil:
				t.Error(err)
			case !tt.ok && (!errors.As(err, &failed) || !errors.Is(err, nats.ErrAuthorization)):
				t.Errorf("got %v", err)
			case err != nil && strings.Contains(err.Error(), "-token"):
				t.Errorf("shows the token: %v", err)
			}
		})
	}
}
