package adapter

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

func testToken(id, secret string) protocol.StoredToken {
	return protocol.StoredToken{Hash: sha256.Sum256([]byte(secret)), IssuedAt: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
		Info: protocol.AccessTokenInfo{ID: protocol.AccessTokenID(id), ExpiresAt: time.Date(2030, 1, 2, 3, 4, 5, 123456789, time.UTC),
			Scope: protocol.AccessTokenScope{Streams: protocol.ResourceSet{Kind: protocol.MatchPrefix, Name: "a/é"},
				Ops: protocol.Operations(protocol.OpRead)}}}
}

func TestTokensSurviveARestart(t *testing.T) {
	h := newHarness(t)
	ids := []string{"a", "a/b", "a.b", "*", ">", "é", " ", "%", "=2E", strings.Repeat("x", 96)}
	for _, id := range ids {
		if err := h.PutToken(t.Context(), testToken(id, "secret of "+id)); err != nil {
			t.Fatalf("%q: %v", id, err)
		}
	}
	err := h.PutToken(t.Context(), testToken("a", "another"))
	if protocol.CodeOf(err) != protocol.CodeResourceAlreadyExists {
		t.Fatalf("got %v", err)
	}
	var gone [][32]byte
	h.OnTokenRemoved(func(hash [32]byte) { gone = append(gone, hash) })
	if err := h.RemoveToken(t.Context(), ">"); err != nil {
		t.Fatal(err)
	}
	if want := testToken(">", "secret of >").Hash; len(gone) != 1 || gone[0] != want {
		t.Fatalf("announced %x", gone)
	}
	if err := h.RemoveToken(t.Context(), ">"); protocol.CodeOf(err) != protocol.CodeAccessTokenNotFound {
		t.Fatalf("got %v", err)
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return id == ">" })
	slices.Sort(ids)
	check := func() {
		t.Helper()
		page, more := h.ListTokens(protocol.ListRequest{})
		var got []string
		for _, token := range page {
			got = append(got, string(token.Info.ID))
		}
		if !slices.Equal(got, ids) || more {
			t.Fatalf("got %q %v", got, more)
		}
		for _, id := range ids {
			want := testToken(id, "secret of "+id)
			byID, ok := h.Token(want.Info.ID)
			byHash, ok2 := h.TokenByHash(want.Hash)
			if !ok || !ok2 || byID != want || byHash != want {
				t.Fatalf("%q: got %+v and %+v", id, byID, byHash)
			}
		}
		if _, ok := h.TokenByHash(testToken(">", "secret of >").Hash); ok {
			t.Fatal("a removed token is found")
		}
	}
	check()
	h.reopen()
	check()
	if page, more := h.ListTokens(protocol.ListRequest{Prefix: "a", Limit: 2}); len(page) != 2 || !more {
		t.Fatalf("got %d, %v", len(page), more)
	}
}

// TestTokensOfAnotherServer: what one server issues and revokes the other knows soon, and a token that was revoked here
// does not come back.
func TestTokensOfAnotherServer(t *testing.T) {
	h := newHarness(t, func(o *Options) { o.Shared = true })
	second, err := Open(t.Context(), h.opts)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close(t.Context())
	gone := make(chan [32]byte, 100)
	second.OnTokenRemoved(func(hash [32]byte) { gone <- hash })
	for i := range 20 {
		token := testToken("shared", fmt.Sprint("secret ", i))
		if err := h.PutToken(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		if err := h.RemoveToken(t.Context(), "shared"); err != nil {
			t.Fatal(err)
		}
		if _, ok := h.TokenByHash(token.Hash); ok {
			t.Fatal("it is found after its removal")
		}
	}
	last := testToken("shared", "last")
	if err := h.PutToken(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	// The second server revokes what the first has issued, whether the news has reached it or not.
	for {
		err := second.RemoveToken(t.Context(), "shared")
		if err == nil {
			break
		}
		if protocol.CodeOf(err) != protocol.CodeAccessTokenNotFound {
			t.Fatal(err)
		}
	}
	for hash := range gone {
		if hash == last.Hash {
			break
		}
	}
	if _, ok := second.Token("shared"); ok {
		t.Fatal("it is there after its removal")
	}
	// Nor does the first server keep it, as soon as it hears of it; an id that is taken elsewhere is taken.
	for {
		if err := h.PutToken(t.Context(), testToken("shared", "again")); err == nil {
			break
		} else if protocol.CodeOf(err) != protocol.CodeResourceAlreadyExists {
			t.Fatal(err)
		}
	}
	if err := second.PutToken(t.Context(), testToken("shared", "third")); protocol.CodeOf(err) != protocol.CodeResourceAlreadyExists {
		t.Fatalf("got %v", err)
	}
}

func TestOneOfManyIssuesAnID(t *testing.T) {
	h := newHarness(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	issued := 0
	for i := range 10 {
		wg.Go(func() {
			err := h.PutToken(t.Context(), testToken("one", fmt.Sprint(i)))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				issued++
			} else if protocol.CodeOf(err) != protocol.CodeResourceAlreadyExists {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if issued != 1 {
		t.Errorf("%d were issued", issued)
	}
}
