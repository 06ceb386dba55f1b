package natsd

import (
	"crypto/rand"
	"crypto/subtle"
	"log/slog"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// credentials decides which clients enter the embedded server, if its configuration has no users of its own:
//
//   - the broker itself, in process, into any account
//   - without a root token everybody, into the account of clients
//   - with a root token, holders of access tokens, into an account of that token alone
//
// It takes the place of the server's own users in all three cases, because the server closes connections of users that
// it does not know itself when it is reloaded; that is also why the broker authenticates itself by a token, without a name.
type credentials struct {
	open    bool
	door    *server.Permissions // of the broker's doors
	tap     *server.Permissions // of its live taps
	ticket  string              // with which the broker enters; as long as the process, and never written anywhere
	refused *refusals

	srv    *server.Server // set before it starts
	ending sync.Once
	ended  chan struct{} // closed before the server stops
	ready  chan struct{} // closed when tokens is set
	tokens *tokenDoors

	inReload atomic.Bool // set while reload runs
}

var _ server.Authentication = (*credentials)(nil)

func newCredentials(open bool, prefix string, log *slog.Logger) *credentials {
	return &credentials{open: open, door: doorPermissions(prefix), tap: tapPermissions(prefix), ticket: rand.Text(), refused: &refusals{log: log, why: "their access token is missing, unknown, revoked or expired"},
		ended: make(chan struct{}), ready: make(chan struct{})}
}

// login is the client option with which the broker enters an account, or the account of a door by [doorOf] or of a tap by [tapOf].
func (cr *credentials) login(account string) nats.Option {
	return nats.Token(cr.ticket + "." + account)
}

// letIn begins to let tokens in. Until then their connections wait.
func (cr *credentials) letIn(tokens *tokenDoors) {
	cr.tokens = tokens
	close(cr.ready)
}

// end frees the connections that wait: the server waits for them when it stops.
func (cr *credentials) end() { cr.ending.Do(func() { close(cr.ended) }) }

// Check implements [server.Authentication]. The server calls it on the goroutine of the connection, for every CONNECT
// that it sends, of which there may be several, and for all connections on a reload, those included that have sent no
// CONNECT yet.
func (cr *credentials) Check(c server.ClientAuthentication) bool {
	secret := secretOf(c)
	if account, ok := cr.own(c, secret); ok {
		var p *server.Permissions
		account, isDoor := strings.CutPrefix(account, doorOf(""))
		account, isTap := strings.CutPrefix(account, tapOf(""))
		switch {
		case isDoor:
			p = cr.door
		case isTap:
			p = cr.tap
		}
		acc, err := cr.srv.LookupAccount(account)
		return err == nil && enter(c, acc, p, time.Time{})
	}
	if cr.open {
		acc, err := cr.srv.LookupAccount(clientsAccount)
		return err == nil && enter(c, acc, nil, time.Time{})
	}
	if c.Kind() == server.CLIENT && cr.admit(c, secret) {
		return true
	}
	cr.refused.add(c.RemoteAddress())
	return false
}

// secretOf is the password or the token of the last CONNECT of a connection.
//
// A reload asks about all connections on its own goroutine. The server writes the options of a connection under the
// connection's lock when a CONNECT arrives, but hands them out without it, so that a CONNECT beside a reload would be a data
// race. The lock has no accessor. A server that has moved it is read as the server itself does.
func secretOf(c server.ClientAuthentication) string {
	var w walker
	if mu := walkTo[sync.RWMutex](&w, reflect.ValueOf(c), "mu"); mu != nil {
		mu.RLock()
		defer mu.RUnlock()
	}
	opts := c.GetOpts()
	if opts.Password != "" {
		return opts.Password
	}
	return opts.Token
}

func (cr *credentials) admit(c server.ClientAuthentication, secret string) bool {
	if cr.askedByReload() {
		return !cr.isReady() || cr.tokens.keep(c, secret)
	}
	if secret == "" {
		return false
	}
	select {
	case <-cr.ready:
		return cr.tokens.admit(c, secret)
	case <-cr.ended:
		return false
	}
}

func (cr *credentials) isReady() bool {
	select {
	case <-cr.ready:
		return true
	default:
		return false
	}
}

// reload gives the server new options. The server asks [credentials.Check] about all its connections meanwhile, on this
// goroutine. It asks on the goroutines of connections at the same time.
//
//go:noinline
func (cr *credentials) reload(opts *server.Options) error {
	cr.inReload.Store(true)
	defer cr.inReload.Store(false)
	return cr.srv.ReloadOptions(opts)
}

// reloadFunc is the name of [credentials.reload] in a call stack.
var reloadFunc = runtime.FuncForPC(reflect.ValueOf((*credentials).reload).Pointer()).Name()

// askedByReload reports whether the server asks because of a reload. That must not wait, and must not decide about a
// connection whose own goroutine is about to ask: it would count as let in there, without an account. The server says
// nothing about why it asks, so the call stack has to.
func (cr *credentials) askedByReload() bool {
	if !cr.inReload.Load() {
		return false
	}
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		frame, more := frames.Next()
		if frame.Function == reloadFunc {
			return true
		}
		if !more {
			return false
		}
	}
}

// own reports whether the connection is the broker's, and which account it wants.
func (cr *credentials) own(c server.ClientAuthentication, secret string) (account string, ok bool) {
	ticket, account, _ := strings.Cut(secret, ".")
	if subtle.ConstantTimeCompare([]byte(ticket), []byte(cr.ticket)) != 1 {
		return "", false
	}
	addr := c.RemoteAddress()
	return account, addr != nil && addr.Network() == "pipe" // a connection within the process
}

// enter puts a connection into an account. If that fails the caller must refuse the connection: it would go on in the
// global account.
func enter(c server.ClientAuthentication, account *server.Account, p *server.Permissions, until time.Time) bool {
	// Of the two ways to register only this one reports a failure.
	r, ok := c.(interface {
		RegisterNkeyUser(*server.NkeyUser) error
	})
	if !ok || account == nil || r.RegisterNkeyUser(&server.NkeyUser{Account: account, Permissions: p}) != nil {
		return false
	}
	if !until.IsZero() {
		// And only this one takes a deadline. It leaves the account as it is.
		c.RegisterUser(&server.User{Permissions: p, ConnectionDeadline: until})
	}
	return true
}
