package crash

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/weirstream/weir/protocol"
)

// producing is a producer of a stream, over all rounds: one client at a time.
type producing struct {
	id     string
	epoch  uint64
	next   uint64   // seq of its next append
	recent []*batch // its last appends of the epoch that are stored, oldest first
	doubt  *batch   // the one whose outcome the next verification finds
}

// settle takes in what the verification has found.
func (p *producing) settle() {
	if b := p.doubt; b != nil && b.outcome == found {
		p.stored(b)
	}
	p.doubt = nil
}

func (p *producing) stored(b *batch) {
	p.next = b.producer.Seq + 1
	p.recent = append(p.recent, b)
	if len(p.recent) > protocol.ProducerWindow {
		p.recent = p.recent[1:]
	}
}

// appendProduced appends as a producer, makes appends again that are stored, and begins new epochs.
func (r *round) appendProduced(svc protocol.Service, m *model, rnd *rand.Rand, client int) {
	p := r.e.producer(m, client)
	p.settle()
	if len(p.recent) > 0 && !r.repeat(svc, m, p.recent[len(p.recent)-1]) { // the one that was in doubt, if it is there
		return
	}
	for {
		switch k := rnd.IntN(30); {
		case k < 6 && len(p.recent) > 0:
			if !r.repeat(svc, m, p.recent[rnd.IntN(len(p.recent))]) {
				return
			}
			continue
		case k == 6:
			p.epoch, p.next, p.recent = p.epoch+1, 0, nil
		case k == 7 && !r.refusedProducer(svc, m, rnd, protocol.Producer{ID: p.id, Epoch: p.epoch, Seq: p.next + 1 + rnd.Uint64N(3)}, protocol.CodeProducerGap):
			return
		case k == 8 && p.next > 0 && !r.refusedProducer(svc, m, rnd, protocol.Producer{ID: p.id, Epoch: p.epoch - 1, Seq: p.next}, protocol.CodeProducerFenced):
			return
		}
		b := newBatch(batchIDs.Add(1), rnd)
		b.producer = &protocol.Producer{ID: p.id, Epoch: p.epoch, Seq: p.next}
		p.doubt = b
		_, err, ok := r.try(svc, m, b)
		if err == nil {
			p.stored(b)
			p.doubt = nil
		}
		if !ok {
			return
		}
	}
}

// producer is the producer that a client of a stream is.
func (e *episode) producer(m *model, client int) *producing {
	e.producersMu.Lock()
	defer e.producersMu.Unlock()
	if e.producers == nil {
		e.producers = map[*model]map[int]*producing{}
	}
	if e.producers[m] == nil {
		e.producers[m] = map[int]*producing{}
	}
	p := e.producers[m][client]
	if p == nil {
		p = &producing{id: fmt.Sprintf("producer %d", client), epoch: 1}
		e.producers[m][client] = p
	}
	return p
}

// repeat makes an append again that is stored. It must be answered with its positions; the next verification must not find it twice.
func (r *round) repeat(svc protocol.Service, m *model, b *batch) bool {
	ack, err := svc.Append(r.ctx, m.ref, b.input())
	switch {
	case err != nil:
		r.mayFail(err, fmt.Sprintf("%s: a repetition of %v", m.ref, b))
		return false
	case ack.Start.SeqNum != b.start || ack.End.SeqNum != b.end() || !ack.Repeated:
		r.report(fmt.Errorf("%s: %v was made again and expected the same positions and nothing stored, found %+v", m.ref, b, ack))
		return false
	}
	return !r.over()
}

// refusedProducer makes an append that must be refused.
func (r *round) refusedProducer(svc protocol.Service, m *model, rnd *rand.Rand, p protocol.Producer, want protocol.Code) bool {
	b := newBatch(batchIDs.Add(1), rnd)
	b.producer = &p
	m.sent(b)
	ack, err := svc.Append(r.ctx, m.ref, b.input())
	r.report(m.answered(b, ack, err))
	var e *protocol.Error
	switch {
	case err == nil:
		r.report(fmt.Errorf("%s: an append of %+v: expected %s, found %+v", m.ref, p, want, ack))
		return false
	case errors.As(err, &e) && e.Code == want:
		return !r.over()
	}
	r.mayFail(err, fmt.Sprintf("%s: an append of %+v", m.ref, p))
	return false
}
