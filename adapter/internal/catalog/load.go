package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
)

const (
	// loadRanges is how many parts of the catalog each connection reads at once, and loadMessages how much of a part it asks for.
	loadRanges   = 2
	loadMessages = 2048
	// progressEvery is how often a start that takes long says how far it is.
	progressEvery = 2 * time.Second
	// behindPause is how long a replica that is behind gets to catch up before it is asked again.
	behindPause = 20 * time.Millisecond
)

// keyValue is a key of the catalog with its newest value.
type keyValue struct {
	key      string
	value    []byte
	revision uint64
	deleted  bool
}

// load reads the whole bucket into the view, in parallel and in any order: from its files if it can, and otherwise message by message
// from JetStream.
func (c *Catalog) load(ctx context.Context) error {
	name := layout.Catalog(c.config.Prefix)
	state, err := js.StreamState(ctx, c.config.Conn, name)
	if err != nil {
		return fmt.Errorf("read the catalog: %w", err)
	}
	var read atomic.Uint64
	stop := c.reportProgress(ctx, &read, state.Messages)
	scanned, err := c.scan(ctx, state, &read)
	if err == nil && !scanned {
		err = c.loadRanges(ctx, state, &read)
	}
	stop()
	if err != nil {
		return err
	}
	if n := read.Load(); n < state.Messages && !c.config.Shared {
		// The notes of removals go when their time is over, perhaps while they are read.
		now, err := js.StreamState(ctx, c.config.Conn, name)
		if err != nil {
			return fmt.Errorf("read the catalog: %w", err)
		}
		if n < now.Messages {
			return fmt.Errorf("read the catalog %s: JetStream has %d entries and delivers %d: it is damaged, restore the store from a backup",
				name, now.Messages, n)
		}
	}
	if err := c.mostlyReadable(state.Messages); err != nil {
		return err
	}
	c.config.Logger.Debug("catalog read", slog.Uint64("entries", read.Load()), slog.Bool("from_files", scanned))
	c.View.dropUnknown()
	c.loaded = uint64(state.LastSeq)
	c.progress.to(c.loaded)
	if c.config.Shared {
		c.View.come(c.loaded)
	}
	return nil
}

// loadRanges reads parts of the catalog by several connections at once.
func (c *Catalog) loadRanges(ctx context.Context, state js.State, read *atomic.Uint64) error {
	if state.Messages == 0 {
		return nil
	}
	parts := js.Seq(loadRanges * len(c.config.Getters))
	span := (state.LastSeq - state.FirstSeq + parts) / parts
	g, ctx := errgroup.WithContext(ctx)
	for i := range parts {
		from := state.FirstSeq + i*span
		to := min(from+span-1, state.LastSeq)
		if from <= to {
			g.Go(func() error { return c.loadRange(ctx, c.config.Getters[int(i)%len(c.config.Getters)], from, to, read) })
		}
	}
	return g.Wait()
}

func (c *Catalog) loadRange(ctx context.Context, get *js.Getter, from, to js.Seq, read *atomic.Uint64) error {
	name, subjects := layout.Catalog(c.config.Prefix), layout.CatalogSubjects(c.config.Prefix)
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
			l.take(keyValue{key: strings.TrimPrefix(js.SubjectOf(m), subjects), value: m.Data, revision: uint64(seq),
				deleted: len(m.Header["KV-Operation"]) > 0 || len(m.Header["Nats-Marker-Reason"]) > 0})
			return nil
		})
		switch {
		case errors.Is(err, js.ErrNoAnswer):
			return fmt.Errorf("read the catalog %s: JetStream delivers no more of it behind revision %d: it is damaged, restore the store from a backup", name, from)
		case err != nil:
			return fmt.Errorf("read the catalog: %w", err)
		case none && c.config.Shared:
			// A replica that is behind does not know of the newest entries; the leader does.
			next, err := js.LeaderGet(ctx, c.config.Conn, name, js.Wanted{Seq: from, NextFor: subjects + ">"})
			if err != nil && !errors.Is(err, js.ErrNotFound) {
				return fmt.Errorf("read the catalog: %w", err)
			}
			if err == nil && next.Seq <= to {
				pause(ctx, behindPause)
				continue
			}
			from = to
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

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// loader takes a part of the catalog in.
type loader struct {
	c       *Catalog
	decoder Decoder
	streams []*Entry
}

// take takes an entry in, or sets it aside: one that is broken must not keep the others from being served.
func (l *loader) take(e keyValue) {
	if strings.HasPrefix(e.key, holdKeys) && !e.deleted {
		if h, err := decodeHold(e); err == nil {
			l.c.View.loadHold(h)
			return
		}
	}
	if !strings.HasPrefix(e.key, "s.") || e.deleted {
		_ = l.c.apply(e) // it is set aside
		return
	}
	ref, ok := RefOfKey(e.key)
	if !ok {
		_ = l.c.setAside(e.key, e.revision, errUnknownKind)
		return
	}
	r, err := l.decoder.decode(ref, e.value)
	if err != nil {
		_ = l.c.setAside(e.key, e.revision, err)
		return
	}
	l.streams = append(l.streams, NewEntry(ref.Basin, r, e.revision, &CheckTime{}))
}

func (l *loader) flush() {
	l.c.View.loadStreams(l.streams)
	for _, e := range l.streams {
		l.c.listener.StreamShown(e)
	}
	clear(l.streams)
	l.streams = l.streams[:0]
}

// reportProgress says from time to time how much of the catalog was read, until stop.
func (c *Catalog) reportProgress(ctx context.Context, read *atomic.Uint64, total uint64) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				c.config.Logger.Info("reading the catalog", slog.Uint64("entries", read.Load()), slog.Uint64("of", total))
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
