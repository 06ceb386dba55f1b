package protocol

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// AccessTokenID names an access token: 1 to 96 bytes of UTF-8 without NUL, and neither "." nor "..". Make one with
// [ParseAccessTokenID].
type AccessTokenID string

// RootTokenID is the id under which the token of the configuration is listed. No other token can have it.
const RootTokenID AccessTokenID = "root"

// ParseAccessTokenID checks s against the rules of control plane 1.1 and decision D-15 (no NUL). The error is a
// [*NameError].
func ParseAccessTokenID(s string) (AccessTokenID, error) {
	switch s {
	case "":
		return "", &NameError{"access token id", "is empty"}
	case ".", "..":
		return "", &NameError{"access token id", `may not be "." or ".."`}
	}
	if err := CheckAccessTokenPrefix("access token id", s); err != nil {
		return "", err
	}
	return AccessTokenID(s), nil
}

// CheckAccessTokenPrefix checks a token prefix or start_after: 0 to 96 bytes of UTF-8 without NUL. The error is a
// [*NameError] that names field.
func CheckAccessTokenPrefix(field, s string) error {
	switch {
	case len(s) > MaxAccessTokenIDBytes:
		return &NameError{field, fmt.Sprintf("has %d bytes, at most %d are allowed", len(s), MaxAccessTokenIDBytes)}
	case !utf8.ValidString(s):
		return &NameError{field, "is not valid UTF-8"}
	case strings.IndexByte(s, 0) >= 0:
		return &NameError{field, "may not hold a NUL byte"}
	}
	return nil
}

// ResourceSet selects names of one kind (control plane 5.3). The zero value matches nothing; Exact "" matches nothing
// either, and a prefix "" everything.
type ResourceSet struct {
	Kind ResourceSetKind // how names match
	Name string          // the name or prefix
}

// ResourceSetKind is how a [ResourceSet] matches.
type ResourceSetKind uint8

// The kinds of resource sets.
const (
	MatchNone ResourceSetKind = iota
	MatchExact
	MatchPrefix
)

// Matches reports whether the name is in the set.
func (s ResourceSet) Matches(name string) bool {
	//exhaustive:enforce
	switch s.Kind {
	case MatchExact:
		return s.Name != "" && s.Name == name
	case MatchPrefix:
		return strings.HasPrefix(name, s.Name)
	case MatchNone:
	}
	return false
}

// Contains reports whether every name that o can match is in s (control plane 5.6).
func (s ResourceSet) Contains(o ResourceSet) bool {
	o = o.Normal()
	//exhaustive:enforce
	switch o.Kind {
	case MatchExact:
		return s.Matches(o.Name)
	case MatchPrefix:
		return s.Kind == MatchPrefix && strings.HasPrefix(o.Name, s.Name)
	case MatchNone:
	}
	return true
}

// Normal is the set in the form that is listed: one that can match nothing is the zero value.
func (s ResourceSet) Normal() ResourceSet {
	if s.Kind == MatchExact && s.Name == "" {
		return ResourceSet{}
	}
	return s
}

// AccessTokenScope is the permissions of a token: operations, on the resources that match (control plane 5.3).
type AccessTokenScope struct {
	Basins       ResourceSet     // basins on which the operations are allowed
	Streams      ResourceSet     // streams on which they are allowed, in those basins
	AccessTokens ResourceSet     // access tokens that may be issued, listed and revoked
	Groups       OperationGroups // whole groups of operations that are allowed
	Ops          OperationSet    // besides those of the groups
}

// Operations are all operations that the scope allows.
func (s AccessTokenScope) Operations() OperationSet { return s.Ops | s.Groups.Operations() }

// AccessTokenInfo describes an access token; it never holds the secret (control plane 5.7).
type AccessTokenInfo struct {
	ID AccessTokenID // unique in the account
	// ExpiresAt is zero if the token never expires. UTC, to the nanosecond.
	ExpiresAt time.Time
	// AutoPrefixStreams puts the prefix of the scope's streams before every stream name that the token's holder uses, and
	// takes it off every one it sees (control plane 5.10). Streams is a prefix then.
	AutoPrefixStreams bool
	Scope             AccessTokenScope // at most that of the token with which it was issued (control plane 5.6)
	// Unconfirmed says that the token was issued, or restored, by a broker that checked nothing, so that anybody may have made
	// it. A broker that checks tokens does not honour it until the holder of the root token confirms it.
	Unconfirmed bool
}

// StoredToken is an issued token as it is kept: its secret only as a hash.
type StoredToken struct {
	Info     AccessTokenInfo // everything that is listed
	Hash     [32]byte        // SHA-256 of the secret
	IssuedAt time.Time       // UTC
}

// ExpiredAt reports whether the token has expired at a time.
func (t *AccessTokenInfo) ExpiredAt(now time.Time) bool {
	return !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt)
}

// AccessTokenPage is a page of tokens. HasMore reports whether at least one more matches.
type AccessTokenPage struct {
	Tokens  []AccessTokenInfo // ascending by id; at most 1000
	HasMore bool              // at least one more token matches
}

// IssueAccessTokenRequest asks for a token (control plane 5.2). ExpiresAt zero means: when the issuing token does.
type IssueAccessTokenRequest AccessTokenInfo
