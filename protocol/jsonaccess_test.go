package protocol_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

func decodeIssue(t *testing.T, text string) (protocol.IssueAccessTokenRequest, error) {
	t.Helper()
	return protocol.DecodeJSON[protocol.IssueAccessTokenRequest]([]byte(text))
}

func prefix(s string) protocol.ResourceSet {
	return protocol.ResourceSet{Kind: protocol.MatchPrefix, Name: s}
}

func exact(s string) protocol.ResourceSet {
	return protocol.ResourceSet{Kind: protocol.MatchExact, Name: s}
}

func TestAccessTokenDecoding(t *testing.T) {
	t.Run("cp A.18/317 sets of exact nothing match nothing", func(t *testing.T) {
		req, err := decodeIssue(t, `{"id":"t","scope":{"basins":{"exact":""},"streams":{"exact":""},"access_tokens":{"exact":""}}}`)
		if err != nil || !reflect.DeepEqual(req.Scope, protocol.AccessTokenScope{}) {
			t.Fatalf("got %+v and %v", req, err)
		}
	})
	t.Run("cp A.18/318 an empty scope is well formed", func(t *testing.T) {
		req, err := decodeIssue(t, `{"id":"t","scope":{}}`)
		if err != nil || req.Scope.Basins.Matches("demo-basin") || req.Scope.Streams.Matches("s") || req.Scope.Operations() != 0 {
			t.Fatalf("got %+v and %v", req, err)
		}
	})
	t.Run("5.3 everything", func(t *testing.T) {
		req, err := decodeIssue(t, `{"id":"team/é","expires_at":"2030-01-02T03:04:05.123456789+02:00","auto_prefix_streams":null,
			"scope":{"basins":{"prefix":"team-a-"},"streams":{"exact":"orders"},"access_tokens":{"prefix":""},
			"op_groups":{"account":{"read":true},"basin":{"read":true,"write":false},"stream":null},
			"ops":["check-tail","append","append"],"later":1},"more":[]}`)
		want := protocol.IssueAccessTokenRequest{ID: "team/é", ExpiresAt: time.Date(2030, 1, 2, 1, 4, 5, 123456789, time.UTC),
			Scope: protocol.AccessTokenScope{Basins: prefix("team-a-"), Streams: exact("orders"), AccessTokens: prefix(""),
				Groups: protocol.OperationGroups{Account: protocol.ReadWrite{Read: true}, Basin: protocol.ReadWrite{Read: true}},
				Ops:    protocol.Operations(protocol.OpAppend, protocol.OpCheckTail)}}
		if err != nil || req != want {
			t.Fatalf("got %+v and %v", req, err)
		}
	})
	bad := map[string]string{
		"cp A.18/319 no scope":                `{"id":"t"}`,
		"cp A.18/319 null scope":              `{"id":"t","scope":null}`,
		"cp A.18/320 both keys":               `{"id":"t","scope":{"basins":{"exact":"demo-basin","prefix":"demo"}}}`,
		"cp A.18/320 both keys, one empty":    `{"id":"t","scope":{"streams":{"prefix":"","exact":""}}}`,
		"5.3 neither key":                     `{"id":"t","scope":{"basins":{}}}`,
		"5.3 another key":                     `{"id":"t","scope":{"basins":{"suffix":"a"}}}`,
		"5.3 another key beside":              `{"id":"t","scope":{"basins":{"prefix":"a","x":1}}}`,
		"5.3 no string":                       `{"id":"t","scope":{"streams":{"exact":7}}}`,
		"5.3 null for a name":                 `{"id":"t","scope":{"streams":{"exact":null}}}`,
		"cp A.18/321 a bad basin":             `{"id":"t","scope":{"basins":{"exact":"Bad Name"}}}`,
		"5.3 a bad basin prefix":              `{"id":"t","scope":{"basins":{"prefix":"-a"}}}`,
		"5.3 a bad stream":                    `{"id":"t","scope":{"streams":{"exact":".."}}}`,
		"5.3 a long stream prefix":            `{"id":"t","scope":{"streams":{"prefix":"` + strings.Repeat("a", 513) + `"}}}`,
		"5.3 NUL":                             `{"id":"t","scope":{"streams":{"prefix":"\u0000"}}}`,
		"cp A.1/27 a long token prefix":       `{"id":"t","scope":{"access_tokens":{"prefix":"` + strings.Repeat("a", 97) + `"}}}`,
		"cp A.18/322 an unknown operation":    `{"id":"t","scope":{"ops":["list-basins","fly"]}}`,
		"cp A.18/322 an operation by number":  `{"id":"t","scope":{"ops":[1]}}`,
		"cp A.18/322 an operation in capital": `{"id":"t","scope":{"ops":["Append"]}}`,
		"cp A.18/323 tomorrow":                `{"id":"t","expires_at":"tomorrow","scope":{}}`,
		"cp A.18/323 a number":                `{"id":"t","expires_at":1893456000,"scope":{}}`,
		"cp A.1/25 no id":                     `{"scope":{}}`,
		"cp A.1/25 an empty id":               `{"id":"","scope":{}}`,
		"cp A.1/25 a dot":                     `{"id":".","scope":{}}`,
		"cp A.1/25 two dots":                  `{"id":"..","scope":{}}`,
		"cp A.1/25 97 bytes":                  `{"id":"` + strings.Repeat("a", 97) + `","scope":{}}`,
		"D-15 NUL in an id":                   `{"id":"a\u0000","scope":{}}`,
		"2.9 a duplicate":                     `{"id":"t","id":"u","scope":{}}`,
		"2.9 a duplicate set":                 `{"id":"t","scope":{"streams":{"exact":"a","exact":"b"}}}`,
		"2.9 an array":                        `[]`,
		"2.9 data behind":                     `{"id":"t","scope":{}} {}`,
		"5.3 a group that is no object":       `{"id":"t","scope":{"op_groups":{"basin":true}}}`,
		"5.3 a half that is no bool":          `{"id":"t","scope":{"op_groups":{"basin":{"read":1}}}}`,
	}
	for name, text := range bad {
		t.Run(name, func(t *testing.T) {
			_, err := decodeIssue(t, text)
			if protocol.CodeOf(err) != protocol.CodeBadJSON {
				t.Fatalf("%s: got %v", text, err)
			}
		})
	}
}

func TestAccessTokenNames(t *testing.T) {
	for _, ok := range []string{"my-token", strings.Repeat("a", 96), "é/%*>", "..."} { // cp A.1/24
		if id, err := protocol.ParseAccessTokenID(ok); err != nil || string(id) != ok {
			t.Errorf("cp A.1/24 %q: %v", ok, err)
		}
	}
	for _, bad := range []string{"", ".", "..", strings.Repeat("a", 97), "\xff", "a\x00"} { // cp A.1/25
		if _, err := protocol.ParseAccessTokenID(bad); err == nil {
			t.Errorf("cp A.1/25 %q is accepted", bad)
		}
	}
	for _, ok := range []string{"", ".", "..", strings.Repeat("a", 96)} { // cp A.1/26
		if err := protocol.CheckAccessTokenPrefix("prefix", ok); err != nil {
			t.Errorf("cp A.1/26 %q: %v", ok, err)
		}
	}
	if protocol.CheckAccessTokenPrefix("prefix", strings.Repeat("a", 97)) == nil {
		t.Error("cp A.1/27 97 bytes are accepted")
	}
}

func TestAccessTokenEncoding(t *testing.T) {
	info := protocol.AccessTokenInfo{ID: `a"b`, Scope: protocol.AccessTokenScope{Basins: exact(""), Streams: prefix(""),
		Ops: protocol.Operations(protocol.OpFence, protocol.OpListBasins)}}
	sameJSON(t, info, `{"id":"a\"b","expires_at":null,"auto_prefix_streams":false,"scope":{"basins":null,"streams":{"prefix":""},`+
		`"access_tokens":null,"op_groups":{"account":{"read":false,"write":false},"basin":{"read":false,"write":false},`+
		`"stream":{"read":false,"write":false}},"ops":["list-basins","fence"]}}`)
	info = protocol.AccessTokenInfo{ID: "t", AutoPrefixStreams: true, ExpiresAt: time.Date(2030, 1, 2, 3, 4, 5, 6, time.UTC),
		Scope: protocol.AccessTokenScope{Streams: prefix("a/"), AccessTokens: exact("x"),
			Groups: protocol.OperationGroups{Stream: protocol.ReadWrite{Read: true, Write: true}}}}
	if got := throughJSON(t, info); got != info {
		t.Fatalf("got %+v", got)
	}
	info.Unconfirmed = true
	if got := throughJSON(t, info); got != info {
		t.Fatalf("got %+v", got)
	}
	text, err := info.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if req, err := protocol.DecodeJSON[protocol.IssueAccessTokenRequest](text); err != nil || req.Unconfirmed || req.ID != info.ID {
		t.Fatalf("a request that calls itself unconfirmed: %+v, %v", req, err)
	}
	page := protocol.AccessTokenPage{Tokens: []protocol.AccessTokenInfo{info}, HasMore: true}
	if got := throughJSON(t, page); !reflect.DeepEqual(got, page) {
		t.Fatalf("got %+v", got)
	}
	sameJSON(t, protocol.AccessTokenPage{}, `{"access_tokens":[],"has_more":false}`)
	sameJSON(t, protocol.IssuedAccessToken{Secret: "weir_x"}, `{"access_token":"weir_x"}`)
	if _, err := protocol.DecodeJSON[protocol.IssuedAccessToken]([]byte(`{"access_token":""}`)); protocol.CodeOf(err) != protocol.CodeBadJSON {
		t.Fatal(err)
	}
	if id, err := protocol.DecodeTokenIDJSON([]byte(`{"id":"a/b"}`)); err != nil || id != "a/b" {
		t.Fatal(id, err)
	}
	if _, err := protocol.DecodeTokenIDJSON([]byte(`{}`)); protocol.CodeOf(err) != protocol.CodeBadJSON {
		t.Fatal(err)
	}
}

// TestOperations: names go back and forth, and the groups are those of control plane 5.4.
func TestOperations(t *testing.T) {
	var all []protocol.Operation
	for op := range protocol.AllOperations.All() {
		all = append(all, op)
		if back, ok := protocol.ParseOperation(op.String()); !ok || back != op {
			t.Errorf("%s becomes %s", op, back)
		}
	}
	if len(all) != 24 || !slices.IsSorted(all) {
		t.Errorf("got %v", all)
	}
	both := protocol.ReadWrite{Read: true, Write: true}
	if got := (protocol.OperationGroups{Account: both, Basin: both, Stream: both}).Operations(); got != protocol.AllOperations {
		t.Errorf("all groups lack %v", slices.Collect((protocol.AllOperations &^ got).All()))
	}
	if _, ok := protocol.ParseOperation(""); ok {
		t.Error("no operation has an empty name")
	}
}

// TestResourceSetContains: control plane 5.6.
func TestResourceSetContains(t *testing.T) {
	none := protocol.ResourceSet{}
	for _, c := range []struct {
		outer, inner protocol.ResourceSet
		want         bool
	}{
		{none, none, true}, {exact("a"), none, true}, {prefix(""), exact(""), true}, {none, exact(""), true},
		{exact("a"), exact("a"), true}, {exact("a"), exact("b"), false}, {exact("a"), prefix("a"), false},
		{exact("a"), prefix(""), false}, {prefix("a"), exact("ab"), true}, {prefix("a"), exact("a"), true},
		{prefix("ab"), exact("a"), false}, {prefix("a"), prefix("ab"), true}, {prefix("a"), prefix("a"), true},
		{prefix("ab"), prefix("a"), false}, {prefix(""), prefix("a"), true}, {none, prefix(""), false}, {none, exact("a"), false},
	} {
		if got := c.outer.Contains(c.inner); got != c.want {
			t.Errorf("%+v contains %+v: %v", c.outer, c.inner, got)
		}
	}
}

func FuzzAccessTokenJSON(f *testing.F) {
	for _, s := range []string{
		`{"id":"t","expires_at":"2030-01-02T03:04:05.000000001Z","auto_prefix_streams":true,"scope":{"streams":{"prefix":"a/"},"ops":["append"]}}`,
		`{"id":"t","scope":{"basins":{"exact":""},"op_groups":{"account":{"read":true},"basin":null}}}`,
		`{"access_tokens":[{"id":"t","scope":{}}],"has_more":false}`, `{"access_token":"x"}`, `null`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		steady[protocol.IssueAccessTokenRequest](t, data)
		steady[protocol.AccessTokenInfo](t, data)
		steady[protocol.AccessTokenPage](t, data)
		steady[protocol.IssuedAccessToken](t, data)
		_, err := protocol.DecodeTokenIDJSON(data)
		typed(t, err, protocol.CodeBadJSON)
		req, err := protocol.DecodeJSON[protocol.IssueAccessTokenRequest](data)
		if err == nil && !json.Valid(data) {
			t.Fatal("accepted what is not JSON")
		}
		if err == nil && (req.Scope.Basins != req.Scope.Basins.Normal() || req.Scope.Ops&^protocol.AllOperations != 0) {
			t.Fatalf("got %+v", req)
		}
	})
}
