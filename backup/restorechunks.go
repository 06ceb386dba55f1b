package backup

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/chunk"
)

const (
	// batchChunks bounds the chunks of one message.
	batchChunks = 8192
	// batchesAhead is how many messages to one log may be unanswered.
	batchesAhead = 2
)

// chunks sends the chunks of the basin's logs. Those of one stream keep their order: it lies in one log here and in one
// there, and the messages to a log say how many chunks were sent before.
func (b *basinRestorer) chunks(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	s := &sender{b: b, ctx: ctx, group: group, logs: map[int]*sendingLog{}}
	err := b.readLogs(ctx, s)
	for n, l := range s.logs {
		if err == nil {
			err = s.flush(n, l)
		}
	}
	if failed := group.Wait(); failed != nil {
		return failed
	}
	for i, st := range b.streams {
		if err == nil && !st.whole() {
			err = fmt.Errorf("records of the stream with id %s are missing before seq_num %d", i, st.next)
		}
	}
	b.sent = map[int]uint64{}
	for n, l := range s.logs {
		b.sent[n] = l.before
	}
	return err
}

// readLogs reads the files of the basin.
func (b *basinRestorer) readLogs(ctx context.Context, s *sender) error {
	for _, f := range b.logs[b.basin] {
		valid, err := b.restarts(f)
		if err != nil {
			return err
		}
		r, err := open(b.dir, f.File)
		if err != nil {
			return err
		}
		err = r.frames(func(i uint64, frame *chunk.Frame) error {
			return b.frame(ctx, s, r, f, valid, i, frame)
		})
		if err == nil {
			err = r.check()
		}
		r.close()
		if err != nil {
			return err
		}
	}
	return nil
}

// restarts returns, for the streams of a file that come again, the number of the frame from which on they count.
func (b *basinRestorer) restarts(f logFile) (map[string]uint64, error) {
	if f.Restarts == 0 {
		return nil, nil
	}
	r, err := open(b.dir, f.File)
	if err != nil {
		return nil, err
	}
	defer r.close()
	valid := map[string]uint64{}
	return valid, r.frames(func(i uint64, frame *chunk.Frame) error {
		if frame.Kind == chunk.FrameRestart {
			valid[frame.Stream] = i
		}
		return nil
	})
}

// frame sends a chunk on its way, if it counts.
func (b *basinRestorer) frame(ctx context.Context, s *sender, r *reader, f logFile, valid map[string]uint64, i uint64, frame *chunk.Frame) error {
	if frame.Kind != chunk.FrameChunk || i < valid[frame.Stream] {
		return nil
	}
	key, err := parseID(frame.Stream)
	if err != nil {
		return damaged(r.path, err)
	}
	st, ok := b.streams[key]
	if !ok || st.from != f.n {
		return nil
	}
	chunk, err := chunk.Decode(frame.Header, frame.Payload)
	if err == nil {
		err = st.add(&chunk, f.Time)
	}
	if err != nil {
		return damaged(r.path, fmt.Errorf("frame %d, of the stream with id %s: %w", i, frame.Stream, err))
	}
	n := len(frame.Header) + len(frame.Payload)
	b.copying.add(b.basin, n)
	if err := b.pace.passed(ctx, n); err != nil {
		return err
	}
	return s.add(st.to, frame.StoredChunk)
}

// sender gathers chunks into messages.
type sender struct {
	b     *basinRestorer
	ctx   context.Context //nolint:containedctx // ends with the basin's chunks
	group *errgroup.Group
	logs  map[int]*sendingLog
}

// sendingLog is the messages to one log.
type sendingLog struct {
	before uint64 // chunks sent
	chunks []protocol.StoredChunk
	bytes  int
	ahead  chan struct{} // a token for each unanswered message
}

func (s *sender) add(log int, c protocol.StoredChunk) error {
	l := s.logs[log]
	if l == nil {
		l = &sendingLog{ahead: make(chan struct{}, batchesAhead)}
		s.logs[log] = l
	}
	n := chunk.FrameSize(&c)
	if l.bytes+n > s.b.opts.BatchBytes || len(l.chunks) == batchChunks {
		if err := s.flush(log, l); err != nil {
			return err
		}
	}
	l.chunks, l.bytes = append(l.chunks, c), l.bytes+n
	return nil
}

// flush sends the gathered chunks, when there is room for another message.
func (s *sender) flush(log int, l *sendingLog) error {
	if len(l.chunks) == 0 {
		return nil
	}
	select {
	case l.ahead <- struct{}{}:
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
	req := protocol.ImportChunksRequest{Basin: s.b.basin, Restore: s.b.restore, Log: log, Before: l.before, Chunks: l.chunks}
	s.group.Go(func() error {
		defer func() { <-l.ahead }()
		return again(s.ctx, func(ctx context.Context) error { return s.b.dst.ImportChunks(ctx, req) })
	})
	l.before += uint64(len(l.chunks))
	l.chunks, l.bytes = nil, 0
	return nil
}
