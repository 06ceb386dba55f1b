package access_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir/broker/internal/access"
	"github.com/weirstream/weir/protocol"
)

// TestListingsAgreeWithFiltering: a page of what is in scope is what a caller would get who lists everything and leaves
// out the rest, for any scope and request, and it asks the core once, for no more than the page.
func TestListingsAgreeWithFiltering(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	word := func(most int) string {
		var b strings.Builder
		for range rng.IntN(most + 1) {
			b.WriteByte("ab/"[rng.IntN(3)])
		}
		return b.String()
	}
	for range 3000 {
		var names []string
		for range rng.IntN(30) {
			names = append(names, "x"+word(5))
		}
		slices.Sort(names)
		names = slices.Compact(names)
		set := []protocol.ResourceSet{{}, exactly("x" + word(4)), prefixed("x" + word(3)), prefixed("")}[rng.IntN(4)]
		req := protocol.ListRequest{Limit: rng.IntN(5)}
		if rng.IntN(2) == 0 {
			req.Prefix = "x" + word(3)
		}
		if rng.IntN(2) == 0 {
			req.StartAfter = "x" + word(4)
		}
		var scoped []string
		for _, name := range names {
			if set.Matches(name) {
				scoped = append(scoped, name)
			}
		}
		wantNames, wantMore := pageOf(scoped, req)
		g, c := newGuard(t, names...)
		token := all("one")
		token.Scope.Streams = set
		token.Scope.AccessTokens = protocol.ResourceSet{}
		svc := caller(t, g, issue(t, g, token)).Service()
		page, err := svc.ListStreams(t.Context(), "demo-basin", req)
		if err != nil {
			t.Fatal(err)
		}
		got := []string{}
		for _, s := range page.Streams {
			got = append(got, string(s.Name))
		}
		if fmt.Sprint(got, page.HasMore) != fmt.Sprint(wantNames, wantMore) {
			t.Fatalf("%q, scope %+v, request %+v: got %q %v, want %q %v", names, set, req, got, page.HasMore, wantNames, wantMore)
		}
		if c.asked != 1 || c.costs > req.PageSize() {
			t.Fatalf("scope %+v, request %+v: %d listings of up to %d items", set, req, c.asked, c.costs)
		}
	}
}

// TestBasinsOutOfScopeCostNothing: a scope without basins does not ask, one with a single basin asks for one.
func TestBasinsOutOfScopeCostNothing(t *testing.T) {
	g, c := newGuard(t, "basin-aa", "basin-aa-x", "basin-bb")
	for _, k := range []struct {
		set   protocol.ResourceSet
		want  string
		asked int
		costs int
	}{{protocol.ResourceSet{}, "[]", 0, 0}, {exactly("basin-aa"), "[basin-aa]", 1, 1}, {exactly("basin-cc"), "[]", 1, 1}, {prefixed("basin-b"), "[basin-bb]", 1, 1000}} {
		c.asked, c.costs = 0, 0
		token := all("one")
		token.Scope.Basins = k.set
		svc := caller(t, g, issue(t, g, token)).Service()
		page, err := svc.ListBasins(t.Context(), protocol.ListRequest{})
		if err != nil {
			t.Fatal(err)
		}
		got := []protocol.BasinName{}
		for _, b := range page.Basins {
			got = append(got, b.Name)
		}
		if fmt.Sprint(got) != k.want || page.HasMore || c.asked != k.asked || c.costs != k.costs {
			t.Errorf("%+v: got %v %v, %d listings of %d", k.set, got, page.HasMore, c.asked, c.costs)
		}
		if err := g.Root().Service().RevokeAccessToken(t.Context(), "one"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFailuresHideThePrefix: control plane 5.10, in whatever way a message spells the stream.
func TestFailuresHideThePrefix(t *testing.T) {
	g, _ := newGuard(t)
	token := all("one")
	token.AutoPrefixStreams, token.Scope.Streams = true, prefixed("ten\"ant\n/")
	svc := caller(t, g, issue(t, g, token)).Service()
	ref := protocol.StreamRef{Basin: "demo-basin", Stream: "mine"}
	_, err := svc.CheckTail(t.Context(), ref)
	if e := protocol.AsError(err); e.Code != protocol.CodeStreamNotFound || e.Message != `stream "mine" does not exist in basin "demo-basin"` {
		t.Errorf("got %v", err)
	}
	err = svc.DeleteStream(t.Context(), ref)
	if e := protocol.AsError(err); e.Code != protocol.CodeStorage || strings.Contains(e.Message, "ant") {
		t.Errorf("got %v", err)
	}
}

// TestWhatIsStoredCanBeRead: a program in process may ask for names that no door lets through.
func TestWhatIsStoredCanBeRead(t *testing.T) {
	g, _ := newGuard(t)
	for _, change := range []func(*protocol.IssueAccessTokenRequest){
		func(r *protocol.IssueAccessTokenRequest) { r.ID = "" },
		func(r *protocol.IssueAccessTokenRequest) { r.ID = ".." },
		func(r *protocol.IssueAccessTokenRequest) { r.Scope.Basins = prefixed("-x") },
		func(r *protocol.IssueAccessTokenRequest) { r.Scope.Streams = exactly("\xff") },
		func(r *protocol.IssueAccessTokenRequest) { r.Scope.AccessTokens = exactly(strings.Repeat("x", 97)) },
	} {
		req := all("one")
		change(&req)
		_, err := g.Root().Service().IssueAccessToken(t.Context(), req)
		hasCode(t, err, protocol.CodeInvalid)
	}
}

// TestMetricsNeedTheirOperationAndScope: control plane A.21/400. The core here answers nothing, so a call that gets past the
// rule would panic.
func TestMetricsNeedTheirOperationAndScope(t *testing.T) {
	g := access.New(&core{}, newStore(), access.Options{RootSecret: "a root secret"})
	defer g.Close()
	in := protocol.StreamRef{Basin: "basin-one", Stream: "logs/1"}
	ask := func(svc protocol.Service, ref protocol.StreamRef) (account, basin, stream error) {
		_, account = svc.AccountMetrics(t.Context(), protocol.MetricsQuery{})
		_, basin = svc.BasinMetrics(t.Context(), ref.Basin, protocol.MetricsQuery{})
		_, stream = svc.StreamMetrics(t.Context(), ref, protocol.MetricsQuery{})
		return account, basin, stream
	}

	req := all("without")
	req.Scope.Ops &^= protocol.Operations(protocol.OpAccountMetrics, protocol.OpBasinMetrics, protocol.OpStreamMetrics)
	account, basin, stream := ask(caller(t, g, issue(t, g, req)).Service(), in)
	for _, err := range []error{account, basin, stream} {
		hasCode(t, err, protocol.CodePermissionDenied)
	}

	req = all("elsewhere")
	req.Scope.Ops = protocol.Operations(protocol.OpBasinMetrics, protocol.OpStreamMetrics)
	req.Scope.Basins, req.Scope.Streams = prefixed("basin-two"), prefixed("logs/")
	_, basin, stream = ask(caller(t, g, issue(t, g, req)).Service(), in)
	hasCode(t, basin, protocol.CodePermissionDenied)
	hasCode(t, stream, protocol.CodePermissionDenied)

	req = all("other streams")
	req.Scope.Ops, req.Scope.Streams = protocol.Operations(protocol.OpStreamMetrics), prefixed("data/")
	_, _, stream = ask(caller(t, g, issue(t, g, req)).Service(), in)
	hasCode(t, stream, protocol.CodePermissionDenied)
}
