package natsd

import (
	"crypto/rand"
	"crypto/subtle"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// credentials decides who enters the embedded server, if its configuration has no users of its own:
//
//   - the broker itself, in process, into any account
//   - without a root token everybody, into the account of clients
//   - with a root token whoever has an access token, into an account of that token alone
//
// It takes the place of the server's own users in all three cases, because the server closes connections of users that
// it does not know itself when it is reloaded; that is also why the broker says who it is by a token, without a name.
type credentials struct {
	open    bool
	door    *server.Permissions // of the broker's doors
	ticket  string              // with which the broker enters; as long as the process, and never written anywhere
	refused *refusals

	srv    *server.Server // set before it starts
	ending sync.Once
	ended  chan struct{} // closed before the server stops
	ready  chan struct{} // closed when tokens is set
	tokens *tokenDoors
}

var _ server.Authentication = (*credentials)(nil)

func newCredentials(open bool, prefix string, log *slog.Logger) *credentials {
	return &credentials{open: open, door: doorPermissions(prefix), ticket: rand.Text(), refused: &refusals{log: log, why: "their access token is missing, unknown, revoked or expired"},
		ended: make(chan struct{}), ready: make(chan struct{})}
}

// login is the client option with which the broker enters an account, or the account of a door by [doorOf].
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
// that it sends, of which there may be several, and for all connections on a reload.
func (cr *credentials) Check(c server.ClientAuthentication) bool {
	opts := c.GetOpts()
	secret := opts.Password
	if secret == "" {
		secret = opts.Token
	}
	if account, ok := cr.own(c, secret); ok {
		var p *server.Permissions
		account, isDoor := strings.CutPrefix(account, doorOf(""))
		if isDoor {
			p = cr.door
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

func (cr *credentials) admit(c server.ClientAuthentication, secret string) bool {
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
	// Of the two ways to register only this one tells of a failure.
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
