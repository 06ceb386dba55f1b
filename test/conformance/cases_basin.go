package conformance

import (
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

// create asks for the basin to be created; no token stands for none.
func (b *Basin) create(token string, opts ...BasinOption) (protocol.BasinInfo, protocol.ProvisionResult, error) {
	req := protocol.CreateBasinRequest{Basin: b.Name, Config: basinConfig(opts...)}
	if token != none {
		req.RequestToken = &token
	}
	return b.e.Service.CreateBasin(b.e.ctx, req)
}

// none stands for no request token; the empty token is one.
const none = "\x00"

// created checks that create makes the basin.
func (b *Basin) created(token string, opts ...BasinOption) protocol.BasinInfo {
	b.e.t.Helper()
	info, result, err := b.create(token, opts...)
	b.e.must(err, "create basin")
	equal(b.e.t, "result", result, protocol.ProvisionCreated)
	return info
}

// replayed checks that create recognises its earlier self and returns the original.
func (b *Basin) replayed(original protocol.BasinInfo, token string, opts ...BasinOption) {
	b.e.t.Helper()
	info, result, err := b.create(token, opts...)
	b.e.must(err, "create basin")
	equal(b.e.t, "result", result, protocol.ProvisionNoop)
	equal(b.e.t, "created_at", info.CreatedAt.Equal(original.CreatedAt), true)
}

// clashes checks that create fails with the code.
func (b *Basin) clashes(code protocol.Code, token string, opts ...BasinOption) {
	b.e.t.Helper()
	_, _, err := b.create(token, opts...)
	b.e.fails(err, code)
}

// listed returns the basin as a listing shows it; ok is false if it is not listed.
func (b *Basin) listed() (info protocol.BasinInfo, ok bool) {
	b.e.t.Helper()
	page, err := b.e.Service.ListBasins(b.e.ctx, protocol.ListRequest{Prefix: string(b.Name)})
	b.e.must(err, "list basins")
	if len(page.Basins) == 0 {
		return info, false
	}
	equal(b.e.t, "has_more", page.HasMore, false)
	equal(b.e.t, "name", page.Basins[0].Name, b.Name)
	return page.Basins[0], true
}

const taken = protocol.CodeResourceAlreadyExists

// createBasinCases: control plane A.5.
var createBasinCases = []Case{
	{Row: "cp A.5/103,104", Name: "create a basin and list it", Run: func(t *testing.T, e *Env) {
		b := e.NoBasin()
		info := b.created(none)
		equal(t, "name", info.Name, b.Name)
		equal(t, "deleted", !info.DeletedAt.IsZero(), false)
		if info.CreatedAt.After(time.Now()) || time.Since(info.CreatedAt) > caseTimeout {
			t.Fatalf("created_at %v, it is %v now", info.CreatedAt, time.Now())
		}
		got, _ := b.listed()
		equal(t, "created_at as listed", got.CreatedAt.Equal(info.CreatedAt), true)
		equal(t, "deleted as listed", !got.DeletedAt.IsZero(), false)
	}},
	{Row: "cp A.5/106,107", Name: "create with a full config", Run: func(t *testing.T, e *Env) {
		opts := []BasinOption{createOnAppend, createOnRead, defaulting(everything...)}
		equal(t, "same", e.Basin(opts...).Config().Equal(basinConfig(opts...)), true)
	}},
	{Row: "cp A.5/111", Name: "repeat with the same token and config", Run: func(t *testing.T, e *Env) {
		b := e.NoBasin()
		info := b.created("token", createOnAppend)
		b.replayed(info, "token", createOnAppend)
		b.replayed(info, "token", createOnAppend)
	}},
	{Row: "cp A.5/112", Name: "repeat with another token", Run: func(t *testing.T, e *Env) {
		b := e.NoBasin()
		b.created("token")
		b.clashes(taken, "other")
	}},
	{Row: "cp A.5/113", Name: "repeat with another config", Run: func(t *testing.T, e *Env) {
		b := e.NoBasin()
		b.created("token")
		b.clashes(taken, "token", createOnRead)
		equal(t, "config kept", b.Config().Equal(basinConfig()), true)
	}},
	{Row: "cp A.5/114", Name: "repeat without a token", Run: func(t *testing.T, e *Env) {
		b := e.NoBasin()
		b.created("token")
		b.clashes(taken, none)
	}},
	{Row: "cp A.5/115", Name: "first without a token, then with one", Run: func(t *testing.T, e *Env) {
		b := e.NoBasin()
		b.created(none)
		b.clashes(taken, "token")
		b.clashes(taken, none)
	}},
	{Row: "cp A.5/116", Name: "a repeat does not revert an ensured config", Run: func(t *testing.T, e *Env) {
		b := e.NoBasin()
		info := b.created("token", createOnAppend)
		b.Ensure(basinConfig(createOnRead))
		b.replayed(info, "token", createOnAppend)
		equal(t, "config kept", b.Config().Equal(basinConfig(createOnRead)), true)
	}},
	{Row: "cp A.5/118", Name: "an explicit default is another config", Run: func(t *testing.T, e *Env) {
		b := e.NoBasin()
		b.created("token")
		b.clashes(taken, "token", defaulting(class(express)))
	}},
	{Row: "cp A.5/120", Name: "the same token on two basins", Run: func(t *testing.T, e *Env) {
		e.NoBasin().created("token")
		e.NoBasin().created("token")
	}},
	{Row: "cp 3.3", Name: "the empty token is a token", Run: func(t *testing.T, e *Env) {
		b := e.NoBasin()
		b.replayed(b.created(""), "")
		b.clashes(taken, none)
	}},
	{Row: "cp A.5/121", Name: "a basin made by ensure has no token", Run: func(t *testing.T, e *Env) {
		b := e.NoBasin()
		b.Ensure(basinConfig())
		b.clashes(taken, "token")
		b.clashes(taken, "")
	}},
	{Row: "cp A.5/122,123", Name: "a basin being deleted, whatever the token", Run: func(t *testing.T, e *Env) {
		b := e.NoBasin()
		b.created("token")
		b.Missing("stream").fill()
		b.Delete()
		for _, token := range []string{"token", "other", none} {
			if _, _, err := b.create(token); err != nil {
				e.fails(err, protocol.CodeBasinDeletionPending)
			} else {
				return // the deletion is complete already
			}
		}
	}},
	{Row: "cp A.5/124", Name: "a deleted basin starts afresh", Run: func(t *testing.T, e *Env) {
		b := e.NoBasin()
		old := b.created("token", createOnAppend)
		b.Missing("stream").Append(append(text("old"), fence("T")...))
		b.Delete()
		e.eventually("the name of the deleted basin is free", func() bool {
			info, result, err := b.create("token", createOnAppend)
			if err != nil {
				e.fails(err, protocol.CodeBasinDeletionPending)
				return false
			}
			equal(t, "result", result, protocol.ProvisionCreated)
			equal(t, "created later", info.CreatedAt.After(old.CreatedAt), true)
			return true
		})
		b.Holds()
		b.Missing("stream").AppendRange(0, 1, text("new"), holding(""), at(0))
		b.Missing("stream").Read(from(0)).Bodies("new")
	}},
	{Row: "cp A.5/128", Name: "ten creators at once", Run: func(t *testing.T, e *Env) {
		b := e.NoBasin()
		won := make(chan struct{}, 10)
		e.race(10, func(i int) error {
			_, _, err := b.create(string([]byte{'a' + byte(i)}))
			if err == nil {
				won <- struct{}{}
			} else if protocol.CodeOf(err) != taken {
				return err
			}
			return nil
		}, "%d")
		equal(t, "winners", len(won), 1)
	}},
}

// fill creates the stream and gives it records.
func (s *Stream) fill() {
	s.e.t.Helper()
	s.basin().Stream(s.StreamRef.Stream).Fill(10)
}

// ensureBasinCases: control plane A.6.
var ensureBasinCases = []Case{
	{Row: "cp A.6/132,133,140", Name: "ensure makes a basin, and once only", Run: func(t *testing.T, e *Env) {
		for _, opts := range [][]BasinOption{nil, {createOnAppend, defaulting(everything...)}} {
			b := e.NoBasin()
			_, result := b.Ensure(basinConfig(opts...))
			equal(t, "result", result, protocol.ProvisionCreated)
			equal(t, "same", b.Config().Equal(basinConfig(opts...)), true)
			_, result = b.Ensure(basinConfig(opts...))
			equal(t, "result", result, protocol.ProvisionNoop)
		}
	}},
	{Row: "cp A.6/134,135", Name: "ensure what is there", Run: func(t *testing.T, e *Env) {
		b := e.Basin(createOnRead, defaulting(clientRequire, minAge(0)))
		_, result := b.Ensure(b.Config())
		equal(t, "result", result, protocol.ProvisionNoop)
	}},
	{Row: "cp A.6/136,137,138,141", Name: "ensure replaces the whole config", Run: func(t *testing.T, e *Env) {
		b := e.Basin(createOnRead, defaulting(everything...))
		for _, opts := range [][]BasinOption{{createOnAppend, defaulting(arrival)}, {createOnRead}, nil} {
			_, result := b.Ensure(basinConfig(opts...))
			equal(t, "result", result, protocol.ProvisionUpdated)
			equal(t, "same", b.Config().Equal(basinConfig(opts...)), true)
		}
	}},
	{Row: "cp A.6/139", Name: "an explicit age of 0 is kept", Run: func(t *testing.T, e *Env) {
		b := e.Basin(defaulting(minAge(0)))
		_, result := b.Ensure(basinConfig(defaulting(minAge(0))))
		equal(t, "result", result, protocol.ProvisionNoop)
		_, result = b.Ensure(basinConfig())
		equal(t, "result", result, protocol.ProvisionUpdated)
	}},
	{Row: "cp A.6/142", Name: "ensure a basin being deleted", Run: func(t *testing.T, e *Env) {
		b := e.Basin()
		b.Missing("stream").fill()
		b.Delete()
		if _, result, err := e.Service.EnsureBasin(e.ctx, b.Name, protocol.EnsureBasinRequest{Config: basinConfig()}); err != nil {
			e.fails(err, protocol.CodeBasinDeletionPending)
		} else {
			equal(t, "result", result, protocol.ProvisionCreated)
		}
	}},
	{Row: "cp A.6/143,144", Name: "ensure keeps the token and created_at", Run: func(t *testing.T, e *Env) {
		b := e.NoBasin()
		info := b.created("token")
		ensured, _ := b.Ensure(basinConfig(createOnAppend))
		equal(t, "created_at", ensured.CreatedAt.Equal(info.CreatedAt), true)
		b.replayed(info, "token")
	}},
}

var basinPending = []protocol.Code{protocol.CodeBasinDeletionPending, protocol.CodeBasinNotFound}

// basinCases: control plane A.7.
var basinCases = []Case{
	{Row: "cp A.7/149", Name: "config of a basin", Run: func(t *testing.T, e *Env) {
		equal(t, "same", e.Basin().Config().Equal(basinConfig()), true)
	}},
	{Row: "cp A.7/150,157,163", Name: "a missing basin", Run: func(t *testing.T, e *Env) {
		b := e.NoBasin()
		_, err := e.Service.GetBasinConfig(e.ctx, b.Name)
		e.fails(err, protocol.CodeBasinNotFound)
		_, err = e.Service.ReconfigureBasin(e.ctx, b.Name, protocol.BasinReconfiguration{})
		e.fails(err, protocol.CodeBasinNotFound)
		e.fails(e.Service.DeleteBasin(e.ctx, b.Name), protocol.CodeBasinNotFound)
	}},
	{Row: "cp A.7/151", Name: "a basin that is gone altogether", Run: func(t *testing.T, e *Env) {
		b := e.Basin()
		b.Missing("stream").fill()
		b.Delete()
		e.eventually("the basin is gone", func() bool {
			_, err := e.Service.GetBasinConfig(e.ctx, b.Name)
			return e.fails(err, basinPending...).Code == protocol.CodeBasinNotFound
		})
		_, ok := b.listed()
		equal(t, "listed", ok, false)
		_, err := b.Missing("stream").tryAppend(text("a"))
		e.fails(err, protocol.CodeBasinNotFound)
	}},
	{Row: "cp A.7/154,155", Name: "the flags go both ways and take effect at once", Run: func(t *testing.T, e *Env) {
		b := e.Basin()
		for _, on := range []bool{true, false} {
			got := b.Reconfigure(protocol.BasinReconfiguration{CreateStreamOnAppend: &on, CreateStreamOnRead: &on})
			equal(t, "on append", got.CreateStreamOnAppend, on)
			equal(t, "on read", got.CreateStreamOnRead, on)
			_, err := b.Missing(protocol.StreamName(map[bool]string{true: "a", false: "b"}[on])).tryAppend(text("x"))
			equal(t, "created", err == nil, on)
		}
		b.Holds("a")
	}},
	{Row: "cp A.7/156,159", Name: "new defaults reach new streams only", Run: func(t *testing.T, e *Env) {
		b := e.Basin()
		old := b.Stream("old")
		b.Reconfigure(protocol.BasinReconfiguration{DefaultStreamConfig: protocol.Set(protocol.StreamReconfiguration{
			StorageClass:        protocol.Set(standard),
			RetentionPolicy:     protocol.Set(forever),
			TimestampingMode:    protocol.Set(protocol.TimestampArrival),
			Uncapped:            protocol.Set(true),
			DeleteOnEmptyMinAge: protocol.Set(uint64(300)),
		})})
		equal(t, "config of the old stream", old.Config(), resolved())
		equal(t, "config of a new stream", b.Stream("new").Config(), resolved(everything...))
	}},
	{Row: "cp A.7/152,158,160,161,162,165,166", Name: "a basin with streams is deleted", Run: func(t *testing.T, e *Env) {
		b := e.Basin()
		for _, name := range []protocol.StreamName{"a", "b", "c"} {
			b.Missing(name).fill()
		}
		b.Delete()
		if info, ok := b.listed(); ok {
			equal(t, "deleted as listed", !info.DeletedAt.IsZero(), true)
		}
		_, err := e.Service.GetBasinConfig(e.ctx, b.Name)
		e.fails(err, basinPending...)
		_, err = e.Service.ReconfigureBasin(e.ctx, b.Name, protocol.BasinReconfiguration{})
		e.fails(err, basinPending...)
		if err := e.Service.DeleteBasin(e.ctx, b.Name); err != nil {
			e.fails(err, protocol.CodeBasinNotFound) // complete already
		}
	}},
	{Row: "cp A.7/167", Name: "deleting twice keeps deleted_at", Run: func(t *testing.T, e *Env) {
		b := e.Basin()
		b.Missing("stream").fill()
		b.Delete()
		first, ok := b.listed()
		_ = e.Service.DeleteBasin(e.ctx, b.Name)
		if second, still := b.listed(); ok && still {
			equal(t, "deleted_at", second.DeletedAt.Equal(first.DeletedAt), true)
		}
	}},
}
