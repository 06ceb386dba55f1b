package protocol

import (
	"strconv"

	"github.com/weirstream/weir/internal/strictjson"
)

// The JSON of access tokens (control plane 5.2, 5.3, 5.7). A text that is read may leave out members with a default; a text
// that is written has every member.

// readResourceSet makes a reader of a set of names: null, {"exact": name} or {"prefix": prefix}, and nothing else.
func readResourceSet(checkName func(string) error, checkPrefix func(field, s string) error) func(*strictjson.Reader) (ResourceSet, error) {
	return func(r *strictjson.Reader) (set ResourceSet, err error) {
		if r.Null() {
			return set, nil
		}
		err = r.Object(func(member []byte) error {
			var kind ResourceSetKind
			switch string(member) {
			case "exact":
				kind = MatchExact
			case "prefix":
				kind = MatchPrefix
			default:
				if err := r.Skip(); err != nil {
					return err
				}
				return r.Bad("unknown member, want exact or prefix")
			}
			name, err := r.Text()
			switch {
			case err != nil:
				return err
			case set.Kind != MatchNone:
				return r.Bad("want one of exact and prefix, got both")
			case kind == MatchPrefix:
				err = checkPrefix("prefix", name)
			case name != "": // exact "" is well formed, and matches nothing
				err = checkName(name)
			}
			if err != nil {
				return r.Bad("%v", err)
			}
			set = ResourceSet{Kind: kind, Name: name}
			return nil
		})
		if err == nil && set.Kind == MatchNone {
			err = r.Bad("want exact or prefix, got neither")
		}
		return set.Normal(), err
	}
}

// onlyError drops the result of a parser that is used as a check.
func onlyError[T any](parse func(string) (T, error)) func(string) error {
	return func(s string) error {
		_, err := parse(s)
		return err
	}
}

var (
	readBasinSet  = readResourceSet(onlyError(ParseBasinName), CheckBasinPrefix)
	readStreamSet = readResourceSet(onlyError(ParseStreamName), CheckStreamPrefix)
	readTokenSet  = readResourceSet(onlyError(ParseAccessTokenID), CheckAccessTokenPrefix)
)

func (s ResourceSet) appendJSON(dst []byte) []byte {
	//exhaustive:enforce
	switch s = s.Normal(); s.Kind {
	case MatchExact:
		return append(appendJSONText(append(dst, `{"exact":`...), s.Name), '}')
	case MatchPrefix:
		return append(appendJSONText(append(dst, `{"prefix":`...), s.Name), '}')
	case MatchNone:
	}
	return append(dst, "null"...)
}

// readJSON reads {"read": bool, "write": bool}; a member that is missing or null is false.
func (g *ReadWrite) readJSON(r *strictjson.Reader) error {
	*g = ReadWrite{}
	if r.Null() {
		return nil
	}
	return r.Object(func(name []byte) error {
		switch string(name) {
		case "read":
			return strictjson.IntoUnlessNull(r, &g.Read, (*strictjson.Reader).Bool)
		case "write":
			return strictjson.IntoUnlessNull(r, &g.Write, (*strictjson.Reader).Bool)
		}
		return r.Skip()
	})
}

func (g ReadWrite) appendJSON(dst []byte) []byte {
	dst = strconv.AppendBool(append(dst, `{"read":`...), g.Read)
	return append(strconv.AppendBool(append(dst, `,"write":`...), g.Write), '}')
}

func (g *OperationGroups) readJSON(r *strictjson.Reader) error {
	*g = OperationGroups{}
	if r.Null() {
		return nil
	}
	return r.Object(func(name []byte) error {
		switch string(name) {
		case "account":
			return g.Account.readJSON(r)
		case "basin":
			return g.Basin.readJSON(r)
		case "stream":
			return g.Stream.readJSON(r)
		}
		return r.Skip()
	})
}

func (g OperationGroups) appendJSON(dst []byte) []byte {
	dst = g.Account.appendJSON(append(dst, `{"account":`...))
	dst = g.Basin.appendJSON(append(dst, `,"basin":`...))
	return append(g.Stream.appendJSON(append(dst, `,"stream":`...)), '}')
}

func (s *OperationSet) readJSON(r *strictjson.Reader) error {
	*s = 0
	if r.Null() {
		return nil
	}
	return r.Array(func(int) error {
		name, err := r.Text()
		if err != nil {
			return err
		}
		op, known := ParseOperation(name)
		if !known {
			return r.Bad("unknown operation %q", truncate([]byte(name), 64))
		}
		*s |= Operations(op)
		return nil
	})
}

func (s OperationSet) appendJSON(dst []byte) []byte {
	dst = append(dst, '[')
	first := true
	for op := range s.All() {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendJSONText(dst, op.String())
	}
	return append(dst, ']')
}

// readJSON reads {"basins", "streams", "access_tokens": set|null, "op_groups": {...}|null, "ops": [...]|null}.
func (s *AccessTokenScope) readJSON(r *strictjson.Reader) error {
	*s = AccessTokenScope{}
	return r.Object(func(name []byte) error {
		switch string(name) {
		case "basins":
			return strictjson.Into(r, &s.Basins, readBasinSet)
		case "streams":
			return strictjson.Into(r, &s.Streams, readStreamSet)
		case "access_tokens":
			return strictjson.Into(r, &s.AccessTokens, readTokenSet)
		case "op_groups":
			return s.Groups.readJSON(r)
		case "ops":
			return s.Ops.readJSON(r)
		}
		return r.Skip()
	})
}

func (s AccessTokenScope) appendJSON(dst []byte) []byte {
	dst = s.Basins.appendJSON(append(dst, `{"basins":`...))
	dst = s.Streams.appendJSON(append(dst, `,"streams":`...))
	dst = s.AccessTokens.appendJSON(append(dst, `,"access_tokens":`...))
	dst = s.Groups.appendJSON(append(dst, `,"op_groups":`...))
	return append(s.Ops.appendJSON(append(dst, `,"ops":`...)), '}')
}

// MarshalJSON gives all five members: sets that match nothing as null, every group with both booleans, and the explicit
// operations in their order (control plane 5.7).
func (s AccessTokenScope) MarshalJSON() ([]byte, error) { return s.appendJSON(nil), nil }

// UnmarshalJSON is the strict inverse of MarshalJSON; every member may be missing. The error has code bad_json.
func (s *AccessTokenScope) UnmarshalJSON(data []byte) error { return readWhole(data, s) }

func readAccessTokenID(r *strictjson.Reader) (AccessTokenID, error) {
	s, err := r.Text()
	if err != nil {
		return "", err
	}
	id, err := ParseAccessTokenID(s)
	if err != nil {
		return "", r.Bad("%v", err)
	}
	return id, nil
}

// readJSON reads {"id", "expires_at": time|null, "auto_prefix_streams": bool|null, "scope", "unconfirmed": bool|null}; id and scope are
// required.
func (t *AccessTokenInfo) readJSON(r *strictjson.Reader) error {
	*t = AccessTokenInfo{}
	scoped := false
	err := r.Object(func(name []byte) error {
		switch string(name) {
		case "id":
			return strictjson.Into(r, &t.ID, readAccessTokenID)
		case "expires_at":
			return strictjson.IntoUnlessNull(r, &t.ExpiresAt, readTime)
		case "auto_prefix_streams":
			return strictjson.IntoUnlessNull(r, &t.AutoPrefixStreams, (*strictjson.Reader).Bool)
		case "unconfirmed":
			return strictjson.IntoUnlessNull(r, &t.Unconfirmed, (*strictjson.Reader).Bool)
		case "scope":
			scoped = true
			return t.Scope.readJSON(r)
		}
		return r.Skip()
	})
	switch {
	case err != nil:
		return err
	case t.ID == "":
		return Errorf(CodeBadJSON, "id: is required")
	case !scoped:
		return Errorf(CodeBadJSON, "scope: is required")
	}
	return nil
}

func (t AccessTokenInfo) appendJSON(dst []byte) []byte {
	dst = appendJSONText(append(dst, `{"id":`...), t.ID)
	dst = appendTime(append(dst, `,"expires_at":`...), t.ExpiresAt)
	dst = strconv.AppendBool(append(dst, `,"auto_prefix_streams":`...), t.AutoPrefixStreams)
	dst = t.Scope.appendJSON(append(dst, `,"scope":`...))
	if t.Unconfirmed {
		dst = append(dst, `,"unconfirmed":true`...)
	}
	return append(dst, '}')
}

// MarshalJSON gives the four members of control plane 5.7, and "unconfirmed" of a token that is.
func (t AccessTokenInfo) MarshalJSON() ([]byte, error) { return t.appendJSON(nil), nil }

// UnmarshalJSON is the strict inverse of MarshalJSON. The error has code bad_json.
func (t *AccessTokenInfo) UnmarshalJSON(data []byte) error { return readWhole(data, t) }

// readJSON takes no word of the client's for whether the token is confirmed.
func (q *IssueAccessTokenRequest) readJSON(r *strictjson.Reader) error {
	err := (*AccessTokenInfo)(q).readJSON(r)
	q.Unconfirmed = false
	return err
}

// MarshalJSON gives the four members of control plane 5.2.
func (q IssueAccessTokenRequest) MarshalJSON() ([]byte, error) {
	q.Unconfirmed = false
	return AccessTokenInfo(q).appendJSON(nil), nil
}

// UnmarshalJSON is the strict inverse of MarshalJSON; only id and scope are required. The error has code bad_json.
func (q *IssueAccessTokenRequest) UnmarshalJSON(data []byte) error { return readWhole(data, q) }

func (p *AccessTokenPage) readJSON(r *strictjson.Reader) error {
	return readPage(r, "access_tokens", &p.Tokens, &p.HasMore, value[AccessTokenInfo])
}

// MarshalJSON gives {"access_tokens": [...], "has_more": bool}.
func (p AccessTokenPage) MarshalJSON() ([]byte, error) {
	return appendPage("access_tokens", p.Tokens, p.HasMore,
		func(dst []byte, t AccessTokenInfo) []byte { return t.appendJSON(dst) }), nil
}

// UnmarshalJSON is the strict inverse of MarshalJSON. The error has code bad_json.
func (p *AccessTokenPage) UnmarshalJSON(data []byte) error { return readWhole(data, p) }

// IssuedAccessToken answers the issue of a token: the secret, which cannot be had again.
type IssuedAccessToken struct {
	Secret string // visible ASCII
}

func (t *IssuedAccessToken) readJSON(r *strictjson.Reader) error {
	*t = IssuedAccessToken{}
	err := r.Object(func(name []byte) error {
		if string(name) == "access_token" {
			return strictjson.Into(r, &t.Secret, (*strictjson.Reader).Text)
		}
		return r.Skip()
	})
	if err == nil && t.Secret == "" {
		err = Errorf(CodeBadJSON, "access_token: is required")
	}
	return err
}

// MarshalJSON gives {"access_token": secret}.
func (t IssuedAccessToken) MarshalJSON() ([]byte, error) {
	return append(appendJSONText([]byte(`{"access_token":`), t.Secret), '}'), nil
}

// UnmarshalJSON is the strict inverse of MarshalJSON. The error has code bad_json.
func (t *IssuedAccessToken) UnmarshalJSON(data []byte) error { return readWhole(data, t) }

// DecodeTokenIDJSON reads {"id": id}, which names a token to revoke or to confirm. The error has code bad_json.
func DecodeTokenIDJSON(data []byte) (id AccessTokenID, err error) {
	err = readJSONText(data, func(r *strictjson.Reader) error {
		return r.Object(func(name []byte) error {
			if string(name) == "id" {
				return strictjson.Into(r, &id, readAccessTokenID)
			}
			return r.Skip()
		})
	})
	if err == nil && id == "" {
		err = Errorf(CodeBadJSON, "id: is required")
	}
	return id, err
}
