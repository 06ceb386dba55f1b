package protocol_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/weirstream/weir/protocol"
)

// wantName fails unless err is nil, or a NameError that holds want.
func wantName(t *testing.T, err error, want string) {
	t.Helper()
	var e *protocol.NameError
	switch {
	case want == "" && err != nil:
		t.Fatal(err)
	case want != "" && (!errors.As(err, &e) || !strings.Contains(e.Error(), want)):
		t.Fatalf("got %v, want %q", err, want)
	}
}

// TestNamesA1 holds the stateless rows of control plane A.1.
func TestNamesA1(t *testing.T) {
	a := func(n int) string { return strings.Repeat("a", n) }
	basin := func(s string) error { _, err := protocol.ParseBasinName(s); return err }
	basinPrefix := func(s string) error { return protocol.CheckBasinPrefix("prefix", s) }
	stream := func(s string) error { _, err := protocol.ParseStreamName(s); return err }
	streamPrefix := func(s string) error { return protocol.CheckStreamPrefix("start_after", s) }
	for _, c := range []struct {
		name  string
		check func(string) error
		in    string
		want  string // in the refusal
	}{
		{"cp A.1/1 8 bytes", basin, "abcdefgh", ""},
		{"cp A.1/2 starts with a digit", basin, "1abcdefg", ""},
		{"cp A.1/3 hyphen", basin, "abcd-efg", ""},
		{"cp A.1/4 two hyphens", basin, "ab--cdef", ""},
		{"cp A.1/5 48 bytes", basin, a(48), ""},
		{"cp A.1/6 49 bytes", basin, a(49), "basin name: has 49 bytes, at most 48"},
		{"cp A.1/7 7 bytes", basin, "abcdefg", "has 7 bytes, at least 8"},
		{"cp A.1/8 short", basin, "short", "has 5 bytes, at least 8"},
		{"cp A.1/9 empty", basin, "", "at least 8"},
		{"cp A.1/10 upper case first", basin, "Abcdefgh", "must begin with"},
		{"cp A.1/10 upper case within", basin, "test-Basin", "lowercase"},
		{"cp A.1/11 ends with a hyphen", basin, "abcdefg-", "must end with"},
		{"cp A.1/12 starts with a hyphen", basin, "-test-basin", "must begin with"},
		{"cp A.1/13 underscore", basin, "abcd_efg", "may hold only"},
		{"1.1 order: long before character", basin, "_" + a(48), "at most 48"},
		{"1.1 order: first before last", basin, "-abcdef-", "must begin with"},
		{"1.1 order: last before inner", basin, "abc_def-", "must end with"},
		{"1.1 dots and NATS wildcards", basin, "abc.defg*>", "must end with"},
		{"cp A.1/14 empty prefix", basinPrefix, "", ""},
		{"cp A.1/14 prefix of one", basinPrefix, "a", ""},
		{"cp A.1/14 prefix with a hyphen at the end", basinPrefix, "abcdefg-", ""},
		{"cp A.1/15 prefix of 48 bytes", basinPrefix, a(48), ""},
		{"cp A.1/16 prefix of 49 bytes", basinPrefix, a(49), "invalid prefix: has 49 bytes, at most 48"},
		{"cp A.1/16 prefix with a hyphen first", basinPrefix, "-abc", "must begin with"},
		{"cp A.1/16 prefix with an underscore", basinPrefix, "ab_cd", "may hold only"},
		{"cp A.1/17 stream name", stream, "my-stream", ""},
		{"cp A.1/17 512 bytes", stream, a(512), ""},
		{"cp A.1/18 empty", stream, "", "is empty"},
		{"cp A.1/18 dot", stream, ".", `may not be "." or ".."`},
		{"cp A.1/18 two dots", stream, "..", `may not be "." or ".."`},
		{"cp A.1/18 513 bytes", stream, a(513), "stream name: has 513 bytes, at most 512"},
		{"cp A.1/19 CJK", stream, "訂單/日誌", ""},
		{"cp A.1/20 slash", stream, "a/b", ""},
		{"cp A.1/21 200 characters in 600 bytes", stream, strings.Repeat("漢", 200), "has 600 bytes, at most 512"},
		{"1.1 three dots", stream, "...", ""},
		{"1.1 not UTF-8", stream, "a\xff", "is not valid UTF-8"},
		{"D-15 NUL", stream, "a\x00b", "may not hold a NUL byte"},
		{"cp A.1/22 empty prefix", streamPrefix, "", ""},
		{"cp A.1/22 dot", streamPrefix, ".", ""},
		{"cp A.1/22 two dots", streamPrefix, "..", ""},
		{"cp A.1/22 512 bytes", streamPrefix, a(512), ""},
		{"cp A.1/23 513 bytes", streamPrefix, a(513), "invalid start_after: has 513 bytes, at most 512"},
		{"D-15 NUL in a prefix", streamPrefix, "\x00", "NUL"},
		{"cp A.1/30 token of 36 bytes", protocol.CheckRequestToken, a(36), ""},
		{"cp A.1/30 empty token", protocol.CheckRequestToken, "", ""},
		{"cp A.1/31 token of 37 bytes", protocol.CheckRequestToken, a(37), "request token: has 37 bytes, at most 36"},
		{"1.1 token with a space", protocol.CheckRequestToken, "a b", "visible ASCII"},
		{"1.1 token with an umlaut", protocol.CheckRequestToken, "ä", "visible ASCII"},
	} {
		t.Run(c.name, func(t *testing.T) { wantName(t, c.check(c.in), c.want) })
	}
}

func TestURIs(t *testing.T) {
	ref, err := protocol.ParseStreamURI("s2://demo-basin/user/42/chat")
	if err != nil || ref.Basin != "demo-basin" || ref.Stream != "user/42/chat" || ref.String() != "s2://demo-basin/user/42/chat" {
		t.Fatalf("got %+v, %v", ref, err)
	}
	for uri, want := range map[string]string{
		"demo-basin/x": "does not begin with s2://", "s2://demo-basin": "names no stream", "s2://demo-basin/": "names no stream", "s2://short/x": "at least 8",
		"S2://demo-basin/x": "does not begin with s2://",
	} {
		_, err := protocol.ParseStreamURI(uri)
		wantName(t, err, want)
	}
	for uri, want := range map[string]string{"demo-basin": "", "s2://demo-basin": "", "s2://demo-basin/": "", "s2://demo-basin/a/b": "a/b"} {
		basin, prefix, err := protocol.ParseBasinURI(uri)
		if err != nil || basin != "demo-basin" || prefix != want {
			t.Errorf("%s: got %q, %q, %v", uri, basin, prefix, err)
		}
	}
	_, _, err = protocol.ParseBasinURI("s2://demo-basin/" + strings.Repeat("p", 513))
	wantName(t, err, "stream prefix: has 513 bytes")
}
