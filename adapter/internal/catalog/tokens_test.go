package catalog

import (
	"crypto/sha256"
	"testing"

	"github.com/weirstream/weir/protocol"
)

// TestTokensIgnoreStaleReports: the watch reports what was written in its order, and later than it happened.
func TestTokensIgnoreStaleReports(t *testing.T) {
	var v Tokens
	token := func(secret string) protocol.StoredToken {
		return protocol.StoredToken{Hash: sha256.Sum256([]byte(secret)), Info: protocol.AccessTokenInfo{ID: "a"}}
	}
	entry := func(secret string, revision uint64) *tokenEntry { return &tokenEntry{token(secret), revision} }
	v.put(entry("one", 5))
	if hash, had := v.remove("a", 6); !had || hash != token("one").Hash {
		t.Fatal("it was not removed")
	}
	v.put(entry("one", 5)) // the watch
	if v.get("a") != nil || len(v.byHash) != 0 {
		t.Fatal("a removed token is back")
	}
	v.put(entry("two", 7))   // issued again before the watch told of the removal
	v.removeReported("a", 6) // the watch
	if e := v.get("a"); e == nil || e.revision != 7 || len(v.removedAt) != 0 {
		t.Fatal("the removal of the one before took the next one away")
	}
	if replaced, had := v.put(entry("three", 9)); !had || replaced != token("two").Hash || len(v.byHash) != 1 {
		t.Fatal("put does not return what it replaced")
	}
	v.put(entry("two", 7)) // the watch
	if v.get("a").revision != 9 {
		t.Fatal("an older token is back")
	}
	if _, had := v.removeReported("a", 10); !had || len(v.byHash) != 0 || len(v.removedAt) != 0 {
		t.Fatal("it is not gone")
	}
}
