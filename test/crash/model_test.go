package crash

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/weirstream/weir/protocol"
)

// model is what is known of one incarnation of a stream: all batches ever sent to it, and the state that the last
// verification found.
type model struct {
	ref protocol.StreamRef

	mu      sync.Mutex
	batches map[uint64]*batch
	tail    uint64 // highest end of an ack or of a verified record: a tail asked for later is not below

	forked bool
	base   checkpoint // what the last verification found
	placed []*batch   // acknowledged or found by the last verification, by start
}

// checkpoint is a stream's whole state at rest.
type checkpoint struct {
	tail  protocol.Position
	trim  uint64
	token string
}

func newModel(ref protocol.StreamRef) *model {
	return &model{ref: ref, batches: map[uint64]*batch{}}
}

// fork is the model of a fork of the stream at the end of a random batch. No client may be writing, and the outcome of all batches must
// be known.
func (m *model) fork(ref protocol.StreamRef, rnd *rand.Rand) *model {
	m.mu.Lock()
	defer m.mu.Unlock()
	trim := m.base.trim
	for _, b := range m.batches {
		if b.stands() && b.start >= m.base.tail.SeqNum && b.trimAt >= 0 {
			trim = max(trim, b.trimmed())
		}
	}
	ends := []uint64{trim, m.tail, m.tail}
	for _, b := range m.batches {
		if b.stands() && b.end() > trim {
			ends = append(ends, b.end())
		}
	}
	slices.Sort(ends) // the order of a map must not decide what a seed does
	at := ends[rnd.IntN(len(ends))]
	f := newModel(ref)
	f.forked, f.tail, f.base = true, at, checkpoint{tail: protocol.Position{SeqNum: at}, trim: trim}
	for id, b := range m.batches {
		if b.stands() && b.end() > trim && b.end() <= at {
			shared := *b
			f.batches[id] = &shared
		}
	}
	return f
}

// sent notes a batch before it is handed over.
func (m *model) sent(b *batch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.batches[b.id] = b
}

// answered notes what a client was told of its batch.
func (m *model) answered(b *batch, ack protocol.AppendAck, err error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		b.why = err.Error()
		if protocol.CodeOf(err).Clean() {
			b.outcome = refused
		}
		return nil
	}
	b.outcome, b.start, b.ack = acked, ack.Start.SeqNum, ack
	m.tail = max(m.tail, ack.End.SeqNum)
	switch {
	case ack.End.SeqNum-ack.Start.SeqNum != uint64(b.n), ack.Tail.SeqNum < ack.End.SeqNum:
		return fmt.Errorf("%s: %v has an ack that does not fit: %+v", m.ref, b, ack)
	case b.match != nil && *b.match != ack.Start.SeqNum:
		return fmt.Errorf("%s: %v was acknowledged at %d in spite of its match_seq_num", m.ref, b, ack.Start.SeqNum)
	}
	return nil
}

// knownTail is a position that no check-tail made from now on may be below.
func (m *model) knownTail() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tail
}

// observed is what a restarted broker says of a stream that nobody writes to.
type observed struct {
	tail    protocol.Position
	token   string
	records []protocol.SequencedRecord // everything readable
}

// first is the seq_num of the first readable record, or the tail if there is none.
func (o *observed) first() uint64 {
	if len(o.records) == 0 {
		return o.tail.SeqNum
	}
	return o.records[0].SeqNum
}

// verify compares the stream with the model. No client may be writing, and nothing may be on its way. Afterwards every
// batch has a definite outcome.
func (m *model) verify(o *observed) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.checkRecords(o); err != nil {
		return err
	}
	standing, err := m.place(o)
	if err != nil {
		return err
	}
	placed := slices.SortedFunc(maps.Values(standing), func(a, b *batch) int { return cmp.Compare(a.start, b.start) })
	if err := m.replay(o, placed); err != nil {
		return err
	}
	for _, b := range m.batches {
		if b.outcome == open {
			b.outcome = absent
		}
	}
	m.placed = placed
	m.base = checkpoint{o.tail, o.first(), o.token}
	m.tail = max(m.tail, o.tail.SeqNum)
	return nil
}

// checkRecords checks what must hold of any stream.
func (m *model) checkRecords(o *observed) error {
	want, last := o.first(), uint64(0)
	for i := range o.records {
		r := &o.records[i]
		switch {
		case r.SeqNum != want:
			return fmt.Errorf("expected seq_num %d after %d, found %d: the sequence is not dense", want, want-1, r.SeqNum)
		case r.Timestamp < last:
			return fmt.Errorf("record %d: expected a timestamp of at least %d, found %d", r.SeqNum, last, r.Timestamp)
		}
		want, last = want+1, r.Timestamp
	}
	switch {
	case want != o.tail.SeqNum:
		return fmt.Errorf("expected the tail right behind the last record, %d, found %v", want, o.tail)
	case len(o.records) > 0 && last != o.tail.Timestamp:
		return fmt.Errorf("expected the last record's timestamp %d in the tail, found %v", last, o.tail)
	case o.tail.SeqNum < m.base.tail.SeqNum || o.tail.Timestamp < m.base.tail.Timestamp:
		return fmt.Errorf("expected a tail of at least the earlier %v, found %v", m.base.tail, o.tail)
	case o.first() < m.base.trim:
		return fmt.Errorf("expected no record below the earlier trim point %d, found %d", m.base.trim, o.first())
	}
	return nil
}

// place finds the batch that each readable record belongs to, and compares every byte. It returns all batches that stand,
// those that can no longer be read included.
func (m *model) place(o *observed) (map[uint64]*batch, error) {
	standing := map[uint64]*batch{}
	first := o.first()
	for i := 0; i < len(o.records); {
		b, start, err := m.batchAt(o.records[i:], i == 0)
		if err != nil {
			return nil, err
		}
		for ; i < len(o.records) && o.records[i].SeqNum < start+uint64(b.n); i++ {
			r := &o.records[i]
			want := b.record(int(r.SeqNum - start))
			if !bytes.Equal(r.Body, want.Body) || !sameHeaders(r.Headers, want.Headers) {
				return nil, fmt.Errorf("record %d: expected record %d of %v, found %.80q with headers %.80q", r.SeqNum, r.SeqNum-start, b, r.Body, r.Headers)
			}
		}
		if end := start + uint64(b.n); end > o.tail.SeqNum {
			return nil, fmt.Errorf("expected a whole batch or none, found %d of the %d records of %v at the tail %v", o.tail.SeqNum-start, b.n, b, o.tail)
		}
		if err := m.settle(b, start); err != nil {
			return nil, err
		}
		standing[b.id] = b
	}
	for _, b := range m.batches {
		if b.outcome != acked && b.outcome != found || standing[b.id] != nil {
			continue
		}
		if b.end() > first {
			return nil, fmt.Errorf("expected %v, found other records there, or none: readable are %d to %d", b, first, o.tail.SeqNum)
		}
		standing[b.id] = b // trimmed
	}
	return standing, m.checkAcks(o, standing)
}

// batchAt finds the batch of the first of recs, by the first record there that names it. Only the first readable batch may
// be cut, by the trim point.
func (m *model) batchAt(recs []protocol.SequencedRecord, cut bool) (*batch, uint64, error) {
	for i := range recs {
		id, place, ok := identify(&recs[i])
		if !ok {
			continue
		}
		b := m.batches[id]
		if b == nil {
			return nil, 0, fmt.Errorf("record %d: expected a batch that was sent to this stream, found one of batch %d", recs[i].SeqNum, id)
		}
		start := recs[i].SeqNum - uint64(place)
		if recs[i].SeqNum < uint64(place) || start > recs[0].SeqNum || start < recs[0].SeqNum && !cut || place >= b.n {
			return nil, 0, fmt.Errorf("record %d: expected the beginning of a batch, found record %d of %v, %d records on", recs[0].SeqNum, place, b, i)
		}
		return b, start, nil
	}
	return nil, 0, fmt.Errorf("record %d: expected a record of a batch, found %.80q with headers %.80q", recs[0].SeqNum, recs[0].Body, recs[0].Headers)
}

// settle checks that a batch may stand at start, and notes that it does.
func (m *model) settle(b *batch, start uint64) error {
	switch b.outcome {
	case acked, found:
		if b.start != start {
			return fmt.Errorf("expected %v, found it (again) at %d", b, start)
		}
	case refused, absent:
		return fmt.Errorf("expected nothing of %v, found it at %d", b, start)
	case open:
		if start < m.base.tail.SeqNum {
			return fmt.Errorf("expected %v behind the earlier tail %v, found it at %d", b, m.base.tail, start)
		}
		b.outcome, b.start = found, start
	}
	return nil
}

// checkAcks compares the timestamps in acks with those of the records.
func (m *model) checkAcks(o *observed, standing map[uint64]*batch) error {
	first := o.first()
	for _, b := range standing {
		if b.outcome != acked || b.start < first {
			continue
		}
		from, to := o.records[b.start-first].Timestamp, o.records[b.end()-1-first].Timestamp
		if b.ack.Start.Timestamp != from || b.ack.End.Timestamp != to {
			return fmt.Errorf("expected the timestamps of the ack %+v of %v, found %d to %d", b.ack, b, from, to)
		}
	}
	return nil
}

// replay applies the batches in order to the state of the last verification, and compares the conditions of each, and
// the state at the end. Where an open batch may stand that was trimmed before anybody could see it, every state
// that it may lead to is right.
func (m *model) replay(o *observed, placed []*batch) error {
	pos, token, trim := m.base.tail.SeqNum, m.base.token, m.base.trim
	known := true // token is
	var holes []*batch
	hole := func(to uint64) error {
		if to > o.first() {
			return fmt.Errorf("expected a batch at %d, found none before %d", pos, to)
		}
		known = false
		if holes == nil {
			for _, b := range m.batches {
				if b.outcome == open {
					holes = append(holes, b)
				}
			}
		}
		return nil
	}
	for _, b := range placed {
		if b.start < m.base.tail.SeqNum {
			continue
		}
		switch {
		case b.start < pos:
			return fmt.Errorf("expected %v behind %d, where the batch before it ends", b, pos)
		case b.start > pos:
			if err := hole(b.start); err != nil {
				return err
			}
		}
		if b.match != nil && *b.match != b.start {
			return fmt.Errorf("expected nothing of %v but at its match_seq_num, found it at %d", b, b.start)
		}
		if b.token != nil && known && *b.token != token {
			return fmt.Errorf("expected nothing of %v where the token is %q, found it at %d", b, token, b.start)
		}
		if b.fenceAt >= 0 {
			token, known = b.newToken(), true
		}
		if b.trimAt >= 0 {
			trim = max(trim, b.trimmed())
		}
		pos = b.end()
	}
	if pos < o.tail.SeqNum {
		if err := hole(o.tail.SeqNum); err != nil {
			return err
		}
	}
	if o.first() < trim || o.first() > trim && !slices.ContainsFunc(holes, func(b *batch) bool { return b.trimAt >= 0 && b.trimTo >= o.first() }) {
		return fmt.Errorf("expected the trim point %d, found the first record at %d (the tail is %v)", trim, o.first(), o.tail)
	}
	if o.token != token && (known || !slices.ContainsFunc(holes, func(b *batch) bool { return b.fenceAt >= 0 && b.newToken() == o.token })) {
		return fmt.Errorf("expected the fencing token %q, found %q", token, o.token)
	}
	return nil
}

func sameHeaders(a, b []protocol.Header) bool {
	return slices.EqualFunc(a, b, func(a, b protocol.Header) bool {
		return bytes.Equal(a.Name, b.Name) && bytes.Equal(a.Value, b.Value)
	})
}
