package test

import (
	"time"

	"github.com/weirstream/weir/protocol"
)

// forkLocked makes a stream that begins with the records of another, by copying them.
func (b *memBasin) forkLocked(req protocol.CreateStreamRequest) (*memStream, error) {
	source := b.streams[req.Fork.Source]
	if source == nil {
		return nil, protocol.Errorf(protocol.CodeStreamNotFound, "stream %s does not exist", req.Fork.Source)
	}
	at := source.tail.SeqNum
	if req.Fork.At != nil {
		at = *req.Fork.At
	}
	switch {
	case at > source.tail.SeqNum:
		return nil, protocol.Errorf(protocol.CodeInvalid, "fork.at: the tail is %d", source.tail.SeqNum)
	case at < source.trim:
		return nil, protocol.Errorf(protocol.CodeInvalid, "fork.at: the source is trimmed to %d", source.trim)
	}
	config := req.Config.Resolve(source.config.Layer())
	if err := memExpiry(config); err != nil {
		return nil, err
	}
	s := b.addStreamLocked(req.Stream, config.Layer())
	s.info.Cipher = source.info.Cipher
	s.tail.SeqNum = at
	if at == source.tail.SeqNum {
		s.tail = source.tail
	}
	now := time.Now()
	for _, batch := range source.batches {
		shared := memBatch{key: batch.key}
		if !batch.expires.IsZero() && !now.Before(batch.expires) {
			continue
		}
		for _, rec := range batch.records {
			if rec.SeqNum >= source.trim && rec.SeqNum < at {
				shared.records = append(shared.records, rec)
				s.tail.Timestamp = max(s.tail.Timestamp, rec.Timestamp)
			}
		}
		if p := config.RetentionPolicy; !p.Infinite() {
			shared.expires = now.Add(time.Duration(min(p.AgeSecs, 1e9)) * time.Second)
		}
		if len(shared.records) > 0 {
			s.batches = append(s.batches, shared)
		}
	}
	return s, nil
}
