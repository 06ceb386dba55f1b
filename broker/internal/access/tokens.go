package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/weirstream/weir/protocol"
)

// ListAccessTokens lists the token of the configuration among the issued ones, also when nothing is checked (control
// plane 5.7).
func (s *service) ListAccessTokens(ctx context.Context, req protocol.ListRequest) (page protocol.AccessTokenPage, err error) {
	if err := s.allow(protocol.OpListAccessTokens); err != nil {
		return page, err
	}
	for _, f := range [][2]string{{"prefix", req.Prefix}, {"start_after", req.StartAfter}} {
		if err := protocol.CheckAccessTokenPrefix(f[0], f[1]); err != nil {
			return page, protocol.Errorf(protocol.CodeBadQuery, "%v", err)
		}
	}
	size := req.PageSize()
	set := s.scope.AccessTokens
	narrowed, some := narrow(set, req)
	if !some {
		return page, nil
	}
	stored, more, err := s.g.tokens.ListTokens(ctx, narrowed)
	if err != nil {
		return page, err
	}
	stored = keep(set, stored, &more, func(t protocol.StoredToken) string { return string(t.Info.ID) })
	page.HasMore = more
	for i := range stored {
		page.Tokens = append(page.Tokens, stored[i].Info)
	}
	if !listed(set, narrowed, protocol.RootTokenID) {
		return page, nil
	}
	at, _ := slices.BinarySearchFunc(page.Tokens, protocol.RootTokenID, func(t protocol.AccessTokenInfo, id protocol.AccessTokenID) int {
		return strings.Compare(string(t.ID), string(id))
	})
	if at == len(page.Tokens) && more {
		return page, nil // on a later page
	}
	page.Tokens = slices.Insert(page.Tokens, at, rootInfo)
	if len(page.Tokens) > size {
		page.Tokens, page.HasMore = page.Tokens[:size], true
	}
	return page, nil
}

// listed reports whether a listing asks for the id.
func listed(set protocol.ResourceSet, req protocol.ListRequest, id protocol.AccessTokenID) bool {
	return set.Matches(string(id)) && strings.HasPrefix(string(id), req.Prefix) &&
		(req.StartAfter == "" || string(id) > req.StartAfter)
}

// IssueAccessToken makes a token that is no wider than its issuer (control plane 5.6).
func (s *service) IssueAccessToken(ctx context.Context, req protocol.IssueAccessTokenRequest) (secret string, err error) {
	if err := s.allow(protocol.OpIssueAccessToken); err != nil {
		return "", err
	}
	info := protocol.AccessTokenInfo(req)
	now := time.Now()
	if err := wellFormed(info, now); err != nil {
		return "", err
	}
	if info, err = s.derive(info); err != nil {
		return "", err
	}
	if info.ID == protocol.RootTokenID {
		return "", protocol.Errorf(protocol.CodeResourceAlreadyExists, "access token %q is that of the configuration", info.ID)
	}
	if info, err = settled(info); err != nil {
		return "", err
	}
	info.Unconfirmed = s.g.open
	secret = newSecret()
	stored := protocol.StoredToken{Info: info, Hash: sha256.Sum256([]byte(secret)), IssuedAt: now.UTC()}
	if err := s.g.tokens.PutToken(ctx, stored); err != nil {
		return "", err
	}
	s.g.log.Info("access token issued", slog.String("token", string(info.ID)), slog.String("by", string(s.c.info.ID)))
	return secret, nil
}

// wellFormed applies the rules that do not depend on the issuer. The messages of the first two are S2's (control plane
// 5.6). The code is invalid.
func wellFormed(info protocol.AccessTokenInfo, now time.Time) error {
	switch {
	case info.AutoPrefixStreams && info.Scope.Streams.Kind != protocol.MatchPrefix:
		return protocol.Errorf(protocol.CodeInvalid, "Auto prefixing is only allowed for streams with prefix matching")
	case info.Scope.Operations() == 0:
		return protocol.Errorf(protocol.CodeInvalid, "Access token permissions cannot be empty")
	case info.ExpiredAt(now):
		return protocol.Errorf(protocol.CodeInvalid, "expires_at: is in the past")
	}
	return nil
}

// derive turns the requested token into the token that is issued, and checks that it is no wider than the issuer. An
// issuer's own prefix goes before the streams that it hands on, because it calls those streams by these names. Codes:
// permission_denied, invalid.
func (s *service) derive(info protocol.AccessTokenInfo) (protocol.AccessTokenInfo, error) {
	own := s.c.info
	set := &info.Scope
	set.Basins, set.Streams, set.AccessTokens = set.Basins.Normal(), set.Streams.Normal(), set.AccessTokens.Normal()
	if s.prefix != "" && set.Streams.Kind != protocol.MatchNone {
		set.Streams.Name = s.prefix + set.Streams.Name
		if len(set.Streams.Name) > protocol.MaxStreamNameBytes {
			return info, protocol.Errorf(protocol.CodeInvalid,
				"scope.streams: has more than %d bytes with the prefix that the issuing access token puts before it", protocol.MaxStreamNameBytes)
		}
	}
	if info.ExpiresAt.IsZero() {
		info.ExpiresAt = own.ExpiresAt
	}
	switch {
	case !own.Scope.AccessTokens.Matches(string(info.ID)):
		return info, errOutOfScope("id")
	case !s.c.ops.Contains(set.Operations()):
		return info, errWider("operations")
	case !own.Scope.Basins.Contains(set.Basins):
		return info, errWider("basins")
	case !own.Scope.Streams.Contains(set.Streams):
		return info, errWider("streams")
	case !own.Scope.AccessTokens.Contains(set.AccessTokens):
		return info, errWider("access tokens")
	case !own.ExpiresAt.IsZero() && info.ExpiresAt.After(own.ExpiresAt):
		return info, protocol.Errorf(protocol.CodePermissionDenied, "expires_at: is later than the issuing access token expires")
	}
	return info, nil
}

// settled is the token as it comes back from the catalog. A token that would not come back the same has code invalid; only a
// caller in process can ask for one.
func settled(info protocol.AccessTokenInfo) (protocol.AccessTokenInfo, error) {
	text, err := info.MarshalJSON()
	if err != nil {
		return info, err
	}
	back, err := protocol.DecodeJSON[protocol.AccessTokenInfo](text)
	switch {
	case err != nil:
		return info, protocol.Errorf(protocol.CodeInvalid, "%s", protocol.AsError(err).Message)
	case back.ID != info.ID || back.Scope != info.Scope || !back.ExpiresAt.Equal(info.ExpiresAt):
		return info, protocol.Errorf(protocol.CodeInvalid, "the token holds a name, an operation or a time that is not valid")
	}
	return back, nil
}

func errWider(what string) *protocol.Error {
	return protocol.Errorf(protocol.CodePermissionDenied, "scope: has %s that the issuing access token does not have", what)
}

// secretPrefix lets people and scanners recognize a secret.
const secretPrefix = "weir_"

// newSecret makes 32 random bytes safe to stand in a header, a URL and a NATS credential.
func newSecret() string {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails
	return secretPrefix + base64.RawURLEncoding.EncodeToString(raw[:])
}

// ConfirmAccessToken makes a token count that was issued while nothing was checked. It is for the root token alone, because a
// confirmed token may allow anything.
func (s *service) ConfirmAccessToken(ctx context.Context, id protocol.AccessTokenID) error {
	if err := s.allow(); err != nil {
		return err
	}
	switch {
	case s.g.open:
		return protocol.Errorf(protocol.CodePermissionDenied, "this broker checks no access tokens: start it with a root token to confirm some")
	case s.c != s.g.root:
		return protocol.Errorf(protocol.CodePermissionDenied, "access tokens are confirmed with the root token alone")
	case id == protocol.RootTokenID:
		return nil
	}
	if err := s.g.tokens.ConfirmToken(ctx, id); err != nil {
		return err
	}
	s.g.log.Info("access token confirmed", slog.String("token", string(id)))
	return nil
}

// RevokeAccessToken ends a token. A token may revoke itself.
func (s *service) RevokeAccessToken(ctx context.Context, id protocol.AccessTokenID) error {
	if err := s.allow(protocol.OpRevokeAccessToken); err != nil {
		return err
	}
	switch {
	case !s.scope.AccessTokens.Matches(string(id)):
		return errOutOfScope("id")
	case id == protocol.RootTokenID:
		return protocol.Errorf(protocol.CodePermissionDenied, "access token %q is that of the configuration; it cannot be revoked", id)
	}
	if err := s.g.tokens.RemoveToken(ctx, id); err != nil {
		return err
	}
	s.g.log.Info("access token revoked", slog.String("token", string(id)), slog.String("by", string(s.c.info.ID)))
	return nil
}
