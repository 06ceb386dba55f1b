package test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/internal/httpclient"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/test/conformance"
)

// prison is a broker that checks access tokens, with something to protect, and every door to it.
type prison struct {
	b     *broker.Broker
	root  protocol.Service
	nc    *nats.Conn
	web   conformance.Web
	there conformance.Target // is there
	gone  conformance.Target // is not
	doors map[string]func(token string) protocol.Service
}

func newPrison(t *testing.T) *prison {
	t.Helper()
	p := &prison{b: startBroker(t, conformance.RealClock, withRoot, func(c *conf.Config) {
		c.HTTP.Listen, c.NATS.Listen = "127.0.0.1:0", "127.0.0.1:0"
	})}
	p.root = p.b.Service()
	nc, err := p.b.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	p.nc = nc
	p.web = webOf(t, p.b.HTTPURL(), http1, (&net.Dialer{}).DialContext)
	fast := webOf(t, p.b.HTTPURL(), http2, (&net.Dialer{}).DialContext)
	p.doors = map[string]func(string) protocol.Service{
		"in process": func(token string) protocol.Service {
			svc, err := p.b.Authenticate(token)
			if err != nil {
				return unauthenticated{err: err}
			}
			return svc
		},
		"nats connection": func(token string) protocol.Service {
			nc, err := nats.Connect(p.b.ClientURL(), nats.Token(token), nats.Name(t.Name()))
			if err != nil {
				return unauthenticated{err: authnOf(err)}
			}
			t.Cleanup(nc.Close)
			return client.New(nc, client.Options{Refusals: client.WatchRefusals(nc)})
		},
		"nats header": func(token string) protocol.Service { return client.New(p.nc, client.Options{AccessToken: token}) },
		"http1": func(token string) protocol.Service {
			return httpclient.New(p.web.Base, p.web.Client, httpclient.Token(token))
		},
		"http2": func(token string) protocol.Service {
			return httpclient.New(fast.Base, fast.Client, httpclient.Token(token))
		},
	}
	if p.there, err = conformance.NewTarget(t.Context(), p.root, "secret-basin", "vault/stream", "secret-token"); err != nil {
		t.Fatal(err)
	}
	p.gone = conformance.NoTarget("absent-basin", "vault/nothing", "absent-token")
	return p
}

// authnOf is what a program makes of a NATS server that does not let it in.
func authnOf(err error) error {
	if errors.Is(err, nats.ErrAuthorization) {
		return protocol.Errorf(protocol.CodeAuthn, "NATS does not let this access token in")
	}
	return err
}

// inmate issues a token that may do everything, changed.
func (p *prison) inmate(t *testing.T, id string, change func(*protocol.IssueAccessTokenRequest)) (secret string) {
	t.Helper()
	every := protocol.ResourceSet{Kind: protocol.MatchPrefix}
	req := protocol.IssueAccessTokenRequest{ID: protocol.AccessTokenID(id), Scope: protocol.AccessTokenScope{
		Basins: every, Streams: every, AccessTokens: every, Ops: protocol.AllOperations}}
	change(&req)
	secret, err := p.root.IssueAccessToken(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// untouched checks that what is protected is as it was made, and that nothing was added.
func (p *prison) untouched(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	batch, err := p.root.Read(ctx, p.there.StreamRef, protocol.ReadRequest{Start: protocol.FromSeqNum(0)})
	if err != nil || batch.Records.Len() != 1 {
		t.Fatalf("the stream has %d records: %v", batch.Records.Len(), err)
	}
	streams, err := p.root.ListStreams(ctx, p.there.Basin, protocol.ListRequest{})
	if err != nil || len(streams.Streams) != 1 || !streams.Streams[0].DeletedAt.IsZero() {
		t.Fatalf("the basin has streams %v: %v", streams.Streams, err)
	}
	basins, err := p.root.ListBasins(ctx, protocol.ListRequest{})
	if err != nil || len(basins.Basins) != 1 || !basins.Basins[0].DeletedAt.IsZero() {
		t.Fatalf("the account has basins %v: %v", basins.Basins, err)
	}
	tokens, err := p.root.ListAccessTokens(ctx, protocol.ListRequest{Prefix: "secret-token"})
	if err != nil || len(tokens.Tokens) != 1 {
		t.Fatalf("the tokens are %v: %v", tokens.Tokens, err)
	}
}

// asked is the part of the client's own refusal that repeats what the caller has asked for.
var asked = regexp.MustCompile(`publish on \S+:`)

// is checks the code of a failure, and returns what its receiver learns from it.
func is(t *testing.T, what string, err error, code protocol.Code) string {
	t.Helper()
	if protocol.CodeOf(err) != code {
		t.Fatalf("%s: got %v, want code %s", what, err, code)
	}
	return asked.ReplaceAllString(string(protocol.AsError(err).Body()), "publish:")
}

// TestEscape tries every call with every kind of token that does not allow it, through every door. Every answer is the
// same for what is there and for what is not, and nothing happens.
func TestEscape(t *testing.T) {
	p := newPrison(t)
	none, other := protocol.ResourceSet{}, protocol.ResourceSet{Kind: protocol.MatchExact, Name: "another-one"}
	near := protocol.ResourceSet{Kind: protocol.MatchPrefix, Name: "secret-basin-"}
	type kind struct {
		name    string
		secret  string
		code    protocol.Code
		inScope bool
		hits    func(conformance.Call) bool
	}
	every := func(conformance.Call) bool { return true }
	var kinds []kind
	for i, call := range conformance.Calls {
		for _, op := range call.Needs {
			secret := p.inmate(t, fmt.Sprintf("lacks-%02d-%s", i, op), func(r *protocol.IssueAccessTokenRequest) {
				r.Scope.Ops &^= protocol.Operations(op)
			})
			kinds = append(kinds, kind{"without " + op.String(), secret, protocol.CodePermissionDenied, true,
				func(c conformance.Call) bool { return c.Name == call.Name }})
		}
	}
	for i, set := range []protocol.ResourceSet{none, other, near} {
		set.Name = strings.ReplaceAll(set.Name, "secret-basin-", []string{"", "", "secret-basin-"}[i])
		kinds = append(kinds,
			kind{fmt.Sprintf("basins %+v", set), p.inmate(t, fmt.Sprint("basins-", i), func(r *protocol.IssueAccessTokenRequest) { r.Scope.Basins = set }),
				protocol.CodePermissionDenied, false, func(c conformance.Call) bool { return c.Basin && (i < 2 || c.Name != "create a basin") }},
			kind{fmt.Sprintf("streams %+v", set), p.inmate(t, fmt.Sprint("streams-", i), func(r *protocol.IssueAccessTokenRequest) { r.Scope.Streams = set }),
				protocol.CodePermissionDenied, false, func(c conformance.Call) bool { return c.Stream }},
			kind{fmt.Sprintf("tokens %+v", set), p.inmate(t, fmt.Sprint("tokens-", i), func(r *protocol.IssueAccessTokenRequest) { r.Scope.AccessTokens = set }),
				protocol.CodePermissionDenied, false, func(c conformance.Call) bool { return c.Token }})
	}
	revoked := p.inmate(t, "revoked", func(*protocol.IssueAccessTokenRequest) {})
	for _, open := range p.doors { // so that every door knows it
		if _, err := open(revoked).ListLocations(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.root.RevokeAccessToken(t.Context(), "revoked"); err != nil {
		t.Fatal(err)
	}
	expired := p.inmate(t, "expired", func(r *protocol.IssueAccessTokenRequest) { r.ExpiresAt = time.Now().Add(2 * time.Second) })
	awaitExpiry(t, p, expired)
	for name, secret := range map[string]string{"revoked": revoked, "expired": expired, "garbage": "garbage", "no secret": "weir_",
		"another case": strings.ToUpper(revoked), "the id": "secret-token", "the root's id": "root", "a piece of the root": rootToken[:20]} {
		kinds = append(kinds, kind{name, secret, protocol.CodeAuthn, false, every})
	}
	for door, open := range p.doors {
		t.Run(door, func(t *testing.T) {
			for _, k := range kinds {
				svc := open(k.secret)
				for _, call := range conformance.Calls {
					if !k.hits(call) {
						continue
					}
					what := call.Name + ", " + k.name
					there := is(t, what, call.Do(t.Context(), svc, p.there), k.code)
					if k.inScope && strings.HasSuffix(call.Name, "in a session") {
						continue // may be opened with another operation, so that what is missing may be told
					}
					gone := is(t, what, call.Do(t.Context(), svc, p.gone), k.code)
					if there != gone {
						t.Errorf("%s: %s tells what is there from %s", what, there, gone)
					}
				}
			}
			p.untouched(t)
		})
	}
}

// awaitExpiry returns when a token that expires soon has done so. It asks the door that knows first.
func awaitExpiry(t *testing.T, p *prison, secret string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	svc, err := p.b.Authenticate(secret)
	if err != nil {
		return // already
	}
	wait := time.Minute
	_, err = svc.Read(ctx, p.there.StreamRef, protocol.ReadRequest{Wait: &wait}) // ends with the token
	is(t, "wait for the end of a token", err, protocol.CodeAuthn)
}

// TestEscapeByName: a token with a scope of its own, or with a prefix, does not get at others' streams by names that some
// layer could take for something else.
func TestEscapeByName(t *testing.T) {
	p := newPrison(t)
	exact := p.inmate(t, "exact", func(r *protocol.IssueAccessTokenRequest) {
		r.Scope.Streams = protocol.ResourceSet{Kind: protocol.MatchExact, Name: "mine"}
	})
	below := p.inmate(t, "below", func(r *protocol.IssueAccessTokenRequest) {
		r.Scope.Streams = protocol.ResourceSet{Kind: protocol.MatchPrefix, Name: "mine/"}
	})
	tenant := p.inmate(t, "tenant", func(r *protocol.IssueAccessTokenRequest) {
		r.AutoPrefixStreams, r.Scope.Streams = true, protocol.ResourceSet{Kind: protocol.MatchPrefix, Name: "mine/"}
	})
	names := []protocol.StreamName{"vault/stream", "*", ">", "vault/*", "vault/>", "mine/../vault/stream", "mine/%2E%2E/vault/stream",
		"../vault/stream", "/vault/stream", "vault%2Fstream", "vault.stream", "mine.>", "$SYS", "mine\x01", "mine ", " mine", "Mine", "mine\u00a0", "%6Dine",
		"mine%00", "MINE/", "mine//../../vault/stream", "vault/stream\r\n", "_INBOX/x", "s2/v1/read"}
	for door, open := range p.doors {
		t.Run(door, func(t *testing.T) {
			for _, name := range names {
				ref := protocol.StreamRef{Basin: p.there.Basin, Stream: name}
				for id, secret := range map[string]string{"exact": exact, "below": below} {
					if id == "below" && strings.HasPrefix(string(name), "mine/") {
						continue // in scope, as a name of its own
					}
					_, err := open(secret).Read(t.Context(), ref, protocol.ReadRequest{})
					is(t, fmt.Sprintf("%s reads %q", id, name), err, protocol.CodePermissionDenied)
					_, _, err = open(secret).EnsureStream(t.Context(), ref, protocol.StreamConfig{})
					is(t, fmt.Sprintf("%s ensures %q", id, name), err, protocol.CodePermissionDenied)
				}
				_, err := open(tenant).Read(t.Context(), ref, protocol.ReadRequest{})
				body := is(t, fmt.Sprintf("the tenant reads %q", name), err, protocol.CodeStreamNotFound)
				if strings.Contains(body, "mine/"+strings.TrimPrefix(string(name), "mine/")) && !strings.HasPrefix(string(name), "mine/") {
					t.Errorf("%s tells the prefix", body)
				}
			}
			long := protocol.StreamRef{Basin: p.there.Basin, Stream: protocol.StreamName(strings.Repeat("x", 508))}
			_, err := open(tenant).CheckTail(t.Context(), long)
			is(t, "a name that is too long with the prefix", err, protocol.CodeInvalid)
			p.untouched(t)
		})
	}
}
