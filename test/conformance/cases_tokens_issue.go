package conformance

import (
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

// The halves of operation groups.
var (
	reads     = protocol.ReadWrite{Read: true}
	both      = protocol.ReadWrite{Read: true, Write: true}
	allGroups = protocol.OperationGroups{Account: both, Basin: both, Stream: both}
)

// issues is a case that a token is issued, is listed as it was asked for, and opens something.
func issues(row, name string, opts ...TokenOption) TokenCase {
	return TokenCase{Row: row, Name: name, Run: func(t *testing.T, e *TokenEnv) {
		req := e.token(opts...)
		secret, err := e.Service.IssueAccessToken(e.ctx, req)
		e.must(err, "issue")
		if secret == "" || strings.ContainsFunc(secret, func(r rune) bool { return r < '!' || r > '~' }) {
			t.Fatalf("the secret has %d characters, not all visible ASCII", len(secret))
		}
		got, ok := e.info(req.ID)
		equal(t, "listed", ok, true)
		equal(t, "the token", got, protocol.AccessTokenInfo(req))
		// The token is known, whether or not it allows the call.
		_, err = e.as(secret).ListLocations(e.ctx)
		if may := req.Scope.Operations().Has(protocol.OpListLocations); may {
			e.must(err, "list locations")
		} else {
			e.denied(err)
		}
	}}
}

// issueRefused is a case that a token is not issued, with the message unless it is "".
func issueRefused(row, name string, code protocol.Code, message string, opts ...TokenOption) TokenCase {
	return TokenCase{Row: row, Name: name, Run: func(t *testing.T, e *TokenEnv) {
		req := e.token(opts...)
		_, err := e.Service.IssueAccessToken(e.ctx, req)
		f := e.fails(err, code)
		if message != "" {
			equal(t, "message", f.Message, message)
		}
		_, ok := e.info(req.ID)
		equal(t, "listed", ok, false)
	}}
}

const (
	noPermissions = "Access token permissions cannot be empty"
	noPrefix      = "Auto prefixing is only allowed for streams with prefix matching"
)

// issueCases: control plane A.18 and A.19, the tokens that can be issued.
var issueCases = []TokenCase{
	issueRefused("cp A.18/317", "sets of exact nothing match nothing", protocol.CodeInvalid, noPermissions,
		basins(exactly("")), streams(exactly("")), tokens(exactly(""))),
	issueRefused("cp A.18/318", "an empty scope", protocol.CodeInvalid, noPermissions),
	issues("cp A.19/324", "two operations", ops(protocol.OpListBasins, protocol.OpListStreams)),
	issues("cp A.19/325", "the group account, read", groups(protocol.OperationGroups{Account: reads})),
	issues("cp A.19/326", "the group stream, read and write", groups(protocol.OperationGroups{Stream: both})),
	issues("cp A.19/327", "all groups, read and write", groups(allGroups)),
	issues("cp A.19/328", "basins by name", ops(protocol.OpListBasins), basins(exactly("some-basin"))),
	issues("cp A.19/328", "basins by prefix", ops(protocol.OpListBasins), basins(prefixed("team-a-"))),
	issues("cp A.19/329", "streams by name", ops(protocol.OpRead), streams(exactly("a/ü"))),
	issues("cp A.19/329", "streams by prefix", ops(protocol.OpRead), streams(prefixed("logs/"))),
	issues("cp A.19/330", "auto-prefix with a prefix", ops(protocol.OpRead), autoPrefix("tenant/")),
	issues("cp A.19/330", "auto-prefix with the empty prefix", ops(protocol.OpRead), autoPrefix("")),
	issueRefused("cp A.19/331", "auto-prefix with a name", protocol.CodeInvalid, noPrefix, ops(protocol.OpRead), autoPrefix("x"),
		streams(exactly("x"))),
	issueRefused("cp A.19/332", "auto-prefix without streams", protocol.CodeInvalid, noPrefix, ops(protocol.OpRead), autoPrefix("x"),
		streams(protocol.ResourceSet{})),
	issueRefused("cp A.19/333", "no groups and no operations", protocol.CodeInvalid, noPermissions, basins(prefixed(""))),
	issueRefused("cp A.19/334", "groups of which every half is off", protocol.CodeInvalid, noPermissions,
		groups(protocol.OperationGroups{}), streams(prefixed(""))),
	{Row: "cp A.19/335", Name: "an expiry comes back to the nanosecond", Run: func(t *testing.T, e *TokenEnv) {
		at := time.Now().Add(time.Hour).Truncate(time.Second).Add(123456789).UTC()
		id, _ := e.issue(ops(protocol.OpRead), expiring(at))
		got, _ := e.info(id)
		equal(t, "expires_at", got.ExpiresAt, at)
	}},
	issueRefused("cp 5.6", "an expiry in the past", protocol.CodeInvalid, "", ops(protocol.OpRead), expiring(time.Now().Add(-time.Hour).UTC())),
	issues("cp A.19/336", "basins, streams and operations", basins(prefixed("team-")), streams(prefixed("logs/")),
		ops(protocol.OpRead, protocol.OpAppend, protocol.OpCheckTail)),
	{Row: "cp A.19/337", Name: "an id that is taken", Run: func(t *testing.T, e *TokenEnv) {
		id, secret := e.issue(ops(protocol.OpListLocations))
		_, err := e.Service.IssueAccessToken(e.ctx, e.token(called(id), ops(protocol.OpRead)))
		e.fails(err, protocol.CodeResourceAlreadyExists)
		_, err = e.as(secret).ListLocations(e.ctx)
		e.must(err, "use the first one")
		_, err = e.Service.IssueAccessToken(e.ctx, e.token(called(protocol.RootTokenID), ops(protocol.OpRead)))
		e.fails(err, protocol.CodeResourceAlreadyExists)
	}},
	{Row: "cp 5.6", Name: "two tokens have two secrets", Run: func(t *testing.T, e *TokenEnv) {
		_, one := e.issue(ops(protocol.OpRead))
		_, two := e.issue(ops(protocol.OpRead))
		equal(t, "the same", one == two, false)
	}},
	{Row: "cp 1.1", Name: "ids of every shape", Run: func(t *testing.T, e *TokenEnv) {
		base := string(e.freeTokenID())
		for _, tail := range []string{"/", "//", "a.b", "*", ">", "%", "%2F", " ", "ü", "$SYS", "\t", "\r\n", `"`, strings.Repeat("x", 96-len(base))} {
			id := protocol.AccessTokenID(base + tail)
			e.issue(called(id), ops(protocol.OpRead))
			got, ok := e.info(id)
			equal(t, "listed", ok && got.ID == id, true)
			e.must(e.Service.RevokeAccessToken(e.ctx, id), "revoke")
			_, ok = e.info(id)
			equal(t, "listed", ok, false)
		}
	}},
}

// deriveCases: control plane A.19 and 5.6, that no token is wider than its issuer.
var deriveCases = []TokenCase{
	{Row: "cp A.19/339", Name: "an operation that the issuer lacks", Run: func(t *testing.T, e *TokenEnv) {
		issuer := e.issuer(ops(protocol.OpListBasins))
		issuer.may(ops(protocol.OpListBasins))
		issuer.may(ops(protocol.OpIssueAccessToken))
		issuer.mayNot(ops(protocol.OpCreateBasin))
		issuer.mayNot(ops(protocol.OpListBasins, protocol.OpCreateBasin))
		issuer.mayNot(groups(protocol.OperationGroups{Account: reads}))
		e.issuer(groups(protocol.OperationGroups{Stream: both})).may(ops(protocol.OpTrim), groups(protocol.OperationGroups{Stream: reads}))
	}},
	{Row: "cp A.19/340", Name: "resources that the issuer lacks", Run: func(t *testing.T, e *TokenEnv) {
		for _, scope := range []func(protocol.ResourceSet) TokenOption{basins, streams} {
			one := e.issuer(scope(exactly("the-name-a")))
			one.may(ops(protocol.OpRead))
			one.may(scope(exactly("the-name-a")), ops(protocol.OpRead))
			one.may(scope(exactly("")), ops(protocol.OpRead))
			one.mayNot(scope(exactly("the-name-b")), ops(protocol.OpRead))
			one.mayNot(scope(prefixed("the-name-a")), ops(protocol.OpRead))
			one.mayNot(scope(prefixed("")), ops(protocol.OpRead))
			many := e.issuer(scope(prefixed("the-")))
			many.may(scope(exactly("the-name-a")), ops(protocol.OpRead))
			many.may(scope(prefixed("the-")), ops(protocol.OpRead))
			many.may(scope(prefixed("the-name-")), ops(protocol.OpRead))
			many.mayNot(scope(prefixed("th")), ops(protocol.OpRead))
			many.mayNot(scope(prefixed("")), ops(protocol.OpRead))
			many.mayNot(scope(exactly("other-name")), ops(protocol.OpRead))
		}
		issuer := e.issuer()
		issuer.may(tokens(prefixed(issuer.id)), ops(protocol.OpRead))
		issuer.may(tokens(exactly(issuer.id+"x")), ops(protocol.OpRead))
		issuer.mayNot(tokens(prefixed("")), ops(protocol.OpRead))
		issuer.mayNot(tokens(exactly("root")), ops(protocol.OpRead))
		issuer.mayNot(streams(exactly("x")), ops(protocol.OpRead))
		issuer.mayNot(basins(exactly("the-name-a")), ops(protocol.OpRead))
	}},
	{Row: "cp A.19/341", Name: "an issuer that may not issue", Run: func(t *testing.T, e *TokenEnv) {
		svc := e.holder(allPowers, func(r *protocol.IssueAccessTokenRequest) {
			r.Scope.Ops &^= protocol.Operations(protocol.OpIssueAccessToken)
		})
		_, err := svc.IssueAccessToken(e.ctx, e.token(ops(protocol.OpRead)))
		e.denied(err)
	}},
	{Row: "cp 5.6", Name: "an id that is out of the issuer's scope", Run: func(t *testing.T, e *TokenEnv) {
		id, _ := e.issue(ops(protocol.OpRead))
		svc := e.holder(allPowers, tokens(prefixed(id+"-")))
		_, err := svc.IssueAccessToken(e.ctx, e.token(called(id+"-1"), ops(protocol.OpRead)))
		e.must(err, "issue in scope")
		taken, err := svc.IssueAccessToken(e.ctx, e.token(called(id), ops(protocol.OpRead)))
		free, err2 := svc.IssueAccessToken(e.ctx, e.token(ops(protocol.OpRead)))
		equal(t, "taken and free are told apart", e.denied(err).Message == e.denied(err2).Message && taken == free, true)
	}},
	{Row: "cp 5.6", Name: "an expiry is no later than the issuer's", Run: func(t *testing.T, e *TokenEnv) {
		at := time.Now().Add(time.Hour).UTC()
		issuer := e.issuer(expiring(at))
		equal(t, "inherited", issuer.may(ops(protocol.OpRead)).ExpiresAt, at.Round(0))
		issuer.may(ops(protocol.OpRead), expiring(at.Add(-time.Minute)))
		issuer.may(ops(protocol.OpRead), expiring(at))
		issuer.mayNot(ops(protocol.OpRead), expiring(at.Add(1)))
	}},
	{Row: "cp 5.6", Name: "an auto-prefixing issuer hands on what is under its prefix", Run: func(t *testing.T, e *TokenEnv) {
		issuer := e.issuer(autoPrefix("tenant/"))
		equal(t, "everything", issuer.may(ops(protocol.OpRead), streams(prefixed(""))).Scope.Streams, prefixed("tenant/"))
		equal(t, "a prefix", issuer.may(ops(protocol.OpRead), streams(prefixed("a/"))).Scope.Streams, prefixed("tenant/a/"))
		equal(t, "a name", issuer.may(ops(protocol.OpRead), streams(exactly("x"))).Scope.Streams, exactly("tenant/x"))
		equal(t, "nothing", issuer.may(ops(protocol.OpRead), streams(exactly(""))).Scope.Streams, protocol.ResourceSet{})
		inner := issuer.may(ops(protocol.OpRead), autoPrefix("a/"))
		equal(t, "auto-prefix", inner.AutoPrefixStreams && inner.Scope.Streams == prefixed("tenant/a/"), true)
	}},
	{Row: "cp 5.6", Name: "what is left out is not inherited", Run: func(t *testing.T, e *TokenEnv) {
		got := e.issuer(allPowers, autoPrefix("tenant/")).may(ops(protocol.OpRead))
		equal(t, "scope", got.Scope, protocol.AccessTokenScope{Ops: protocol.Operations(protocol.OpRead)})
		equal(t, "auto_prefix_streams", got.AutoPrefixStreams, false)
	}},
}

// issuer is a token that issues others.
type issuer struct {
	e   *TokenEnv
	svc protocol.Service
	id  protocol.AccessTokenID // prefix of the ids that it may issue
}

// issuer issues a token that may issue, and read, with a scope of ids of its own.
func (e *TokenEnv) issuer(opts ...TokenOption) *issuer {
	e.t.Helper()
	i := &issuer{e: e, id: e.freeTokenID()}
	i.svc = e.holder(append(opts, ops(protocol.OpIssueAccessToken, protocol.OpRead), tokens(prefixed(i.id)))...)
	return i
}

func (i *issuer) request(opts []TokenOption) protocol.IssueAccessTokenRequest {
	req := i.e.token(opts...)
	req.ID = i.id + req.ID[len("conf-"):]
	return req
}

// may checks that the issuer can issue a token, and returns the token as it is listed.
func (i *issuer) may(opts ...TokenOption) protocol.AccessTokenInfo {
	i.e.t.Helper()
	req := i.request(opts)
	_, err := i.svc.IssueAccessToken(i.e.ctx, req)
	i.e.must(err, "issue")
	info, ok := i.e.info(req.ID)
	equal(i.e.t, "listed", ok, true)
	return info
}

// mayNot checks that it cannot.
func (i *issuer) mayNot(opts ...TokenOption) {
	i.e.t.Helper()
	req := i.request(opts)
	_, err := i.svc.IssueAccessToken(i.e.ctx, req)
	i.e.denied(err)
	_, ok := i.e.info(req.ID)
	equal(i.e.t, "listed", ok, false)
}
