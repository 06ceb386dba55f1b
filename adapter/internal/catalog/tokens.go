package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/tidwall/btree"

	"github.com/weirstream/weir/protocol"
)

// tokenRecord is the value of a token's key in the catalog, in JSON.
type tokenRecord struct {
	Token    protocol.AccessTokenInfo `json:"token"`
	Hash     []byte                   `json:"hash"`
	IssuedAt time.Time                `json:"issued_at"`
}

// tokenKeys begin the keys of tokens: t.<id>, escaped as the names of streams are.
const tokenKeys = "t."

func tokenKey(id protocol.AccessTokenID) string { return tokenKeys + escapeName(string(id)) }

// Tokens is the tokens in memory: ordered by id for listings, and by hash for login. Everything in it is durable.
type Tokens struct {
	mu     sync.RWMutex // guards the fields below
	byID   btree.Map[string, *tokenEntry]
	byHash map[[32]byte]*tokenEntry
	// removedAt has the revisions of tokens that were removed here and that the watch may still report, so that a removed
	// token does not come back for the moment until the watch reports its removal. Of a shared catalog only.
	removedAt map[string]uint64
	removed   func(hash [32]byte)
}

type tokenEntry struct {
	protocol.StoredToken
	revision uint64
}

// put stores an entry, unless the view knows better. replaced is the hash that the id had before, if it had another.
func (v *Tokens) put(e *tokenEntry) (replaced [32]byte, had bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	id := string(e.Info.ID)
	if e.revision <= v.removedAt[id] {
		return replaced, false
	}
	delete(v.removedAt, id)
	old, ok := v.byID.Get(id)
	switch {
	case ok && old.revision > e.revision:
		return replaced, false
	case ok && old.Hash != e.Hash:
		delete(v.byHash, old.Hash)
		replaced, had = old.Hash, true
	}
	if v.byHash == nil {
		v.byHash = map[[32]byte]*tokenEntry{}
	}
	v.byID.Set(id, e)
	v.byHash[e.Hash] = e
	return replaced, had
}

// remove takes a token out that was removed here at a later revision than its own. The watch will report that.
func (v *Tokens) remove(id string, revision uint64) (hash [32]byte, had bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	e := v.removeLocked(id, revision)
	if e == nil {
		return hash, false
	}
	if v.removedAt == nil {
		v.removedAt = map[string]uint64{}
	}
	v.removedAt[id] = e.revision
	return e.Hash, true
}

// removeReported is remove for a removal that the watch has reported, or that no watch will report.
func (v *Tokens) removeReported(id string, revision uint64) (hash [32]byte, had bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.removedAt[id] < revision {
		delete(v.removedAt, id)
	}
	e := v.removeLocked(id, revision)
	if e == nil {
		return hash, false
	}
	return e.Hash, true
}

// removeLocked takes a token out that is older than revision, and returns it; nil: there is none.
func (v *Tokens) removeLocked(id string, revision uint64) *tokenEntry {
	e, ok := v.byID.Get(id)
	if !ok || e.revision >= revision {
		return nil
	}
	v.byID.Delete(id)
	delete(v.byHash, e.Hash)
	return e
}

func (v *Tokens) get(id protocol.AccessTokenID) *tokenEntry {
	v.mu.RLock()
	defer v.mu.RUnlock()
	e, _ := v.byID.Get(string(id))
	return e
}

// announce reports that a token was removed.
func (v *Tokens) announce(hash [32]byte) {
	v.mu.RLock()
	removed := v.removed
	v.mu.RUnlock()
	if removed != nil {
		removed(hash)
	}
}

// OnRemoved sets the function that is called with the hash of every removed token, once WithHash does not find it any more.
func (v *Tokens) OnRemoved(f func(hash [32]byte)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.removed = f
}

// WithID finds a token by its id.
func (v *Tokens) WithID(id protocol.AccessTokenID) (t protocol.StoredToken, ok bool) {
	if e := v.get(id); e != nil {
		return e.StoredToken, true
	}
	return t, false
}

// WithHash finds a token by the hash of its secret.
func (v *Tokens) WithHash(hash [32]byte) (t protocol.StoredToken, ok bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if e := v.byHash[hash]; e != nil {
		return e.StoredToken, true
	}
	return t, false
}

// List returns a page of tokens by id, and whether more match.
func (v *Tokens) List(req protocol.ListRequest) (page []protocol.StoredToken, more bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	list(&v.byID, req, func(e *tokenEntry) bool {
		if more = len(page) == req.PageSize(); !more {
			page = append(page, e.StoredToken)
		}
		return !more
	})
	return page, more
}

// applyToken brings the stored value of a token's key into the view.
func (c *Catalog) applyToken(e keyValue) error {
	id, ok := unescapeName(strings.TrimPrefix(e.key, tokenKeys))
	if !ok {
		return fmt.Errorf("catalog entry %s: the key is malformed", e.key)
	}
	if e.deleted {
		if hash, had := c.Tokens.removeReported(id, e.revision); had {
			c.Tokens.announce(hash)
		}
		return nil
	}
	var r tokenRecord
	if err := json.Unmarshal(e.value, &r); err != nil {
		return fmt.Errorf("catalog entry %s: %w", e.key, err)
	}
	if string(r.Token.ID) != id || len(r.Hash) != 32 {
		return fmt.Errorf("catalog entry %s: it is not the record of that token", e.key)
	}
	entry := &tokenEntry{protocol.StoredToken{Info: r.Token, Hash: [32]byte(r.Hash), IssuedAt: r.IssuedAt}, e.revision}
	if replaced, had := c.Tokens.put(entry); had {
		c.Tokens.announce(replaced)
	}
	return nil
}

// forgetToken takes out a token of which it is known that it was removed, at revision.
func (c *Catalog) forgetToken(id protocol.AccessTokenID, revision uint64) {
	remove := c.Tokens.removeReported
	if c.config.Shared {
		remove = c.Tokens.remove
	}
	if hash, had := remove(string(id), revision); had {
		c.Tokens.announce(hash)
	}
}

// Count returns how many tokens there are.
func (v *Tokens) Count() int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.byID.Len()
}

// PutToken stores a token under its id, durably. Codes: resource_already_exists.
func (c *Catalog) PutToken(ctx context.Context, t protocol.StoredToken) error {
	return c.Change(ctx, tokenKey(t.Info.ID), func() error {
		if c.Tokens.get(t.Info.ID) != nil {
			return protocol.Errorf(protocol.CodeResourceAlreadyExists, "access token %q exists already", t.Info.ID)
		}
		revision, err := c.Write(ctx, tokenKey(t.Info.ID), recordOf(t), 0)
		if err == nil {
			c.Tokens.put(&tokenEntry{t, revision})
		}
		return err
	})
}

// ConfirmToken makes a token count that was issued while nothing was checked, durably. Codes: access_token_not_found.
func (c *Catalog) ConfirmToken(ctx context.Context, id protocol.AccessTokenID) error {
	return c.Change(ctx, tokenKey(id), func() error {
		e := c.Tokens.get(id)
		switch {
		case e == nil:
			return protocol.Errorf(protocol.CodeAccessTokenNotFound, "access token %q does not exist", id)
		case !e.Info.Unconfirmed:
			return nil
		}
		t := e.StoredToken
		t.Info.Unconfirmed = false
		revision, err := c.Write(ctx, tokenKey(id), recordOf(t), e.revision)
		if err == nil {
			c.Tokens.put(&tokenEntry{t, revision})
		}
		return err
	})
}

func recordOf(t protocol.StoredToken) tokenRecord {
	return tokenRecord{Token: t.Info, Hash: t.Hash[:], IssuedAt: t.IssuedAt}
}

// Unconfirmed is the value of a key that is restored into an open broker: a token is to be confirmed, see ConfirmToken. The value
// was checked with [CheckAccountEntry].
func Unconfirmed(key string, value []byte) ([]byte, error) {
	if !strings.HasPrefix(key, tokenKeys) {
		return value, nil
	}
	var rec tokenRecord
	if err := json.Unmarshal(value, &rec); err != nil {
		return nil, fmt.Errorf("decode the access token: %w", err)
	}
	rec.Token.Unconfirmed = true
	return encodeEntry(rec)
}

// rememberRevocation is how long the catalog notes that a token was removed; 0: for ever. Without the note JetStream can bring the
// token back when it recovers from a crash (docs/adr/0022), so that it must stay for as long as the token would be valid.
func rememberRevocation(t protocol.AccessTokenInfo, now time.Time) time.Duration {
	if t.ExpiresAt.IsZero() {
		return 0
	}
	// In whole seconds, as JetStream counts, and with an hour for a clock that is set back.
	return max(0, t.ExpiresAt.Sub(now)).Round(time.Second) + deleteMarkerTTL
}

// RemoveToken removes a token, durably, and has announced it when it returns. Codes: access_token_not_found.
func (c *Catalog) RemoveToken(ctx context.Context, id protocol.AccessTokenID) error {
	return c.Change(ctx, tokenKey(id), func() error {
		e := c.Tokens.get(id)
		if e == nil {
			return protocol.Errorf(protocol.CodeAccessTokenNotFound, "access token %q does not exist", id)
		}
		// Once begun it is not given up: a token that may have been removed must not stay valid here.
		if err := c.purge(context.WithoutCancel(ctx), tokenKey(id), e.revision, rememberRevocation(e.Info, time.Now())); err != nil {
			if errors.Is(err, error(errConflict)) {
				return err
			}
			return notWritten(err)
		}
		c.forgetToken(id, e.revision+1)
		return nil
	})
}
