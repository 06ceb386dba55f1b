package access_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/weirstream/weir/broker/internal/access"
	"github.com/weirstream/weir/protocol"
)

// store keeps tokens in memory.
type store struct {
	mu      sync.Mutex
	byID    map[protocol.AccessTokenID]protocol.StoredToken
	removed func([32]byte)
}

func newStore() *store { return &store{byID: map[protocol.AccessTokenID]protocol.StoredToken{}} }

func (s *store) OnTokenRemoved(f func([32]byte)) { s.removed = f }

func (s *store) PutToken(_ context.Context, t protocol.StoredToken) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.byID[t.Info.ID]; ok {
		return protocol.Errorf(protocol.CodeResourceAlreadyExists, "it exists")
	}
	s.byID[t.Info.ID] = t
	return nil
}

func (s *store) ConfirmToken(_ context.Context, id protocol.AccessTokenID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.byID[id]
	if !ok {
		return protocol.Errorf(protocol.CodeAccessTokenNotFound, "it does not exist")
	}
	t.Info.Unconfirmed = false
	s.byID[id] = t
	return nil
}

func (s *store) RemoveToken(_ context.Context, id protocol.AccessTokenID) error {
	s.mu.Lock()
	t, ok := s.byID[id]
	delete(s.byID, id)
	s.mu.Unlock()
	if !ok {
		return protocol.Errorf(protocol.CodeAccessTokenNotFound, "it does not exist")
	}
	s.removed(t.Hash)
	return nil
}

func (s *store) TokenByHash(hash [32]byte) (protocol.StoredToken, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.byID {
		if t.Hash == hash {
			return t, true
		}
	}
	return protocol.StoredToken{}, false
}

func (s *store) ListTokens(_ context.Context, req protocol.ListRequest) (page []protocol.StoredToken, more bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for id := range s.byID {
		ids = append(ids, string(id))
	}
	ids, more = pageOf(ids, req)
	for _, id := range ids {
		page = append(page, s.byID[protocol.AccessTokenID(id)])
	}
	return page, more, nil
}

// pageOf is control plane 1.4.
func pageOf(names []string, req protocol.ListRequest) (page []string, more bool) {
	slices.Sort(names)
	for _, name := range names {
		if !strings.HasPrefix(name, req.Prefix) || req.StartAfter != "" && name <= req.StartAfter {
			continue
		}
		if len(page) == req.PageSize() {
			return page, true
		}
		page = append(page, name)
	}
	return page, false
}

// core is a service of names and of sessions that wait. What it does not have panics.
type core struct {
	access.Core
	streams []string

	mu     sync.Mutex
	asked  int // listings
	costs  int // the largest number of items that one of them asked for
	closed int // sessions
}

func (c *core) ListBasins(_ context.Context, req protocol.ListRequest) (page protocol.BasinPage, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	c.costs = max(c.costs, req.PageSize())
	names, more := pageOf(c.streams, req)
	for _, name := range names {
		page.Basins = append(page.Basins, protocol.BasinInfo{Name: protocol.BasinName(name)})
	}
	page.HasMore = more
	return page, nil
}

func (c *core) ListStreams(_ context.Context, basin protocol.BasinName, req protocol.ListRequest) (page protocol.StreamPage, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	c.costs = max(c.costs, req.PageSize())
	if basin != "demo-basin" {
		return page, protocol.Errorf(protocol.CodeBasinNotFound, "basin %q does not exist", basin)
	}
	names, more := pageOf(c.streams, req)
	for _, name := range names {
		page.Streams = append(page.Streams, protocol.StreamInfo{Name: protocol.StreamName(name)})
	}
	page.HasMore = more
	return page, nil
}

func (c *core) Read(ctx context.Context, _ protocol.StreamRef, _ protocol.ReadRequest, _ ...protocol.RecordOption) (protocol.ReadBatch, error) {
	<-ctx.Done()
	return protocol.ReadBatch{}, context.Cause(ctx)
}

func (c *core) CheckTail(_ context.Context, ref protocol.StreamRef) (protocol.StreamTail, error) {
	return protocol.StreamTail{}, protocol.Errorf(protocol.CodeStreamNotFound, "stream %q does not exist in basin %q", ref.Stream, ref.Basin)
}

func (c *core) DeleteStream(_ context.Context, ref protocol.StreamRef) error {
	return protocol.Errorf(protocol.CodeStorage, "%s cannot be read: %s", ref, ref.Stream)
}

func (c *core) OpenReadSession(context.Context, protocol.StreamRef, protocol.ReadRequest, ...protocol.RecordOption) (protocol.ReadSession, error) {
	return &waiting{c: c, over: make(chan struct{})}, nil
}

func (c *core) OpenAppendSession(context.Context, protocol.StreamRef, ...protocol.RecordOption) (protocol.AppendSession, error) {
	return &waiting{c: c, over: make(chan struct{})}, nil
}

// waiting is a session in which nothing happens until it is closed.
type waiting struct {
	c    *core
	once sync.Once
	over chan struct{}
}

func (c *core) closedSessions() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

func (w *waiting) Next(ctx context.Context) (protocol.ReadBatch, error) {
	select {
	case <-w.over:
		return protocol.ReadBatch{}, protocol.Errorf(protocol.CodeClientHangup, "closed")
	case <-ctx.Done():
		return protocol.ReadBatch{}, ctx.Err()
	}
}

func (w *waiting) Submit(context.Context, protocol.AppendInput) error { return nil }

func (w *waiting) Recv(context.Context) (protocol.AppendAck, error) {
	<-w.over
	return protocol.AppendAck{}, io.EOF
}

func (w *waiting) CloseSend() error { return w.Close() }

func (w *waiting) Close() error {
	w.once.Do(func() {
		close(w.over)
		w.c.mu.Lock()
		defer w.c.mu.Unlock()
		w.c.closed++
	})
	return nil
}

const rootSecret = "the-root-secret-of-the-test"

// newGuard makes a guard over a core with streams, or basins, of the given names.
func newGuard(t testing.TB, names ...string) (*access.Guard, *core) {
	c := &core{streams: names}
	g := access.New(c, newStore(), access.Options{RootSecret: rootSecret})
	t.Cleanup(g.Close)
	return g, c
}

func prefixed(s string) protocol.ResourceSet {
	return protocol.ResourceSet{Kind: protocol.MatchPrefix, Name: s}
}

func exactly(s string) protocol.ResourceSet {
	return protocol.ResourceSet{Kind: protocol.MatchExact, Name: s}
}

// all is a token that may do everything.
func all(id protocol.AccessTokenID) protocol.IssueAccessTokenRequest {
	return protocol.IssueAccessTokenRequest{ID: id, Scope: protocol.AccessTokenScope{
		Basins: prefixed(""), Streams: prefixed(""), AccessTokens: prefixed(""), Ops: protocol.AllOperations}}
}

func issue(t testing.TB, g *access.Guard, req protocol.IssueAccessTokenRequest) string {
	t.Helper()
	secret, err := g.Root().Service().IssueAccessToken(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func caller(t testing.TB, g *access.Guard, secret string) *access.Caller {
	t.Helper()
	c, err := g.Authenticate(secret)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func hasCode(t testing.TB, err error, want protocol.Code) {
	t.Helper()
	if protocol.CodeOf(err) != want {
		t.Fatalf("got %v, want code %s", err, want)
	}
}
