package backup_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/weirstream/weir/backup"
	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// faulty is a client whose calls fail after so many. A call that fails was made all the same: its answer is lost.
type faulty struct {
	to    atomic.Pointer[client.Client]
	mu    sync.Mutex
	calls int
	after int
	once  bool // fail one call, not all that follow
	fault func() error
}

func broken(c *client.Client, f *faulty) *faulty {
	f.to.Store(c)
	return f
}

func (f *faulty) lose() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.calls == f.after+1 || f.calls > f.after && !f.once {
		return f.fault()
	}
	return nil
}

func (f *faulty) ExportCatalog(ctx context.Context, req protocol.ExportCatalogRequest) (protocol.ExportCatalogPage, error) {
	page, err := f.to.Load().ExportCatalog(ctx, req)
	return page, errors.Join(err, f.lose())
}

func (f *faulty) ExportChunks(ctx context.Context, req protocol.ExportChunksRequest) (protocol.ExportChunksPage, error) {
	page, err := f.to.Load().ExportChunks(ctx, req)
	return page, errors.Join(err, f.lose())
}

func (f *faulty) BeginRestore(ctx context.Context, req protocol.BeginRestoreRequest) error {
	return errors.Join(f.to.Load().BeginRestore(ctx, req), f.lose())
}

func (f *faulty) ImportStreams(ctx context.Context, req protocol.ImportStreamsRequest) ([]int, error) {
	logs, err := f.to.Load().ImportStreams(ctx, req)
	return logs, errors.Join(err, f.lose())
}

func (f *faulty) ImportChunks(ctx context.Context, req protocol.ImportChunksRequest) error {
	return errors.Join(f.to.Load().ImportChunks(ctx, req), f.lose())
}

func (f *faulty) EndRestore(ctx context.Context, req protocol.EndRestoreRequest) error {
	return errors.Join(f.to.Load().EndRestore(ctx, req), f.lose())
}

func (f *faulty) AbortRestore(ctx context.Context, basin protocol.BasinName, restore string) error {
	return errors.Join(f.to.Load().AbortRestore(ctx, basin, restore), f.lose())
}

func (f *faulty) ImportEntry(ctx context.Context, e protocol.CatalogEntry) error {
	return errors.Join(f.to.Load().ImportEntry(ctx, e), f.lose())
}

func (f *faulty) PurgedStreams(ctx context.Context, req protocol.PurgedStreamsRequest) ([]string, error) {
	return f.to.Load().PurgedStreams(ctx, req)
}

func (f *faulty) CheckTail(ctx context.Context, ref protocol.StreamRef) (protocol.StreamTail, error) {
	return f.to.Load().CheckTail(ctx, ref)
}

var errLost = protocol.Errorf(protocol.CodeUnavailable, "the answer was lost")

// TestLostAnswers: whichever answer is lost, the restore goes on and nothing is there twice.
func TestLostAnswers(t *testing.T) {
	src := inMemory(t, func(c *conf.Config) { c.Logs = 2 })
	refs := everyState(t, src)
	dir, _ := save(t, src, backup.SaveOptions{PageBytes: 500})
	total := 0
	for lost := 1; lost <= max(total, 1); lost++ { // the first call is there to fail
		dst := inMemory(t)
		f := broken(dst.Client, &faulty{after: lost, once: true, fault: func() error { return errLost }})
		if _, err := backup.Restore(t.Context(), f, dir, backup.RestoreOptions{BatchBytes: 2000, NoVerify: true}); err != nil {
			t.Fatalf("the answer to call %d was lost: %v", lost, err)
		}
		total = f.calls - 2
		compare(t, src, dst, refs)
	}
	if total < 10 {
		t.Errorf("only %d calls", total)
	}
}

// TestInterruptedRestore: wherever a restore ends, what shows is complete, and the next one finishes the work.
func TestInterruptedRestore(t *testing.T) {
	src := inMemory(t, func(c *conf.Config) { c.Logs = 2 })
	refs := everyState(t, src)
	dir, _ := save(t, src, backup.SaveOptions{})
	for calls := 1; ; calls++ {
		dst := inMemory(t)
		ctx, cancel := context.WithCancel(t.Context())
		f := broken(dst.Client, &faulty{after: calls, fault: func() error { cancel(); return ctx.Err() }})
		_, err := backup.Restore(ctx, f, dir, backup.RestoreOptions{BatchBytes: 2000, NoVerify: true})
		if err == nil {
			if calls < 10 {
				t.Errorf("only %d calls", calls)
			}
			cancel()
			return
		}
		want := src.catalog()
		for key, value := range dst.catalog() {
			if want[key] != value {
				t.Fatalf("interrupted after %d calls, %s is %s, not %s", calls, key, value, want[key])
			}
		}
		for _, ref := range refs {
			_, err := dst.CheckTail(t.Context(), ref)
			if c := code(err); err != nil && c != protocol.CodeBasinNotFound && c != protocol.CodeBasinDeletionPending {
				t.Fatalf("interrupted after %d calls: %v", calls, err)
			}
		}
		restore(t, dst, dir, backup.RestoreOptions{SkipExisting: true})
		compare(t, src, dst, refs)
	}
}

// TestRestartInTheMiddle: a broker that is restarted goes on with the restore where it was.
func TestRestartInTheMiddle(t *testing.T) {
	src := inMemory(t, func(c *conf.Config) { c.Logs = 2 })
	refs := everyState(t, src)
	dir, _ := save(t, src, backup.SaveOptions{})
	for _, calls := range []int{2, 3, 5, 8, 11, 14} {
		t.Run(fmt.Sprint(calls), func(t *testing.T) {
			dst := inMemory(t, func(c *conf.Config) { onDisk(c, t.TempDir()) })
			f := broken(dst.Client, &faulty{after: calls, once: true})
			f.fault = func() error {
				dst.stop()
				dst.start()
				f.to.Store(dst.Client)
				return errLost
			}
			if _, err := backup.Restore(t.Context(), f, dir, backup.RestoreOptions{BatchBytes: 1500}); err != nil {
				t.Fatal(err)
			}
			compare(t, src, dst, refs)
			goOn(t, dst, refs)
		})
	}
}

// TestHiddenBasin: a basin that is being restored has its name and shows nowhere, until it is given up.
func TestHiddenBasin(t *testing.T) {
	r := inMemory(t)
	ctx := t.Context()
	src := inMemory(t)
	ref := src.stream(src.basin("some-basin", protocol.BasinConfig{CreateStreamOnAppend: true, CreateStreamOnRead: true}), "s", protocol.StreamConfig{})
	var entry, stream protocol.CatalogEntry
	page, err := src.ExportCatalog(ctx, protocol.ExportCatalogRequest{})
	must(t, err)
	entry = page.Entries[0]
	page, err = src.ExportCatalog(ctx, protocol.ExportCatalogRequest{Basin: ref.Basin})
	must(t, err)
	stream = page.Entries[0]

	begin := func(restore string) error {
		return r.BeginRestore(ctx, protocol.BeginRestoreRequest{Restore: restore, Entry: entry})
	}
	must(t, begin("one"))
	must(t, begin("one")) // the first answer was lost
	put := func(restore string) error {
		_, err := r.ImportStreams(ctx, protocol.ImportStreamsRequest{Basin: ref.Basin, Restore: restore, Entries: []protocol.CatalogEntry{stream}})
		return err
	}
	must(t, put("one"))
	must(t, put("one"))
	if err := put("two"); code(err) != protocol.CodeTransactionConflict {
		t.Errorf("another restore's streams gave %v", err)
	}
	if err := begin("two"); code(err) != protocol.CodeTransactionConflict {
		t.Errorf("another restore gave %v", err)
	}
	notFound := func(what string, err error) {
		t.Helper()
		if code(err) != protocol.CodeBasinNotFound {
			t.Errorf("%s gave %v", what, err)
		}
	}
	_, err = r.CheckTail(ctx, ref)
	notFound("check-tail", err)
	_, err = r.Append(ctx, ref, protocol.AppendInput{Records: []protocol.Record{record("x")}})
	notFound("append", err)
	_, err = r.GetBasinConfig(ctx, ref.Basin)
	notFound("get config", err)
	_, err = r.GetStreamConfig(ctx, ref)
	notFound("get stream config", err)
	_, err = r.ListStreams(ctx, ref.Basin, protocol.ListRequest{})
	notFound("list streams", err)
	notFound("delete stream", r.DeleteStream(ctx, ref))
	_, _, err = r.CreateStream(ctx, ref.Basin, protocol.CreateStreamRequest{Stream: "t"})
	notFound("create stream", err)
	_, err = r.ExportCatalog(ctx, protocol.ExportCatalogRequest{Basin: ref.Basin})
	notFound("export", err)
	if list, err := r.ListBasins(ctx, protocol.ListRequest{}); err != nil || len(list.Basins) > 0 {
		t.Errorf("listed %v, %v", list, err)
	}
	if _, _, err := r.CreateBasin(ctx, protocol.CreateBasinRequest{Basin: ref.Basin}); code(err) != protocol.CodeResourceAlreadyExists {
		t.Errorf("create gave %v", err)
	}
	if _, _, err := r.EnsureBasin(ctx, ref.Basin, protocol.EnsureBasinRequest{}); code(err) != protocol.CodeResourceAlreadyExists {
		t.Errorf("ensure gave %v", err)
	}
	end := protocol.EndRestoreRequest{Basin: ref.Basin, Restore: "one", Streams: 2}
	if err := r.EndRestore(ctx, end); code(err) != protocol.CodeInvalid {
		t.Errorf("a stream is missing, and the end gave %v", err)
	}
	end.Streams, end.Chunks = 1, map[int]uint64{0: 1}
	if err := r.EndRestore(ctx, end); code(err) != protocol.CodeInvalid {
		t.Errorf("a chunk is missing, and the end gave %v", err)
	}
	must(t, r.DeleteBasin(ctx, ref.Basin)) // the operator gives it up
	eventually(t, "the name is free", func() bool { return begin("three") == nil })
	must(t, r.AbortRestore(ctx, ref.Basin, "three"))
	must(t, r.AbortRestore(ctx, ref.Basin, "three"))
	eventually(t, "the name is free", func() bool {
		_, _, err := r.CreateBasin(ctx, protocol.CreateBasinRequest{Basin: ref.Basin})
		return err == nil
	})
	if err := begin("four"); code(err) != protocol.CodeResourceAlreadyExists {
		t.Errorf("a basin that exists gave %v", err)
	}
	must(t, r.AbortRestore(ctx, ref.Basin, "one"))
	if _, err := r.GetBasinConfig(ctx, ref.Basin); err != nil {
		t.Errorf("an old restore took the basin along: %v", err)
	}
}
