package cli_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/declare"
	"github.com/weirstream/weir/protocol"
)

// tokenService is a service with access tokens to look at.
type tokenService struct {
	*fakeService
	tokens []protocol.AccessTokenInfo
}

func (s tokenService) ListAccessTokens(_ context.Context, req protocol.ListRequest) (protocol.AccessTokenPage, error) {
	tokens, more := page(slices.Clone(s.tokens), req, func(t protocol.AccessTokenInfo) string { return string(t.ID) })
	return protocol.AccessTokenPage{Tokens: tokens, HasMore: more}, nil
}

func TestDiffOfAccessTokens(t *testing.T) {
	reader := protocol.AccessTokenScope{Basins: protocol.ResourceSet{Kind: protocol.MatchPrefix}, Ops: protocol.Operations(protocol.OpRead)}
	same := reader
	same.Streams = protocol.ResourceSet{Kind: protocol.MatchExact} // matches nothing, as none does
	writer := protocol.AccessTokenScope{Basins: protocol.ResourceSet{Kind: protocol.MatchExact, Name: "demo-basin"},
		Ops: protocol.Operations(protocol.OpAppend)}
	svc := func() protocol.Service {
		return tokenService{newFake(), []protocol.AccessTokenInfo{
			{ID: "reader-1", Scope: reader},
			{ID: "reader-2", Scope: same},
			{ID: "writer/1", Scope: writer, ExpiresAt: time.Unix(1800000000, 0)},
		}}
	}
	if r := weir(svc(), "", "diff", "-r", "access-token", "reader-1", "reader-2", "--exit-code"); r.code != 0 || !strings.Contains(r.stdout.String(), "no differences") {
		t.Errorf("the same: exit %d, %s%s", r.code, &r.stdout, &r.stderr)
	}
	r := weir(svc(), "", "diff", "-r", "access-token", "reader-1", "writer/1", "--exit-code")
	const want = `--- reader-1
+++ writer/1
@@ expires_at
- none
+ 2027-01-15T08:00:00Z
@@ scope.basins
- prefix 
+ exact demo-basin
@@ scope.ops.append
- false
+ true
@@ scope.ops.read
- true
+ false
`
	if r.code != 1 || r.stdout.String() != want || r.stderr.String() != "" {
		t.Errorf("exit %d, got\n%s%s", r.code, &r.stdout, &r.stderr)
	}
	r = weir(svc(), "", "diff", "-r", "access-token", "reader-1", "reader")
	if r.code != 1 || !strings.Contains(r.stderr.String(), `access token "reader" does not exist (access_token_not_found)`) {
		t.Errorf("a prefix is no id: exit %d, %s%s", r.code, &r.stdout, &r.stderr)
	}
}

func TestApplyAFileAndPrintItsSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resources.json")
	if err := os.WriteFile(path, []byte(`{"basins":[{"name":"basin-one"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := weir(newFake(), "", "apply", "--file", path); r.code != 0 || r.stdout.String() != "created s2://basin-one\n" {
		t.Errorf("apply: exit %d, %s%s", r.code, &r.stdout, &r.stderr)
	}
	if r := weir(nil, "", "apply", "--schema"); r.code != 0 || r.stdout.String() != string(declare.Schema()) {
		t.Errorf("schema: exit %d, %s%s", r.code, &r.stdout, &r.stderr)
	}
}
