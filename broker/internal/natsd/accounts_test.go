package natsd

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
)

// answer serves a subject in every service account, as the doors do, and says which account answered.
func answer(t *testing.T, e *Embedded, subject string) {
	t.Helper()
	for _, account := range e.Services() {
		nc, err := e.Connect(account, "test-door")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		if _, err := nc.Subscribe(subject, func(m *nats.Msg) { _ = m.Respond([]byte(account)) }); err != nil {
			t.Fatal(err)
		}
		if err := nc.FlushTimeout(time.Minute); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAccounts: however clients are told apart, each of them reaches the service and none the storage.
func TestAccounts(t *testing.T) {
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := user.PublicKey()
	if err != nil {
		t.Fatal(err)
	}

	for _, tc := range []struct {
		name    string
		nats    string
		login   []nats.Option
		account string // whose door answers
		wrong   []nats.Option
	}{
		{name: "nobody is asked", account: clientsAccount},
		{"one user", "authorization { user: a, password: b }",
			[]nats.Option{nats.UserInfo("a", "b")}, globalAccount, []nats.Option{nats.UserInfo("a", "c")}},
		{"a token", "authorization { token: s }",
			[]nats.Option{nats.Token("s")}, globalAccount, []nats.Option{nats.Token("t")}},
		{"users", "authorization { users: [{user: a, password: b}] }",
			[]nats.Option{nats.UserInfo("a", "b")}, globalAccount, []nats.Option{}},
		{"nkeys", "authorization { users: [{nkey: " + public + "}] }",
			[]nats.Option{nats.Nkey(public, user.Sign)}, globalAccount, []nats.Option{}},
		{"accounts", "accounts { TEAM { users: [{user: a, password: b}] }, OTHER { jetstream: enabled } }",
			[]nats.Option{nats.UserInfo("a", "b")}, "TEAM", []nats.Option{}},
		{"accounts and a user for everybody", "accounts { TEAM { users: [{user: a, password: b}] } }\nno_auth_user: a",
			nil, "TEAM", []nats.Option{nats.UserInfo("x", "y")}},
		{"accounts without users", "accounts { TEAM { jetstream: enabled } }",
			nil, globalAccount, nil},
		{"accounts with the system account", "accounts { $SYS { users: [{user: s, password: s}] }, TEAM { users: [{user: a, password: b}] } }",
			[]nats.Option{nats.UserInfo("a", "b")}, "TEAM", []nats.Option{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := listening(t.TempDir())
			c.LameDuck = 0
			if tc.nats != "" {
				c = withNATS(t, c, "listen: \"127.0.0.1:-1\"\n"+tc.nats)
				c.NATS.Listen = "127.0.0.1:4222" // weir's default, which the file's listener replaces
			}
			e := open(t, c)
			t.Cleanup(func() { stop(t, e) })
			if slices.Contains(e.plan.services, PrivateAccount) || slices.Contains(e.plan.services, "$SYS") {
				t.Errorf("doors in %v", e.plan.services)
			}
			storeOne(t, e, "S2_A")
			answer(t, e, "s2.who")

			nc, err := nats.Connect(e.URL(), tc.login...)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			m, err := nc.Request("s2.who", nil, time.Minute)
			if err != nil || string(m.Data) != tc.account {
				t.Errorf("answer %v, %v; want from %s", m, err, tc.account)
			}
			checkOutOfReach(t, e, nc)
			if tc.wrong != nil {
				if nc, err := nats.Connect(e.URL(), tc.wrong...); err == nil {
					nc.Close()
					t.Error("a connection with wrong credentials was let in")
				}
			}
		})
	}
}

// checkOutOfReach: neither the streams nor their subjects can be seen from nc's account.
func checkOutOfReach(t *testing.T, e *Embedded, nc *nats.Conn) {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := js.Stream(ctx, "S2_A"); err == nil {
		t.Error("a user can see the storage")
	}
	sub, err := nc.SubscribeSync("log.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	storeOne(t, e, "S2_A")
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if n, _, err := sub.Pending(); err != nil || n != 0 {
		t.Errorf("a user hears %d messages of the storage, %v", n, err)
	}
}

// TestBrokerKeysStayInProcess: the keys of the broker's own users open nothing over the network.
func TestBrokerKeysStayInProcess(t *testing.T) {
	c := withNATS(t, quiet(t.TempDir()), "authorization { token: s }")
	c.NATS.Listen = "127.0.0.1:0"
	c.LameDuck = 0
	e := open(t, c)
	defer stop(t, e)
	login, err := e.keys.login(PrivateAccount)
	if err != nil {
		t.Fatal(err)
	}
	if nc, err := nats.Connect(e.URL(), login); err == nil {
		nc.Close()
		t.Error("the key of the private account works over TCP")
	} else if !errors.Is(err, nats.ErrAuthorization) {
		t.Error(err)
	}
}

func TestReload(t *testing.T) {
	c := withNATS(t, quiet(t.TempDir()), `accounts { TEAM { users: [{user: a, password: b}] } }`)
	c.NATS.Listen = "127.0.0.1:0"
	c.LameDuck = 0
	e := open(t, c)
	defer stop(t, e)
	storeOne(t, e, "S2_A")

	steps := []struct {
		name, nats string
		ok         bool
		services   []string
	}{
		{"an account and a user are new", `accounts { TEAM { users: [{user: a, password: b}] }, NEW { users: [{user: n, password: n}] } }`, true, []string{"$G", "NEW", "TEAM"}},
		{"a broken file changes nothing", `accounts {`, false, []string{"$G", "NEW", "TEAM"}},
		{"switching accounts off needs a restart", ``, false, []string{"$G", "NEW", "TEAM"}},
		{"logging", "debug: true\naccounts { TEAM { users: [{user: a, password: b}] }, NEW { users: [{user: n, password: n}] } }", true, []string{"$G", "NEW", "TEAM"}},
		{"an account is gone", `accounts { TEAM { users: [{user: a, password: b}] } }`, true, []string{"$G", "TEAM"}},
	}
	for _, s := range steps {
		write(t, c.NATS.ConfigFile, s.nats)
		if err := e.Reload(); (err == nil) != s.ok {
			t.Fatalf("%s: %v", s.name, err)
		}
		if got := e.Services(); !slices.Equal(got, s.services) {
			t.Errorf("%s: doors in %v, want %v", s.name, got, s.services)
		}
		storeOne(t, e, "S2_A")
		for _, account := range e.Services() {
			nc, err := e.Connect(account, "test")
			if err != nil {
				t.Errorf("%s: %v", s.name, err)
				continue
			}
			nc.Close()
		}
	}
}
