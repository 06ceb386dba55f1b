package test

import (
	"slices"

	"github.com/weirstream/weir/protocol"
)

// memProducer is what a stream of the model remembers of a producer.
type memProducer struct {
	id    string
	epoch uint64
	acks  []protocol.AppendAck // of the epoch, by seq
}

func (s *memStream) writer(id string) *memProducer {
	for _, w := range s.writers {
		if w.id == id {
			return w
		}
	}
	return nil
}

// produced answers an append that its producer made before, or whose epoch is over.
func (s *memStream) produced(p *protocol.Producer) (ack protocol.AppendAck, err error, done bool) {
	if p == nil {
		return ack, nil, false
	}
	w := s.writer(p.ID)
	switch {
	case w == nil || p.Epoch > w.epoch:
		return ack, nil, false
	case p.Epoch < w.epoch:
		return ack, protocol.ProducerFenced(w.epoch), true
	case p.Seq >= uint64(len(w.acks)):
		return ack, nil, false
	case len(w.acks)-int(p.Seq) > protocol.ProducerWindow:
		return ack, protocol.ProducerRepeated(protocol.ProducerMismatch{Epoch: &w.epoch, Expected: uint64(len(w.acks)), Received: p.Seq}), true
	}
	ack = w.acks[p.Seq]
	ack.Tail, ack.Repeated, ack.LastSeq = s.tail, true, uint64(len(w.acks))-1
	return ack, nil, true
}

// nextOf fails unless the append is the next one of its producer.
func (s *memStream) nextOf(p *protocol.Producer) error {
	if p == nil {
		return nil
	}
	m := protocol.ProducerMismatch{Received: p.Seq}
	if w := s.writer(p.ID); w != nil {
		m.Epoch = &w.epoch
		if w.epoch == p.Epoch {
			m.Expected = uint64(len(w.acks))
		}
	}
	if m.Expected != p.Seq {
		return protocol.ProducerGap(m)
	}
	return nil
}

// remember notes an append of a producer; the one that appended last stands at the end.
func (s *memStream) remember(p *protocol.Producer, ack protocol.AppendAck) {
	if p == nil {
		return
	}
	w := s.writer(p.ID)
	if w == nil {
		w = &memProducer{id: p.ID}
	}
	s.writers = slices.DeleteFunc(s.writers, func(o *memProducer) bool { return o == w })
	if w.epoch != p.Epoch {
		w.epoch, w.acks = p.Epoch, nil
	}
	w.acks = append(w.acks, ack)
	s.writers = append(s.writers, w)
	if len(s.writers) > protocol.MaxProducers {
		s.writers = s.writers[1:]
	}
}
