package adapter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weirstream/weir/adapter/internal/catalog"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/chunk"
)

// ExportChunks implements [protocol.BackupService]. A log is read once, in order, for any number of streams.
func (a *Adapter) ExportChunks(ctx context.Context, req protocol.ExportChunksRequest) (page protocol.ExportChunksPage, err error) {
	leave, err := a.enterBulk(ctx)
	if err != nil {
		return page, err
	}
	defer leave()
	l, err := a.bulkLog(req.Basin, req.Log)
	if err != nil {
		return page, err
	}
	subject, all := l.id.Basin(a.opts.Prefix, req.Basin), true
	if req.Stream != "" {
		id, err := streamID(req.Stream)
		if err != nil {
			return page, err
		}
		subject, all = l.subject(req.Basin, id), false
	}
	page.End, page.Time = req.End, catalog.Millis(time.Now())
	if page.End == 0 {
		page.End, page.Messages, err = l.exportEnd(ctx, subject, all)
	}
	if err == nil && page.End > 0 {
		err = l.exportPage(ctx, subject, max(req.From, 1), pageBytes(req.MaxBytes), &page)
	}
	// A basin that is being deleted looks like an empty one, or fails in some way.
	if _, _, missing := a.liveBasin(req.Basin); missing != nil {
		return page, a.basinNotFound(req.Basin)
	}
	return page, err
}

// exportEnd returns the place of the newest chunk of the log, or of one stream, once it is durable, and with all how many chunks
// match the subject. Everything at or before the place is durable as well.
func (l *log) exportEnd(ctx context.Context, subject string, all bool) (end, messages uint64, err error) {
	if !all {
		newest, err := l.getLast(ctx, subject)
		if errors.Is(err, js.ErrNotFound) {
			return 0, 0, nil
		}
		if err != nil {
			return 0, 0, err
		}
		return uint64(newest.seq), 0, l.a.commit.Wait(ctx)
	}
	state, err := js.StreamState(ctx, l.a.manage, l.name)
	if js.StreamMissing(err) {
		return 0, 0, nil // nothing was ever written to it
	}
	if err != nil {
		return 0, 0, errNoStore(err)
	}
	if messages, err = l.get.Pending(ctx, l.name, subject, 1); err != nil {
		return 0, 0, readFailure(err)
	}
	if messages == 0 && l.a.opts.maxReplicas() <= 1 {
		return 0, 0, nil
	}
	return uint64(state.LastSeq), messages, l.a.commit.Wait(ctx)
}

// exportPage fills the page with the chunks of the log from a sequence on.
func (l *log) exportPage(ctx context.Context, subject string, from uint64, room int, page *protocol.ExportChunksPage) error {
	size, stale := 0, 0
	for from <= page.End {
		msgs, err := l.getBatch(ctx, subject, js.Seq(from), min(room-size, js.MaxBatchBytes))
		if err != nil {
			return err
		}
		if len(msgs) == 0 {
			done, err := l.nothingUpTo(ctx, subject, from, page.End)
			if err != nil || done {
				return err
			}
			if stale++; stale > staleRetries {
				return errNoStore(errors.New("a replica stays behind"))
			}
			sleep(ctx, staleWait)
			continue
		}
		for _, m := range msgs {
			c, seq, err := l.exported(m)
			if err != nil {
				return err
			}
			if seq > page.End {
				return nil
			}
			n := len(c.Header) + len(c.Payload)
			if size > 0 && size+n > room {
				page.Next = seq
				return nil
			}
			size += n
			page.Chunks = append(page.Chunks, c)
			page.Last, from = seq, seq+1
		}
		if size >= room && from <= page.End {
			page.Next = from
			return nil
		}
	}
	return nil
}

// nothingUpTo reports whether the log really has no chunk from a place up to end: a replica that is behind may not have
// it yet.
func (l *log) nothingUpTo(ctx context.Context, subject string, from, end uint64) (bool, error) {
	if l.a.opts.maxReplicas() <= 1 {
		return true, nil
	}
	next, err := l.leaderGet(ctx, js.Wanted{Seq: js.Seq(from), NextFor: subject})
	if errors.Is(err, js.ErrNotFound) {
		return true, nil
	}
	return err == nil && uint64(next.seq) > end, err
}

// exported takes a stored message apart, and verifies its checksum.
func (l *log) exported(m *nats.Msg) (c protocol.StoredChunk, seq uint64, err error) {
	at, err := js.SeqOf(m)
	if err != nil {
		return c, 0, errStoredChunk(l, 0, err)
	}
	seq = uint64(at)
	c = protocol.StoredChunk{Header: m.Header.Get(chunk.Header), Payload: m.Data}
	place, ok := layout.ParseSubject(l.a.opts.Prefix, js.SubjectOf(m))
	if !ok {
		return c, 0, errStoredChunk(l, at, fmt.Errorf("its subject %.100q is not that of a stream", js.SubjectOf(m)))
	}
	c.Stream = place.ID.String()
	_, err = chunk.Decode(c.Header, c.Payload)
	if err != nil {
		return c, 0, protocol.Wrap(protocol.CodeStorage, err, fmt.Sprintf("message %d of %s, of the stream with id %.40q, is damaged", seq, l.name, c.Stream))
	}
	return c, seq, nil
}

// getBatch fetches the next chunks at or after seq: of a subject or wildcard. None means that there are no more.
func (l *log) getBatch(ctx context.Context, subject string, seq js.Seq, maxBytes int) (msgs []*nats.Msg, err error) {
	r := js.Request{Subject: subject, Seq: seq, Count: 1000, MaxBytes: maxBytes}
	_, err = l.get.All(ctx, l.name, r, func(m *nats.Msg) error {
		msgs = append(msgs, m)
		return nil
	})
	return msgs, readFailure(err)
}

// ExportCatalog implements [protocol.BackupService].
func (a *Adapter) ExportCatalog(ctx context.Context, req protocol.ExportCatalogRequest) (page protocol.ExportCatalogPage, err error) {
	if req.Basin != "" {
		page, err = a.exportStreams(ctx, req)
	} else {
		page, err = a.exportAccount(ctx, req)
	}
	page.Prefix = a.opts.Prefix
	return page, err
}

// exportStreams takes a page of a basin's streams from the view, which is a moment of the catalog: a stream that lives
// all the time that the pages are asked for is in exactly one of them.
func (a *Adapter) exportStreams(ctx context.Context, req protocol.ExportCatalogRequest) (page protocol.ExportCatalogPage, err error) {
	if _, _, err := a.liveBasin(req.Basin); err != nil {
		return page, a.basinNotFound(req.Basin)
	}
	after := protocol.StreamRef{Basin: req.Basin}
	if req.After != "" {
		var ok bool
		if after, ok = catalog.RefOfKey(req.After); !ok || after.Basin != req.Basin {
			return page, protocol.Errorf(protocol.CodeInvalid, "after: %.100q is not the key of a stream of basin %q", req.After, req.Basin)
		}
	}
	room := pageBytes(req.MaxBytes)
	for size := 0; ; {
		entries, ok := a.catalog.View.StreamsAfter(after, 256)
		if !ok {
			return page, a.basinNotFound(req.Basin)
		}
		if len(entries) == 0 {
			page.More = false
			return page, nil
		}
		for _, e := range entries {
			after = e.Ref()
			if e.Deleting() && !e.IsShadow() {
				if err := a.awaitShadow(ctx, e); err != nil {
					return page, err
				}
				continue
			}
			value, err := json.Marshal(e.Record())
			if err != nil {
				return page, fmt.Errorf("encode catalog entry of %q: %w", e.Name, err)
			}
			if size > 0 && size+len(value)+len(e.Name) > room {
				page.More = true
				return page, nil
			}
			size += len(value) + len(e.Name)
			page.Entries = append(page.Entries, protocol.CatalogEntry{Key: catalog.StreamKey(e.Ref()), Value: value})
		}
	}
}

// awaitShadow waits until a stream that is being deleted stands under its other name, behind all others, if forks need it.
func (a *Adapter) awaitShadow(ctx context.Context, e *catalog.Entry) error {
	const period = 10 * time.Millisecond
	for a.catalog.View.HasForks(e.Basin(), e.ID) {
		if now, _, _ := a.catalog.View.Stream(e.Ref()); now == nil || now.ID != e.ID {
			break
		}
		sleep(ctx, period)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// accountKeys are the catalog's keys that belong to no stream.
var accountKeys = []string{"b.>", "l.>", "t.>"}

// exportAccount takes a page of everything else from the bucket, so that every field of a value is kept.
func (a *Adapter) exportAccount(ctx context.Context, req protocol.ExportCatalogRequest) (page protocol.ExportCatalogPage, err error) {
	leave, err := a.enterBulk(ctx) // it holds all of them for a moment
	if err != nil {
		return page, err
	}
	defer leave()
	entries, err := a.accountEntries(ctx)
	if err != nil {
		return page, errNoStore(err)
	}
	room, size := pageBytes(req.MaxBytes), 0
	for _, e := range entries {
		if e.Key <= req.After {
			continue
		}
		n := len(e.Key) + len(e.Value)
		if size > 0 && size+n > room {
			page.More = true
			break
		}
		size += n
		page.Entries = append(page.Entries, e)
	}
	return page, nil
}

// accountEntries returns the catalog entries that belong to no stream, in the order of the keys.
func (a *Adapter) accountEntries(ctx context.Context) (entries []protocol.CatalogEntry, err error) {
	ctx, cancel := context.WithTimeout(ctx, js.Timeout)
	defer cancel()
	// The client library writes into the slice that it is given.
	w, err := a.catalog.Bucket().WatchFiltered(ctx, slices.Clone(accountKeys), jetstream.IgnoreDeletes())
	if err != nil {
		return nil, fmt.Errorf("read the catalog: %w", err)
	}
	defer w.Stop() //nolint:errcheck // nothing more is wanted from it
	byKey := map[string]json.RawMessage{}
	for {
		select {
		case e := <-w.Updates():
			if e != nil {
				byKey[e.Key()] = e.Value()
				continue
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		break
	}
	for key, value := range byKey {
		if name, ok := strings.CutPrefix(key, "b."); ok {
			if _, _, err := a.liveBasin(protocol.BasinName(name)); err != nil {
				continue
			}
		}
		entries = append(entries, protocol.CatalogEntry{Key: key, Value: value})
	}
	slices.SortFunc(entries, func(x, y protocol.CatalogEntry) int { return strings.Compare(x.Key, y.Key) })
	return entries, nil
}
