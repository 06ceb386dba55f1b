package subject_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/subject"
)

func TestEncode(t *testing.T) {
	for name, want := range map[protocol.StreamName]string{
		"user/42/chat":         "user.42.chat",
		"greetings":            "greetings",
		"a.b":                  "a%2Eb",
		"...":                  "%2E%2E%2E",
		"100%":                 "100%25",
		"%":                    "%25",
		"%2E":                  "%252E",
		"*":                    "%2A",
		"a/>":                  "a.%3E",
		"/":                    "%.%",
		"//a/":                 "%.%.a.%",
		"/a":                   "%.a",
		"a b\tc\r\nd":          "a%20b%09c%0D%0Ad",
		"\x01\x7f":             "%01%7F",
		"漢字/é":                 "漢字.é",
		"a\u00a0b":             "a%C2%A0b",
		"\u2028\u3000\u0085":   "%E2%80%A8%E3%80%80%C2%85",
		"\uFFFD😀":              "\uFFFD😀",
		"$SYS/x":               "%24SYS.x",
		"$JS/$1/a$b":           "%24JS.%241.a$b",
		"a\\b\"c{d}[e]|f#g&h+": "a\\b\"c{d}[e]|f#g&h+",
	} {
		if got := subject.Encode(name); got != want {
			t.Errorf("%q: got %s, want %s", name, got, want)
		}
		if back, err := subject.Decode(want); err != nil || back != name {
			t.Errorf("%s: got %q, %v", want, back, err)
		}
	}
	for _, worst := range []string{strings.Repeat("%", 512), strings.Repeat("/", 512), strings.Repeat("\x01", 512)} {
		s := subject.Encode(protocol.StreamName(worst))
		if back, err := subject.Decode(s); err != nil || string(back) != worst {
			t.Errorf("a name of 512 bytes: %v", err)
		}
		if len(s) > 3*512 {
			t.Errorf("%d bytes", len(s))
		}
	}
}

func TestEncodeRefusals(t *testing.T) {
	for in, want := range map[string]string{
		"":                        "empty token",
		".":                       "empty token",
		"a.":                      "empty token",
		".a":                      "empty token",
		"a..b":                    "empty token",
		"%":                       "is empty",
		"a.%2":                    "cut short",
		"a%":                      "cut short",
		"%%":                      "cut short",
		"%zz":                     "two upper-case hex digits",
		"%2e":                     "two upper-case hex digits",
		"%+1":                     "two upper-case hex digits",
		"%61":                     "canonical form; that would be a",
		"a%2Fb":                   "canonical form; that would be a.b",
		"$SYS":                    "canonical form",
		"a b":                     "canonical form",
		"a*":                      "canonical form",
		">":                       "canonical form",
		"%E6%BC%A2":               "canonical form",
		"%FF":                     "not valid UTF-8",
		"a\xff":                   "not valid UTF-8",
		"%00":                     "NUL",
		"%2E":                     `may not be "." or ".."`,
		"%2E%2E":                  `may not be "." or ".."`,
		strings.Repeat("a", 513):  "at most 512",
		strings.Repeat("a", 4000): "longer than",
	} {
		_, err := subject.Decode(in)
		var e *protocol.NameError
		if !errors.As(err, &e) || !strings.Contains(e.Error(), want) {
			t.Errorf("%q: got %v, want %q", in, err, want)
		}
	}
}

func FuzzEncode(f *testing.F) {
	for _, s := range []string{"user/42/chat", "/", "%", "a.b*>$", "$SYS", "漢\u00a0", "%2E", "a..b", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if name, err := protocol.ParseStreamName(s); err == nil {
			encoded := subject.Encode(name)
			for tok := range strings.SplitSeq(encoded, ".") {
				if tok == "" || tok[0] == '$' || strings.ContainsAny(tok, "*> \t\r\n\x00\x7f") || !utf8.ValidString(tok) {
					t.Fatalf("%q: bad token %q", s, tok)
				}
			}
			if back, err := subject.Decode(encoded); err != nil || back != name {
				t.Fatalf("%q: %q gives %q, %v", s, encoded, back, err)
			}
		}
		name, err := subject.Decode(s)
		if err == nil && subject.Encode(name) != s {
			t.Fatalf("%q is not what %q encodes to", s, name)
		}
		var e *protocol.NameError
		if err != nil && !errors.As(err, &e) {
			t.Fatal(err)
		}
	})
}

func BenchmarkEncodeDecode(b *testing.B) {
	b.ReportAllocs()
	name := protocol.StreamName("user/42/chat.room with space")
	for b.Loop() {
		if _, err := subject.Decode(subject.Encode(name)); err != nil {
			b.Fatal(err)
		}
	}
}
