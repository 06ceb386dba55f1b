package backup_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/weirstream/weir/backup"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// writerOf appends records that hold their own seq_num to a stream, now and then trims it to the end, and notes what was
// acknowledged.
type writerOf struct {
	ref   protocol.StreamRef
	acked atomic.Uint64
	trims bool
}

func (w *writerOf) run(ctx context.Context, t *testing.T, r *rig) {
	next := w.acked.Load()
	for i := 0; ctx.Err() == nil; i++ {
		in := protocol.AppendInput{}
		for k := range 1 + i%7 {
			body := binary.BigEndian.AppendUint64(nil, next+uint64(k))
			in.Records = append(in.Records, protocol.Record{Body: append(body, make([]byte, i%100)...)})
		}
		if w.trims && i%3 == 2 {
			in.Records = []protocol.Record{protocol.TrimRecord(next)}
		}
		ack, err := r.b.Service().Append(ctx, w.ref, in)
		if err != nil {
			if ctx.Err() == nil {
				t.Error(err)
			}
			return
		}
		next = ack.End.SeqNum
		w.acked.Store(next)
	}
}

// TestBackupBesideAppends: every stream of a backup is a prefix of what it became, with all that was acknowledged before
// the backup began; trims that remove what is being copied do no harm.
func TestBackupBesideAppends(t *testing.T) {
	rounds := 6
	if testing.Short() {
		rounds = 2
	}
	for round := range rounds {
		t.Run(fmt.Sprint(round), func(t *testing.T) { racing(t, round) })
	}
}

func racing(t *testing.T, round int) {
	src := inMemory(t, func(c *conf.Config) { c.Logs = 1 + round%2 })
	basin := src.basin("busy-basin", protocol.BasinConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	var writers []*writerOf
	for i := range 12 {
		w := &writerOf{ref: src.stream(basin, fmt.Sprint("s", i), protocol.StreamConfig{}), trims: i%2 == 0}
		writers = append(writers, w)
		work.Go(func() { w.run(ctx, t, src) })
	}
	work.Go(func() { // streams that come and go
		for i := 0; ctx.Err() == nil; i++ {
			ref := protocol.StreamRef{Basin: basin, Stream: protocol.StreamName(fmt.Sprint("short-lived ", i))}
			svc := src.b.Service()
			if _, _, err := svc.CreateStream(ctx, basin, protocol.CreateStreamRequest{Stream: ref.Stream}); err == nil {
				_, _ = svc.Append(ctx, ref, protocol.AppendInput{Records: []protocol.Record{record("x")}})
				_ = svc.DeleteStream(ctx, ref)
			}
		}
	})
	eventually(t, "there is something", func() bool { return writers[len(writers)-1].acked.Load() > uint64(50+rand.IntN(200)) })
	before := make([]uint64, len(writers))
	for i, w := range writers {
		before[i] = w.acked.Load()
	}
	dir := filepath.Join(t.TempDir(), "b")
	if _, err := backup.Save(t.Context(), src.Client, dir, backup.SaveOptions{PageBytes: 500 + rand.IntN(4000)}); err != nil {
		t.Fatal(err)
	}
	cancel()
	work.Wait()
	dst := inMemory(t)
	restore(t, dst, dir, backup.RestoreOptions{})
	for i, w := range writers {
		tail := dst.tail(w.ref)
		if tail.SeqNum < before[i] {
			t.Errorf("%s: restored up to %d, acknowledged before were %d", w.ref, tail.SeqNum, before[i])
		}
		if end := src.tail(w.ref); end.SeqNum < tail.SeqNum {
			t.Errorf("%s: restored up to %d, there were %d", w.ref, tail.SeqNum, end.SeqNum)
		}
		checkPrefix(t, src, dst, w.ref)
	}
}

// checkPrefix reads all of a restored stream: dense up to its tail, each record what it was.
func checkPrefix(t *testing.T, src, dst *rig, ref protocol.StreamRef) {
	t.Helper()
	s, err := dst.OpenReadSession(t.Context(), ref, protocol.ReadRequest{Start: protocol.FromSeqNum(0), Clamp: true, Count: ptr(uint64(1 << 40))})
	if err != nil {
		t.Fatal(ref, err)
	}
	defer s.Close()
	tail := dst.tail(ref)
	next := uint64(0)
	for {
		batch, err := s.Next(t.Context())
		if err != nil {
			break
		}
		for rec := range batch.Records.All() {
			if next != 0 && rec.SeqNum != next {
				t.Fatalf("%s: %d follows %d", ref, rec.SeqNum, next-1)
			}
			next = rec.SeqNum + 1
			if len(rec.Headers) == 0 && binary.BigEndian.Uint64(rec.Body) != rec.SeqNum {
				t.Fatalf("%s: %d holds %d", ref, rec.SeqNum, binary.BigEndian.Uint64(rec.Body))
			}
		}
	}
	if next != tail.SeqNum {
		t.Errorf("%s: records end at %d, the tail is %v", ref, next, tail)
	}
}

func ptr[T any](v T) *T { return &v }

// hooked runs something before a page of a log is asked for.
type hooked struct {
	backup.Source
	page int
	hook func(page int)
}

func (h *hooked) ExportChunks(ctx context.Context, req protocol.ExportChunksRequest) (protocol.ExportChunksPage, error) {
	if req.Stream == "" {
		h.hook(h.page)
		h.page++
	}
	return h.Source.ExportChunks(ctx, req)
}

// TestTrimmedWhileCopied: what is removed from under a backup is copied again, at a later moment.
func TestTrimmedWhileCopied(t *testing.T) {
	for name, trim := range map[string]func(r *rig, ref protocol.StreamRef){
		// The chunk that tells of the trim is behind the end of the copy, and nothing is left before it.
		"all of it": func(r *rig, ref protocol.StreamRef) { r.append(ref, protocol.TrimRecord(1<<40)) },
		// A hole between what was copied already and what comes.
		"its middle": func(r *rig, ref protocol.StreamRef) { r.append(ref, protocol.TrimRecord(15)) },
		"again and again": func(r *rig, ref protocol.StreamRef) {
			for range 5 {
				r.append(ref, record("y"), protocol.TrimRecord(1<<40))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			src := inMemory(t, func(c *conf.Config) { c.Logs = 1 })
			basin := src.basin("some-basin", protocol.BasinConfig{})
			ref, other := src.stream(basin, "trimmed", protocol.StreamConfig{}), src.stream(basin, "other", protocol.StreamConfig{})
			for i := range 20 {
				src.append(ref, record(fmt.Sprint(i)))
				src.append(other, record(fmt.Sprint(i)))
			}
			acked := src.tail(ref)
			src.append(other, record("the last"))
			h := &hooked{Source: src.Client, hook: func(page int) {
				if page != 3 {
					return
				}
				left := len(chunksOf(t, src, ref))
				trim(src, ref)
				eventually(t, "chunks are purged", func() bool { return len(chunksOf(t, src, ref)) < left-5 })
			}}
			dir := filepath.Join(t.TempDir(), "b")
			if _, err := backup.Save(t.Context(), h, dir, backup.SaveOptions{PageBytes: 400}); err != nil {
				t.Fatal(err)
			}
			dst := inMemory(t)
			restore(t, dst, dir, backup.RestoreOptions{BatchBytes: 300})
			if tail := dst.tail(ref); tail.SeqNum < acked.SeqNum {
				t.Errorf("the tail is %v, %v was acknowledged before", tail, acked)
			}
			if want, got := fmt.Sprint(src.records(ref)), fmt.Sprint(dst.records(ref)); want != got {
				t.Errorf("restored %v, want %v", got, want)
			}
			if want, got := fmt.Sprint(src.records(other)), fmt.Sprint(dst.records(other)); want != got {
				t.Errorf("restored %v, want %v", got, want)
			}
		})
	}
}

// chunksOf are the chunks that the store holds of a stream.
func chunksOf(t *testing.T, r *rig, ref protocol.StreamRef) []protocol.StoredChunk {
	t.Helper()
	id := idOf(t, r, ref)
	page, err := r.ExportChunks(t.Context(), protocol.ExportChunksRequest{Basin: ref.Basin, Stream: id})
	if err != nil {
		t.Fatal(err)
	}
	return page.Chunks
}

// TestDeletedWhileCopied: a stream, or a basin, that goes while it is copied is not in the backup, and one that comes
// neither.
func TestDeletedWhileCopied(t *testing.T) {
	src := inMemory(t, func(c *conf.Config) { c.Logs = 1 })
	basin := src.basin("some-basin", protocol.BasinConfig{})
	stays, goes := src.stream(basin, "stays", protocol.StreamConfig{}), src.stream(basin, "goes", protocol.StreamConfig{})
	again := src.stream(basin, "made again", protocol.StreamConfig{})
	doomed := src.stream(src.basin("doomed-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	for i := range 10 {
		for _, ref := range []protocol.StreamRef{stays, goes, again, doomed} {
			src.append(ref, record(fmt.Sprint(i)))
		}
	}
	h := &hooked{Source: src.Client, hook: func(page int) {
		switch page {
		case 1: // of doomed-basin
			must(t, src.DeleteBasin(t.Context(), doomed.Basin))
		case 5:
			must(t, src.DeleteStream(t.Context(), goes))
			must(t, src.DeleteStream(t.Context(), again))
			eventually(t, "the name is free", func() bool {
				_, _, err := src.CreateStream(t.Context(), basin, protocol.CreateStreamRequest{Stream: again.Stream})
				return err == nil
			})
			src.append(again, record("anew"))
			src.append(src.stream(basin, "new", protocol.StreamConfig{}), record("x"))
		}
	}}
	dir := filepath.Join(t.TempDir(), "b")
	m, err := backup.Save(t.Context(), h, dir, backup.SaveOptions{PageBytes: 400})
	if err != nil {
		t.Fatal(err)
	}
	if m.Basins != 1 || m.Streams != 1 {
		t.Errorf("the backup holds %d basins and %d streams", m.Basins, m.Streams)
	}
	dst := inMemory(t)
	restore(t, dst, dir, backup.RestoreOptions{})
	if want, got := fmt.Sprint(src.records(stays)), fmt.Sprint(dst.records(stays)); want != got {
		t.Errorf("restored %v, want %v", got, want)
	}
}
