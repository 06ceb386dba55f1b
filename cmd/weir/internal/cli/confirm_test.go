package cli_test

import (
	"strings"
	"testing"

	"github.com/weirstream/weir/protocol"
)

// TestConfirmAccessToken: ids or --all, not both and not neither; the list marks what is unconfirmed.
func TestConfirmAccessToken(t *testing.T) {
	fake := func() *fakeService {
		f := newFake()
		f.tokens = map[protocol.AccessTokenID]protocol.AccessTokenInfo{
			"a": {ID: "a", Unconfirmed: true}, "b c": {ID: "b c", Unconfirmed: true}, "d": {ID: "d"}}
		return f
	}
	f := fake()
	if r := weir(f, "", "list-access-tokens"); r.code != 0 || strings.Count(r.stdout.String(), "[unconfirmed]") != 2 {
		t.Errorf("exit %d, %s%s", r.code, r.stdout.String(), r.stderr.String())
	}
	for _, args := range [][]string{{}, {"a", "--all"}, {".."}} {
		if r := weir(f, "", append([]string{"confirm-access-token"}, args...)...); r.code != 2 || !f.tokens["a"].Unconfirmed {
			t.Errorf("%v: exit %d, %s", args, r.code, r.stderr.String())
		}
	}
	if r := weir(f, "", "confirm-access-token", "a", "missing", "b c"); r.code != 1 || r.stdout.String() != "confirmed a\n" || !strings.Contains(r.stderr.String(), "missing") {
		t.Errorf("exit %d, %q %q", r.code, r.stdout.String(), r.stderr.String())
	}
	if f.tokens["a"].Unconfirmed || !f.tokens["b c"].Unconfirmed {
		t.Errorf("%+v", f.tokens)
	}
	f = fake()
	if r := weir(f, "", "confirm-access-token", "--all"); r.code != 0 || r.stdout.String() != "confirmed a\nconfirmed \"b c\"\n" {
		t.Errorf("exit %d, %q %q", r.code, r.stdout.String(), r.stderr.String())
	}
	if r := weir(f, "", "list-access-tokens"); strings.Contains(r.stdout.String(), "[unconfirmed]") {
		t.Error(r.stdout.String())
	}
}
