package adapter

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

// tokenView is the tokens in memory: ordered by id for listings, and by hash for login. Everything in it is durable.
type tokenView struct {
	mu     sync.RWMutex // guards what follows
	byID   btree.Map[string, *tokenEntry]
	byHash map[[32]byte]*tokenEntry
	// removedAt has the revisions of tokens that were removed here and that the watch may still tell of, so that a removed
	// token does not come back for the moment until the watch tells of its removal. Of a shared catalog only.
	removedAt map[string]uint64
	removed   func(hash [32]byte)
}

type tokenEntry struct {
	protocol.StoredToken
	revision uint64
}

// put stores an entry, unless the view knows better. replaced is the hash that the id had before, if it had another.
func (v *tokenView) put(e *tokenEntry) (replaced [32]byte, had bool) {
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

// remove takes a token out that was removed at a later revision than its own. reported says that the watch has reported it.
func (v *tokenView) remove(id string, revision uint64, reported bool) (hash [32]byte, had bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if reported && v.removedAt[id] < revision {
		delete(v.removedAt, id)
	}
	e, ok := v.byID.Get(id)
	if !ok || e.revision >= revision {
		return hash, false
	}
	v.byID.Delete(id)
	delete(v.byHash, e.Hash)
	if !reported {
		if v.removedAt == nil {
			v.removedAt = map[string]uint64{}
		}
		v.removedAt[id] = e.revision
	}
	return e.Hash, true
}

func (v *tokenView) get(id protocol.AccessTokenID) *tokenEntry {
	v.mu.RLock()
	defer v.mu.RUnlock()
	e, _ := v.byID.Get(string(id))
	return e
}

// announce reports that a token was removed.
func (v *tokenView) announce(hash [32]byte) {
	v.mu.RLock()
	removed := v.removed
	v.mu.RUnlock()
	if removed != nil {
		removed(hash)
	}
}

// OnTokenRemoved sets what is called with the hash of every token that was removed, here or by another server, once
// TokenByHash does not find it any more.
func (a *Adapter) OnTokenRemoved(f func(hash [32]byte)) {
	a.catalog.tokens.onRemoved(f)
}

func (v *tokenView) onRemoved(f func(hash [32]byte)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.removed = f
}

// Token finds a token by its id.
func (a *Adapter) Token(id protocol.AccessTokenID) (protocol.StoredToken, bool) {
	if e := a.catalog.tokens.get(id); e != nil {
		return e.StoredToken, true
	}
	return protocol.StoredToken{}, false
}

// TokenByHash finds a token by the hash of its secret.
func (a *Adapter) TokenByHash(hash [32]byte) (protocol.StoredToken, bool) {
	return a.catalog.tokens.withHash(hash)
}

func (v *tokenView) withHash(hash [32]byte) (t protocol.StoredToken, ok bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if e := v.byHash[hash]; e != nil {
		return e.StoredToken, true
	}
	return t, false
}

// ListTokens returns a page of tokens by id, and whether more match.
func (a *Adapter) ListTokens(req protocol.ListRequest) (page []protocol.StoredToken, more bool) {
	return a.catalog.tokens.list(req)
}

func (v *tokenView) list(req protocol.ListRequest) (page []protocol.StoredToken, more bool) {
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

// PutToken stores a token under its id, durably. Codes: resource_already_exists.
func (a *Adapter) PutToken(ctx context.Context, t protocol.StoredToken) error {
	return a.catalog.change(ctx, tokenKey(t.Info.ID), func() error {
		if a.catalog.tokens.get(t.Info.ID) != nil {
			return protocol.Errorf(protocol.CodeResourceAlreadyExists, "access token %q exists already", t.Info.ID)
		}
		revision, err := a.catalog.write(ctx, tokenKey(t.Info.ID), recordOf(t), 0)
		if err == nil {
			a.catalog.tokens.put(&tokenEntry{t, revision})
		}
		return err
	})
}

// ConfirmToken makes a token count that was issued while nothing was checked, durably. Codes: access_token_not_found.
func (a *Adapter) ConfirmToken(ctx context.Context, id protocol.AccessTokenID) error {
	return a.catalog.change(ctx, tokenKey(id), func() error {
		e := a.catalog.tokens.get(id)
		switch {
		case e == nil:
			return protocol.Errorf(protocol.CodeAccessTokenNotFound, "access token %q does not exist", id)
		case !e.Info.Unconfirmed:
			return nil
		}
		t := e.StoredToken
		t.Info.Unconfirmed = false
		revision, err := a.catalog.write(ctx, tokenKey(id), recordOf(t), e.revision)
		if err == nil {
			a.catalog.tokens.put(&tokenEntry{t, revision})
		}
		return err
	})
}

// unconfirmed is a token's entry, checked before, of which the word is not taken that it counts.
func unconfirmed(value []byte) ([]byte, error) {
	var rec tokenRecord
	if err := json.Unmarshal(value, &rec); err != nil {
		return nil, fmt.Errorf("decode the access token: %w", err)
	}
	rec.Token.Unconfirmed = true
	return encodeEntry(rec)
}

func recordOf(t protocol.StoredToken) tokenRecord {
	return tokenRecord{Token: t.Info, Hash: t.Hash[:], IssuedAt: t.IssuedAt}
}

// RemoveToken removes a token, durably, and has announced it when it returns. Codes: access_token_not_found.
func (a *Adapter) RemoveToken(ctx context.Context, id protocol.AccessTokenID) error {
	return a.catalog.change(ctx, tokenKey(id), func() error {
		e := a.catalog.tokens.get(id)
		if e == nil {
			return protocol.Errorf(protocol.CodeAccessTokenNotFound, "access token %q does not exist", id)
		}
		// Once begun it is not given up: a token that may have been removed must not stay valid here.
		if err := a.catalog.purge(context.WithoutCancel(ctx), tokenKey(id), e.revision); err != nil {
			if errors.Is(err, error(errConflict)) {
				return err
			}
			return protocol.Wrap(protocol.CodeStorage, err, "the removal could not be confirmed; it may have been made")
		}
		a.catalog.forgetToken(id, e.revision+1)
		return nil
	})
}

// applyToken brings what is stored under a token's key into the view.
func (c *catalog) applyToken(e catalogEntry) error {
	id, ok := unescapeName(strings.TrimPrefix(e.key, tokenKeys))
	if !ok {
		return fmt.Errorf("catalog entry %s: the key is malformed", e.key)
	}
	if e.deleted {
		if hash, had := c.tokens.remove(id, e.revision, true); had {
			c.tokens.announce(hash)
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
	if replaced, had := c.tokens.put(entry); had {
		c.tokens.announce(replaced)
	}
	return nil
}

// forgetToken takes out a token of which it is known that it was removed, at revision.
func (c *catalog) forgetToken(id protocol.AccessTokenID, revision uint64) {
	hash, had := c.tokens.remove(string(id), revision, !c.a.opts.Shared)
	if had {
		c.tokens.announce(hash)
	}
}
