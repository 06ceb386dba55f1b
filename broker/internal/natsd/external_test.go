package natsd

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/weirstream/weir/conf"
)

// natsServer runs a NATS server that knows nothing of weir.
func natsServer(t *testing.T, text string) string {
	t.Helper()
	o := &server.Options{}
	if err := o.ProcessConfigString("listen: \"127.0.0.1:-1\"\n" + text); err != nil {
		t.Fatal(err)
	}
	o.StoreDir, o.NoSigs, o.NoLog = t.TempDir(), true, true
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(time.Minute) {
		t.Fatal("the server is not ready")
	}
	return s.ClientURL()
}

func externalAt(url string) conf.Config {
	c := conf.Default()
	c.HTTP.Listen = ""
	c.External.URL = url
	return c
}

func TestExternalChecks(t *testing.T) {
	const enough = "max_payload: 8MB\n"
	for _, tc := range []struct {
		name   string
		config func(t *testing.T) conf.Config
		want   []string // nil: it must work
	}{
		{"everything is there", func(t *testing.T) conf.Config {
			return externalAt(natsServer(t, enough+"jetstream: enabled"))
		}, nil},
		{"by NATS context", func(t *testing.T) conf.Config {
			url := natsServer(t, enough+"jetstream: enabled\nauthorization { user: a, password: b }")
			file := filepath.Join(t.TempDir(), "ctx.json")
			write(t, file, fmt.Sprintf(`{"url": %q, "user": "a", "password": "b"}`, url))
			c := conf.Default()
			c.HTTP.Listen = ""
			c.External.Context = file
			return c
		}, nil},
		{"max_payload is too small", func(t *testing.T) conf.Config {
			return externalAt(natsServer(t, "jetstream: enabled"))
		}, []string{`"max_payload: 8MB"`, "1048576"}},
		{"JetStream is off", func(t *testing.T) conf.Config {
			return externalAt(natsServer(t, enough))
		}, []string{"no JetStream", "jetstream {"}},
		{"JetStream is off for the account", func(t *testing.T) conf.Config {
			return externalAt(strings.Replace(natsServer(t, enough+"jetstream: enabled\naccounts { T { users: [{user: a, password: b}] }, J { jetstream: enabled } }"), "://", "://a:b@", 1))
		}, []string{"not enabled for weir's account", "jetstream: enabled"}},
		{"nobody is there", func(*testing.T) conf.Config { return externalAt("nats://127.0.0.1:1") }, []string{"external.url", "check that it runs"}},
		{"the user is refused", func(t *testing.T) conf.Config {
			return externalAt(natsServer(t, enough+"authorization { token: s }"))
		}, []string{"Authorization Violation", "creds"}},
		{"the credentials file is missing", func(t *testing.T) conf.Config {
			c := externalAt(natsServer(t, enough+"jetstream: enabled"))
			c.External.Creds = filepath.Join(t.TempDir(), "missing.creds")
			return c
		}, []string{"missing.creds"}},
		{"the NATS context is unknown", func(t *testing.T) conf.Config {
			t.Setenv("XDG_CONFIG_HOME", t.TempDir())
			c := conf.Default()
			c.HTTP.Listen = ""
			c.External.Context = "nowhere"
			return c
		}, []string{`context "nowhere"`}},
		{"group durability", func(*testing.T) conf.Config {
			c := externalAt("nats://127.0.0.1:1")
			c.Durability = conf.DurabilityGroup
			return c
		}, []string{"embedded server", "interval"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			x, err := openExternal(t.Context(), tc.config(t), slog.New(slog.DiscardHandler))
			if tc.want == nil {
				if err != nil {
					t.Fatal(err)
				}
				if x.URL() == "" || strings.Contains(x.URL(), "a:b") {
					t.Errorf("address %q", x.URL())
				}
				return
			}
			if err == nil {
				t.Fatal("it was accepted")
			}
			for _, w := range tc.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("the error does not say %q:\n%v", w, err)
				}
			}
		})
	}
}

func TestServersThatAreTooOld(t *testing.T) {
	for version, want := range map[string]bool{"2.11.9": true, "1.4.1": true, "2.12.0": false, "2.15.2": false, "3.0.0-dev": false, "2.12.0-RC.1": false, "": false} {
		if tooOld(version) != want {
			t.Errorf("%q: %v", version, !want)
		}
	}
}
