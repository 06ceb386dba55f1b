package conformance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/protocol"
)

// Checked is a broker that checks access tokens.
type Checked struct {
	// Root may do everything.
	Root protocol.Service
	// As reaches the broker as a client that presents the token does.
	As func(token string) protocol.Service
	// Before begins the message of a layer that refuses requests before they reach the broker, and cannot say why; "" if there
	// is none.
	Before string
}

// TokenDoor is one way to reach a broker that checks access tokens.
type TokenDoor struct {
	Name string
	// Open starts a broker that holds nothing yet. See [Door].Open for bubbles and for how often it is called.
	Open func(t testing.TB, clock Clock) Checked
}

// TokenCase is a rule of access tokens.
type TokenCase struct {
	Row   string // as in [Case]
	Name  string
	Timed bool
	Run   func(t *testing.T, e *TokenEnv)
}

// Title is the name of the case's subtest.
func (c TokenCase) Title() string { return c.Row + " " + c.Name }

// TokenCases returns all cases of access tokens.
func TokenCases() []TokenCase {
	var all []TokenCase
	for _, cases := range [][]TokenCase{issueCases, deriveCases, listTokenCases, revokeCases, enforceCases, scopeCases, autoPrefixCases} {
		all = append(all, cases...)
	}
	return all
}

// RunTokens puts every case of access tokens to the door, each as a subtest.
func RunTokens(t *testing.T, door TokenDoor) {
	checked := door.Open(t, RealClock)
	for _, c := range TokenCases() {
		t.Run(c.Title(), func(t *testing.T) {
			t.Parallel()
			if !c.Timed {
				ctx, cancel := context.WithTimeout(t.Context(), caseTimeout)
				defer cancel()
				c.Run(t, newTokenEnv(ctx, t, checked, door))
				return
			}
			synctest.Test(t, func(t *testing.T) {
				checked := door.Open(t, BubbleClock)
				ctx, cancel := context.WithTimeout(t.Context(), timedCaseTimeout)
				defer cancel()
				c.Run(t, newTokenEnv(ctx, t, checked, door))
			})
		})
	}
}

// TokenEnv is the environment of a case of access tokens. Its service is the root's.
type TokenEnv struct {
	*Env
	as     func(token string) protocol.Service
	before string
}

// tells reports whether a refusal says why, or comes from before the broker.
func (e *TokenEnv) tells(f *protocol.Error, why string) bool {
	return strings.Contains(f.Message, why) || e.before != "" && strings.HasPrefix(f.Message, e.before)
}

func newTokenEnv(ctx context.Context, t *testing.T, checked Checked, door TokenDoor) *TokenEnv {
	return &TokenEnv{newEnv(ctx, t, checked.Root, Door{Name: door.Name}), checked.As, checked.Before}
}

// freeTokenID returns an id that nobody else uses.
func (e *TokenEnv) freeTokenID() protocol.AccessTokenID {
	return protocol.AccessTokenID(fmt.Sprintf("conf-%s-%06d", runID, serial.Add(1)))
}

// TokenOption sets a member of a token to be issued.
type TokenOption func(*protocol.IssueAccessTokenRequest)

func ops(ops ...protocol.Operation) TokenOption {
	return func(r *protocol.IssueAccessTokenRequest) { r.Scope.Ops |= protocol.Operations(ops...) }
}

func opSet(set protocol.OperationSet) TokenOption {
	return func(r *protocol.IssueAccessTokenRequest) { r.Scope.Ops |= set }
}

func groups(g protocol.OperationGroups) TokenOption {
	return func(r *protocol.IssueAccessTokenRequest) { r.Scope.Groups = g }
}

func basins(set protocol.ResourceSet) TokenOption {
	return func(r *protocol.IssueAccessTokenRequest) { r.Scope.Basins = set }
}

func streams(set protocol.ResourceSet) TokenOption {
	return func(r *protocol.IssueAccessTokenRequest) { r.Scope.Streams = set }
}

func tokens(set protocol.ResourceSet) TokenOption {
	return func(r *protocol.IssueAccessTokenRequest) { r.Scope.AccessTokens = set }
}

func autoPrefix(prefix string) TokenOption {
	return func(r *protocol.IssueAccessTokenRequest) {
		r.AutoPrefixStreams, r.Scope.Streams = true, prefixed(prefix)
	}
}

func expiring(at time.Time) TokenOption {
	return func(r *protocol.IssueAccessTokenRequest) { r.ExpiresAt = at }
}

func called(id protocol.AccessTokenID) TokenOption {
	return func(r *protocol.IssueAccessTokenRequest) { r.ID = id }
}

// allPowers lets a token do allPowers, everywhere.
func allPowers(r *protocol.IssueAccessTokenRequest) {
	r.Scope = protocol.AccessTokenScope{Basins: prefixed(""), Streams: prefixed(""), AccessTokens: prefixed(""), Ops: protocol.AllOperations}
}

func exactly[T ~string](name T) protocol.ResourceSet {
	return protocol.ResourceSet{Kind: protocol.MatchExact, Name: string(name)}
}

func prefixed[T ~string](prefix T) protocol.ResourceSet {
	return protocol.ResourceSet{Kind: protocol.MatchPrefix, Name: string(prefix)}
}

// token makes a request for a token with an id of its own.
func (e *TokenEnv) token(opts ...TokenOption) (req protocol.IssueAccessTokenRequest) {
	req.ID = e.freeTokenID()
	for _, opt := range opts {
		opt(&req)
	}
	return req
}

// issue issues a token as the root.
func (e *TokenEnv) issue(opts ...TokenOption) (id protocol.AccessTokenID, secret string) {
	e.t.Helper()
	req := e.token(opts...)
	secret, err := e.Service.IssueAccessToken(e.ctx, req)
	e.must(err, "issue a token")
	return req.ID, secret
}

// holder is the service of a client that holds a token, which holder issues.
func (e *TokenEnv) holder(opts ...TokenOption) protocol.Service {
	e.t.Helper()
	_, secret := e.issue(opts...)
	return e.as(secret)
}

// info finds a token in the list.
func (e *TokenEnv) info(id protocol.AccessTokenID) (protocol.AccessTokenInfo, bool) {
	e.t.Helper()
	page, err := e.Service.ListAccessTokens(e.ctx, protocol.ListRequest{Prefix: string(id), Limit: 1})
	e.must(err, "list tokens")
	if len(page.Tokens) == 0 || page.Tokens[0].ID != id {
		return protocol.AccessTokenInfo{}, false
	}
	return page.Tokens[0], true
}

// denied checks that err says that the token does not allow it.
func (e *TokenEnv) denied(err error) *protocol.Error {
	e.t.Helper()
	return e.fails(err, protocol.CodePermissionDenied)
}

// deniedFor is the message of a refusal for lack of rights, without the names that the caller has asked for.
func (e *TokenEnv) deniedFor(err error, on Target) string {
	e.t.Helper()
	text := strings.ReplaceAll(e.denied(err).Message, string(on.Token), "TOKEN")
	if on.Basin != "" {
		text = strings.ReplaceAll(text, string(on.Basin), "BASIN")
	}
	return text
}

// refused reports whether err is a refusal for lack of rights.
func refused(err error) bool {
	var f *protocol.Error
	return errors.As(err, &f) && (f.Code == protocol.CodePermissionDenied || f.Code == protocol.CodeAuthn)
}
