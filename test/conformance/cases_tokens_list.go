package conformance

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir/protocol"
)

// family issues n tokens with a prefix of their own, out of order, and returns the prefix and their ids in order.
func (e *TokenEnv) family(n int) (prefix string, ids []string) {
	e.t.Helper()
	prefix = string(e.freeTokenID()) + "-"
	for i := range n {
		id := fmt.Sprintf("%s%02d", prefix, (i*7+3)%n)
		e.issue(called(protocol.AccessTokenID(id)), ops(protocol.OpRead))
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return prefix, ids
}

// listed returns the ids of a page.
func (e *TokenEnv) listed(svc protocol.Service, req protocol.ListRequest) (ids []string, more bool) {
	e.t.Helper()
	page, err := svc.ListAccessTokens(e.ctx, req)
	e.must(err, "list tokens")
	for _, info := range page.Tokens {
		ids = append(ids, string(info.ID))
	}
	return ids, page.HasMore
}

func (e *TokenEnv) lists(svc protocol.Service, req protocol.ListRequest, more bool, want ...string) {
	e.t.Helper()
	got, gotMore := e.listed(svc, req)
	equal(e.t, "ids", strings.Join(got, " "), strings.Join(want, " "))
	equal(e.t, "has_more", gotMore, more)
}

// listTokenCases: control plane A.19, listings.
var listTokenCases = []TokenCase{
	{Row: "cp A.19/342", Name: "all of a few", Timed: true, Run: func(t *testing.T, e *TokenEnv) {
		_, ids := e.family(5)
		e.lists(e.Service, protocol.ListRequest{}, false, append(ids, "root")...)
	}},
	{Row: "cp A.19/343", Name: "by prefix", Run: func(t *testing.T, e *TokenEnv) {
		prefix, ids := e.family(12)
		e.lists(e.Service, protocol.ListRequest{Prefix: prefix + "1"}, false, ids[10], ids[11])
	}},
	{Row: "cp A.19/344", Name: "a prefix without matches", Run: func(t *testing.T, e *TokenEnv) {
		e.lists(e.Service, protocol.ListRequest{Prefix: string(e.freeTokenID())}, false)
		e.lists(e.Service, protocol.ListRequest{Prefix: "root0"}, false)
	}},
	{Row: "cp A.19/345", Name: "start_after", Run: func(t *testing.T, e *TokenEnv) {
		prefix, ids := e.family(5)
		e.lists(e.Service, protocol.ListRequest{Prefix: prefix, StartAfter: ids[2]}, false, ids[3:]...)
		e.lists(e.Service, protocol.ListRequest{Prefix: prefix, StartAfter: ids[4]}, false)
		e.lists(e.Service, protocol.ListRequest{Prefix: prefix, StartAfter: "a"}, false, ids...)
	}},
	{Row: "cp A.19/346", Name: "one token is there before any is issued", Timed: true, Run: func(t *testing.T, e *TokenEnv) {
		e.lists(e.Service, protocol.ListRequest{Limit: 1}, false, "root")
		got, _ := e.info(protocol.RootTokenID)
		equal(t, "groups", got.Scope.Groups, allGroups)
		equal(t, "sets", got.Scope.Basins == prefixed("") && got.Scope.Streams == prefixed("") && got.Scope.AccessTokens == prefixed(""), true)
		for _, id := range []protocol.AccessTokenID{"ro", "rooster", "root0", "zz", "a"} {
			e.issue(called(id), ops(protocol.OpRead))
		}
		want := []string{"a", "ro", "rooster", "root", "root0", "zz"}
		e.lists(e.Service, protocol.ListRequest{}, false, want...)
		for limit := 1; limit <= len(want); limit++ {
			req := protocol.ListRequest{Limit: limit}
			for i := 0; i < len(want); i += limit {
				end := min(i+limit, len(want))
				e.lists(e.Service, req, end < len(want), want[i:end]...)
				req.StartAfter = want[end-1]
			}
		}
		e.lists(e.Service, protocol.ListRequest{Prefix: "root"}, false, "root", "root0")
		e.lists(e.Service, protocol.ListRequest{StartAfter: "root"}, false, "root0", "zz")
	}},
	{Row: "cp A.19/347,348", Name: "five in pages of two", Run: func(t *testing.T, e *TokenEnv) {
		prefix, ids := e.family(5)
		req := protocol.ListRequest{Prefix: prefix, Limit: 2}
		e.lists(e.Service, req, true, ids[0], ids[1])
		req.StartAfter = ids[1]
		e.lists(e.Service, req, true, ids[2], ids[3])
		req.StartAfter = ids[3]
		e.lists(e.Service, req, false, ids[4])
	}},
	{Row: "cp A.19/349", Name: "what an item tells", Run: func(t *testing.T, e *TokenEnv) {
		id, secret := e.issue(groups(protocol.OperationGroups{Basin: reads}), ops(protocol.OpFence, protocol.OpListBasins),
			basins(exactly("")), streams(prefixed("a")), tokens(exactly("x")))
		got, _ := e.info(id)
		equal(t, "scope", got.Scope, protocol.AccessTokenScope{Streams: prefixed("a"), AccessTokens: exactly("x"),
			Groups: protocol.OperationGroups{Basin: reads}, Ops: protocol.Operations(protocol.OpFence, protocol.OpListBasins)})
		equal(t, "expires", got.ExpiresAt.IsZero(), true)
		equal(t, "the secret shows", strings.Contains(fmt.Sprint(got), secret), false)
	}},
	{Row: "cp 5.5", Name: "tokens out of scope are left out", Run: func(t *testing.T, e *TokenEnv) {
		prefix, ids := e.family(12)
		list := ops(protocol.OpListAccessTokens)
		e.lists(e.holder(list), protocol.ListRequest{}, false)
		e.lists(e.holder(list, tokens(exactly(ids[3]))), protocol.ListRequest{}, false, ids[3])
		e.lists(e.holder(list, tokens(exactly(ids[3]))), protocol.ListRequest{StartAfter: ids[3]}, false)
		e.lists(e.holder(list, tokens(exactly(ids[3]))), protocol.ListRequest{Prefix: ids[4]}, false)
		one := e.holder(list, tokens(prefixed(prefix+"1")))
		e.lists(one, protocol.ListRequest{}, false, ids[10], ids[11])
		e.lists(one, protocol.ListRequest{Prefix: prefix, Limit: 1}, true, ids[10])
		e.lists(one, protocol.ListRequest{Prefix: prefix + "0"}, false)
		e.lists(e.holder(list, tokens(exactly("root"))), protocol.ListRequest{}, false, "root")
	}},
	{Row: "cp A.19/356", Name: "without list-access-tokens", Run: func(t *testing.T, e *TokenEnv) {
		_, err := e.without(protocol.OpListAccessTokens).ListAccessTokens(e.ctx, protocol.ListRequest{})
		e.denied(err)
	}},
}

// without is the holder of a token that may do everything else.
func (e *TokenEnv) without(op protocol.Operation) protocol.Service {
	e.t.Helper()
	return e.holder(allPowers, func(r *protocol.IssueAccessTokenRequest) { r.Scope.Ops &^= protocol.Operations(op) })
}

// revokeCases: control plane A.19, revoking.
var revokeCases = []TokenCase{
	{Row: "cp A.19/350", Name: "a revoked token is gone at once", Run: func(t *testing.T, e *TokenEnv) {
		id, secret := e.issue(ops(protocol.OpListLocations))
		svc := e.as(secret)
		_, err := svc.ListLocations(e.ctx)
		e.must(err, "use the token")
		e.must(e.Service.RevokeAccessToken(e.ctx, id), "revoke")
		_, err = svc.ListLocations(e.ctx)
		e.fails(err, protocol.CodeAuthn)
		_, err = e.as(secret).ListLocations(e.ctx)
		e.fails(err, protocol.CodeAuthn)
		_, ok := e.info(id)
		equal(t, "listed", ok, false)
		_, again := e.issue(called(id), ops(protocol.OpListLocations))
		_, err = e.as(again).ListLocations(e.ctx)
		e.must(err, "use the id again")
		_, err = e.as(secret).ListLocations(e.ctx)
		e.fails(err, protocol.CodeAuthn)
	}},
	{Row: "cp A.19/351", Name: "an unknown id", Run: func(t *testing.T, e *TokenEnv) {
		e.fails(e.Service.RevokeAccessToken(e.ctx, e.freeTokenID()), protocol.CodeAccessTokenNotFound)
	}},
	{Row: "cp A.19/352", Name: "twice", Run: func(t *testing.T, e *TokenEnv) {
		id, _ := e.issue(ops(protocol.OpRead))
		e.must(e.Service.RevokeAccessToken(e.ctx, id), "revoke")
		e.fails(e.Service.RevokeAccessToken(e.ctx, id), protocol.CodeAccessTokenNotFound)
	}},
	{Row: "cp A.19/354", Name: "an id that is out of scope", Run: func(t *testing.T, e *TokenEnv) {
		id, secret := e.issue(ops(protocol.OpListLocations))
		svc := e.holder(allPowers, tokens(prefixed(id+"-")))
		there, missing := Target{Token: id}, Target{Token: e.freeTokenID()}
		equal(t, "there and missing", e.deniedFor(svc.RevokeAccessToken(e.ctx, there.Token), there), e.deniedFor(svc.RevokeAccessToken(e.ctx, missing.Token), missing))
		_, err := e.as(secret).ListLocations(e.ctx)
		e.must(err, "use the token")
	}},
	{Row: "cp A.19/355", Name: "without revoke-access-token", Run: func(t *testing.T, e *TokenEnv) {
		id, _ := e.issue(ops(protocol.OpRead))
		e.denied(e.without(protocol.OpRevokeAccessToken).RevokeAccessToken(e.ctx, id))
	}},
	{Row: "cp 5.8", Name: "a token may revoke itself, and the root may not", Run: func(t *testing.T, e *TokenEnv) {
		id, secret := e.issue(allPowers)
		svc := e.as(secret)
		e.denied(svc.RevokeAccessToken(e.ctx, protocol.RootTokenID))
		e.denied(e.Service.RevokeAccessToken(e.ctx, protocol.RootTokenID))
		e.must(svc.RevokeAccessToken(e.ctx, id), "revoke itself")
		e.fails(svc.RevokeAccessToken(e.ctx, id), protocol.CodeAuthn)
	}},
	{Row: "cp 5.8", Name: "a token that counts is confirmed with the root token alone", Run: func(t *testing.T, e *TokenEnv) {
		id, secret := e.issue(allPowers)
		info, ok := e.info(id)
		equal(t, "listed and unconfirmed", [2]bool{ok, info.Unconfirmed}, [2]bool{true, false})
		svc := e.as(secret)
		there, missing := Target{Token: id}, Target{Token: e.freeTokenID()}
		equal(t, "there and missing", e.deniedFor(svc.ConfirmAccessToken(e.ctx, there.Token), there), e.deniedFor(svc.ConfirmAccessToken(e.ctx, missing.Token), missing))
		e.must(e.Service.ConfirmAccessToken(e.ctx, id), "confirm")
		e.must(e.Service.ConfirmAccessToken(e.ctx, protocol.RootTokenID), "confirm the root's")
		e.fails(e.Service.ConfirmAccessToken(e.ctx, e.freeTokenID()), protocol.CodeAccessTokenNotFound)
	}},
	{Row: "cp 5.8", Name: "what a revoked token issued lives on", Run: func(t *testing.T, e *TokenEnv) {
		id, secret := e.issue(allPowers)
		child, err := e.as(secret).IssueAccessToken(e.ctx, e.token(ops(protocol.OpListLocations)))
		e.must(err, "issue")
		e.must(e.Service.RevokeAccessToken(e.ctx, id), "revoke")
		_, err = e.as(child).ListLocations(e.ctx)
		e.must(err, "use the child")
	}},
}
