package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/chunk"
)

const (
	// logsAtOnce is how many logs of a basin are copied at a time.
	logsAtOnce = 2
	// streamTries is how often one stream is copied again because it was purged meanwhile.
	streamTries = 50
)

// logName is the file of a log.
func logName(basin protocol.BasinName, n int) string {
	return logsDir + "/" + string(basin) + "." + strconv.Itoa(n) + chunksSuffix
}

// logs copies the logs of a basin.
func (s *saver) logs(ctx context.Context, basin protocol.BasinName, logs map[int]map[id]*chain) ([]File, error) {
	files := make([]File, len(logs))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(logsAtOnce)
	i := 0
	for n, streams := range logs {
		slot := &files[i]
		i++
		group.Go(func() (err error) {
			l := &logSaver{saver: s, basin: basin, n: n, streams: streams}
			*slot, err = l.run(ctx)
			if err != nil {
				err = fmt.Errorf("log %d: %w", n, err)
			}
			return err
		})
	}
	err := group.Wait()
	return slices.DeleteFunc(files, func(f File) bool { return f.Name == "" }), err
}

// logSaver copies one log.
type logSaver struct {
	*saver
	basin   protocol.BasinName
	n       int
	streams map[id]*chain
	w       *writer // made with the first frame
	file    File    // counts
	frame   []byte
}

// run copies the log up to its newest chunk, and streams again that were purged in between. An empty log has no file.
func (l *logSaver) run(ctx context.Context) (f File, err error) {
	defer func() {
		if err != nil && l.w != nil {
			l.w.abandon()
		}
	}()
	exact, end, err := l.all(ctx)
	if err != nil {
		return f, err
	}
	if !exact {
		if err := l.purged(ctx, end); err != nil {
			return f, err
		}
	}
	for i, c := range l.streams {
		if !c.whole() {
			if err := l.stream(ctx, i); err != nil {
				return f, err
			}
		}
	}
	if l.w == nil {
		return File{}, nil
	}
	if err := l.put(&chunk.Frame{Kind: chunk.FrameEnd, Count: l.file.Chunks}); err != nil {
		return f, err
	}
	counts := l.file
	if f, err = l.w.finish(); err != nil {
		return f, err
	}
	f.Chunks, f.Restarts, f.Time = counts.Chunks, counts.Restarts, counts.Time
	return f, nil
}

// all copies the log's chunks up to its end. exact says that nothing was purged before it was copied: as many chunks
// came as were there. Then nothing can be missing.
func (l *logSaver) all(ctx context.Context) (exact bool, end uint64, err error) {
	var held, came uint64
	err = l.pages(ctx, "", func(page *protocol.ExportChunksPage, first bool) error {
		if first {
			held, end = page.Messages, page.End
		}
		came += uint64(len(page.Chunks))
		for i := range page.Chunks {
			if err := l.chunk(&page.Chunks[i], page.Time); err != nil {
				return err
			}
		}
		return nil
	})
	return came == held, end, err
}

// purged finds the streams of which nothing is left up to the end of the log. All that was known of one of them may have
// been purged before it was copied, in favour of a chunk behind the end: so it is copied again, at its newest.
func (l *logSaver) purged(ctx context.Context, end uint64) error {
	names := make([]string, 0, min(len(l.streams), protocol.MaxPurgedStreams))
	ask := func() error {
		var ids []string
		err := again(ctx, func(ctx context.Context) (err error) {
			ids, err = l.src.PurgedStreams(ctx, protocol.PurgedStreamsRequest{Basin: l.basin, Log: l.n, End: end, Streams: names})
			return err
		})
		if err != nil {
			return err
		}
		for _, name := range ids {
			i, err := parseID(name)
			if err != nil {
				return err
			}
			if err := l.stream(ctx, i); err != nil {
				return err
			}
		}
		names = names[:0]
		return nil
	}
	for i := range l.streams {
		if names = append(names, i.String()); len(names) == protocol.MaxPurgedStreams {
			if err := ask(); err != nil {
				return err
			}
		}
	}
	if len(names) == 0 {
		return nil
	}
	return ask()
}

// stream copies one stream again, until that comes to its newest chunk before that is purged.
func (l *logSaver) stream(ctx context.Context, i id) error {
	for range streamTries {
		if err := l.put(&chunk.Frame{Kind: chunk.FrameRestart, StoredChunk: protocol.StoredChunk{Stream: i.String()}}); err != nil {
			return err
		}
		l.file.Restarts++
		*l.streams[i] = chain{}
		var end, last uint64
		err := l.pages(ctx, i.String(), func(page *protocol.ExportChunksPage, first bool) error {
			if first {
				end = page.End
			}
			last = max(last, page.Last)
			for k := range page.Chunks {
				if err := l.chunk(&page.Chunks[k], page.Time); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || last == end {
			return err
		}
	}
	return protocol.Errorf(protocol.CodeTransactionConflict, "the stream with id %s is trimmed too fast to be copied", i)
}

// chunk writes one chunk, if its stream was there when the backup began.
func (l *logSaver) chunk(k *protocol.StoredChunk, now uint64) error {
	i, err := parseID(k.Stream)
	if err != nil {
		return err
	}
	c, ok := l.streams[i]
	if !ok {
		return nil
	}
	decoded, err := chunk.Decode(k.Header, k.Payload)
	if err == nil {
		err = c.add(&decoded, now)
	}
	if err != nil {
		return fmt.Errorf("stream with id %s: %w", k.Stream, err)
	}
	l.file.Time = max(l.file.Time, now)
	l.file.Chunks++
	return l.put(&chunk.Frame{Kind: chunk.FrameChunk, StoredChunk: *k})
}

func (l *logSaver) put(f *chunk.Frame) (err error) {
	if l.w == nil {
		if l.w, err = create(l.dir, logName(l.basin, l.n), compression(l.opts.Compress)); err != nil {
			return err
		}
	}
	l.frame = chunk.AppendFrame(l.frame[:0], f)
	_, err = l.w.Write(l.frame)
	return err
}

// pages asks for the pages of a log, or of a stream, one ahead of the one that is worked on.
func (l *logSaver) pages(ctx context.Context, stream string, work func(page *protocol.ExportChunksPage, first bool) error) error {
	ctx, cancel := context.WithCancel(ctx)
	pages := make(chan *protocol.ExportChunksPage)
	failed := make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(pages)
		failed <- l.ask(ctx, stream, pages)
	}()
	defer func() { cancel(); <-done }()
	first := true
	for page := range pages {
		if err := work(page, first); err != nil {
			return err
		}
		first = false
	}
	err := <-failed
	if errors.Is(err, context.Canceled) && context.Cause(ctx) != nil {
		return context.Cause(ctx)
	}
	return err
}

func (l *logSaver) ask(ctx context.Context, stream string, pages chan<- *protocol.ExportChunksPage) error {
	req := protocol.ExportChunksRequest{Basin: l.basin, Log: l.n, Stream: stream, MaxBytes: l.opts.PageBytes}
	for {
		page := new(protocol.ExportChunksPage)
		if err := again(ctx, func(ctx context.Context) (err error) {
			*page, err = l.src.ExportChunks(ctx, req)
			return err
		}); err != nil {
			return err
		}
		size := 0
		for i := range page.Chunks {
			size += len(page.Chunks[i].Header) + len(page.Chunks[i].Payload)
		}
		select {
		case pages <- page:
		case <-ctx.Done():
			return ctx.Err()
		}
		l.progress.add(l.basin, size)
		if page.Next == 0 {
			return nil
		}
		req.From, req.End = page.Next, page.End
		if err := l.pace.passed(ctx, size); err != nil {
			return err
		}
	}
}
