package adapter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

const (
	// loadRanges is how many parts of the catalog each connection reads at once, and loadMessages how much of a part it asks for.
	loadRanges   = 2
	loadMessages = 2048
	// progressEvery is how often a start that takes long says how far it is.
	progressEvery = 2 * time.Second
)

// catalogEntry is a key of the catalog with its newest value.
type catalogEntry struct {
	key      string
	value    []byte
	revision uint64
	deleted  bool
}

// load reads the whole bucket into the view, in parallel and in any order. With a shared store it goes on following what other
// servers write.
func (c *catalog) load(ctx context.Context) error {
	name := layout.Catalog(c.a.opts.Prefix)
	state, err := js.StreamState(ctx, c.a.manage, name)
	if err != nil {
		return fmt.Errorf("read the catalog: %w", err)
	}
	var read atomic.Uint64
	stop := c.reportProgress(ctx, &read, state.Messages)
	err = c.loadRanges(ctx, state, &read)
	stop()
	if err != nil {
		return err
	}
	if n := read.Load(); n < state.Messages && !c.a.opts.Shared {
		return fmt.Errorf("read the catalog %s: JetStream has %d entries and delivers %d: it is damaged, restore the store from a backup",
			name, state.Messages, n)
	}
	c.view.dropUnknown()
	if c.a.opts.Shared {
		return c.follow(uint64(state.LastSeq) + 1)
	}
	return nil
}

// loadRanges reads parts of the catalog by several connections at once.
func (c *catalog) loadRanges(ctx context.Context, state js.State, read *atomic.Uint64) error {
	if state.Messages == 0 {
		return nil
	}
	parts := js.Seq(loadRanges * len(c.a.gets))
	span := (state.LastSeq - state.FirstSeq + parts) / parts
	g, ctx := errgroup.WithContext(ctx)
	for i := range parts {
		from := state.FirstSeq + i*span
		to := min(from+span-1, state.LastSeq)
		if from <= to {
			g.Go(func() error { return c.loadRange(ctx, c.a.gets[int(i)%len(c.a.gets)], from, to, read) })
		}
	}
	return g.Wait()
}

func (c *catalog) loadRange(ctx context.Context, get *js.Getter, from, to js.Seq, read *atomic.Uint64) error {
	name, subjects := layout.Catalog(c.a.opts.Prefix), layout.CatalogSubjects(c.a.opts.Prefix)
	l := loader{c: c}
	for from <= to {
		last := js.Seq(0)
		none, err := get.All(ctx, name, js.Request{Seq: from, Count: loadMessages, MaxBytes: js.MaxBatchBytes}, func(m *nats.Msg) error {
			seq, err := js.SeqOf(m)
			if err != nil {
				return err
			}
			if last = seq; seq > to {
				return nil
			}
			read.Add(1)
			return l.take(catalogEntry{key: strings.TrimPrefix(js.SubjectOf(m), subjects), value: m.Data, revision: uint64(seq),
				deleted: len(m.Header["KV-Operation"]) > 0 || len(m.Header["Nats-Marker-Reason"]) > 0})
		})
		switch {
		case errors.Is(err, js.ErrNoAnswer):
			return fmt.Errorf("read the catalog %s: JetStream delivers no more of it behind revision %d: it is damaged, restore the store from a backup", name, from)
		case err != nil:
			return fmt.Errorf("read the catalog: %w", err)
		case none:
			from = to // nothing is there any more
		default:
			from = max(from, last)
		}
		from++
		l.flush()
	}
	return nil
}

// loader takes a part of the catalog in.
type loader struct {
	c       *catalog
	decoder streamDecoder
	streams []*streamEntry
}

func (l *loader) take(e catalogEntry) error {
	if !strings.HasPrefix(e.key, "s.") || e.deleted {
		return l.c.apply(e)
	}
	ref, ok := refOfKey(e.key)
	if !ok {
		return fmt.Errorf("catalog entry %s: the key is malformed", e.key)
	}
	r, err := l.decoder.decode(ref, e.value)
	if err != nil {
		return fmt.Errorf("catalog entry %s: %w", e.key, err)
	}
	l.streams = append(l.streams, newStreamEntry(ref.Basin, r, e.revision, &checkTime{}))
	return nil
}

func (l *loader) flush() {
	l.c.view.loadStreams(l.streams)
	for _, e := range l.streams {
		l.c.a.reaper.watch(e)
	}
	clear(l.streams)
	l.streams = l.streams[:0]
}

// reportProgress says from time to time how much of the catalog was read, until stop.
func (c *catalog) reportProgress(ctx context.Context, read *atomic.Uint64, total uint64) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				c.a.logger.Info("reading the catalog", slog.Uint64("entries", read.Load()), slog.Uint64("of", total))
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// follow brings what other servers write from a revision on into the view, until the adapter closes.
func (c *catalog) follow(revision uint64) error {
	ctx, cancel := context.WithCancel(c.a.ctx)
	w, err := c.kv.WatchAll(ctx, jetstream.ResumeFromRevision(revision))
	if err != nil {
		cancel()
		return fmt.Errorf("follow the catalog: %w", err)
	}
	c.a.tasks.Go(func() {
		defer cancel()
		defer w.Stop() //nolint:errcheck // nothing more is wanted from it
		for {
			select {
			case e, ok := <-w.Updates():
				if !ok {
					return
				}
				if e == nil {
					continue // the end of what was there
				}
				if err := c.apply(entryOf(e)); err != nil {
					c.a.logger.Error("a catalog entry cannot be read", slog.Any("error", err))
				}
			case <-ctx.Done():
				return
			}
		}
	})
	return nil
}

func entryOf(e jetstream.KeyValueEntry) catalogEntry {
	return catalogEntry{key: e.Key(), value: e.Value(), revision: e.Revision(), deleted: e.Operation() != jetstream.KeyValuePut}
}

// loadStreams stores entries while the catalog is loaded. Their basins may come later.
func (v *view) loadStreams(entries []*streamEntry) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var b *basinView
	for _, e := range entries {
		if b == nil || b.name != e.Basin() {
			b = v.basinLocked(e.Basin())
		}
		b.putLocked(e)
	}
}

// basinLocked returns a basin, and makes one that is not known yet.
func (v *view) basinLocked(name protocol.BasinName) *basinView {
	b, ok := v.basins.Get(string(name))
	if !ok {
		b = &basinView{name: name}
		v.basins.Set(string(name), b)
	}
	return b
}

// dropUnknown takes out basins that have streams and no entry of their own.
func (v *view) dropUnknown() {
	v.mu.Lock()
	defer v.mu.Unlock()
	var unknown []string
	v.basins.Scan(func(name string, b *basinView) bool {
		if b.revision == 0 {
			unknown = append(unknown, name)
		}
		return true
	})
	for _, name := range unknown {
		v.basins.Delete(name)
	}
}
