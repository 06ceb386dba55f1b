package chunk

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"

	"github.com/weirstream/weir/protocol"
)

// ProducerKey stands for a producer's id in chunks: the first 16 bytes of its SHA-256, so that ids of any length cost the same.
type ProducerKey [16]byte

// KeyOfProducer is the key of an id.
func KeyOfProducer(id string) ProducerKey {
	sum := sha256.Sum256([]byte(id))
	return ProducerKey(sum[:16])
}

// Producers is a stream's memory of its producers: at most [protocol.MaxProducers], the one that appended last first. It is
// immutable but for its text, so it is for one goroutine. nil is empty.
type Producers struct {
	list []producerState
	text string // encoded, once it was asked for
}

type producerState struct {
	key        ProducerKey
	epoch, seq uint64   // of the last append
	recent     []Placed // the last appends of the epoch, the newest first; at most [protocol.ProducerWindow]
}

// Placed is where an append was stored: from the first record to behind the last.
type Placed struct {
	Start protocol.Position // of the first record
	End   protocol.Position // behind the last record, with its timestamp
}

// Find returns the epoch and seq of a producer's last append, and where its last appends in that epoch stand, the newest first.
func (p *Producers) Find(key ProducerKey) (epoch, seq uint64, recent []Placed, ok bool) {
	if p == nil {
		return 0, 0, nil, false
	}
	for i := range p.list {
		if s := &p.list[i]; s.key == key {
			return s.epoch, s.seq, s.recent, true
		}
	}
	return 0, 0, nil, false
}

// With is p after an append of a producer.
func (p *Producers) With(key ProducerKey, epoch, seq uint64, at Placed) *Producers {
	next := producerState{key: key, epoch: epoch, seq: seq, recent: []Placed{at}}
	var old []producerState
	if p != nil {
		old = p.list
	}
	list := make([]producerState, 1, min(len(old)+1, protocol.MaxProducers))
	for _, s := range old {
		switch {
		case s.key == key && s.epoch == epoch:
			keep := s.recent[:min(len(s.recent), protocol.ProducerWindow-1)]
			next.recent = append(append(make([]Placed, 0, len(keep)+1), at), keep...)
		case s.key != key && len(list) < protocol.MaxProducers:
			list = append(list, s)
		}
	}
	list[0] = next
	return &Producers{list: list}
}

// Text is the form in a chunk's header: unpadded base64url of, for each producer, its key, and as varints its epoch, its seq, the
// number of its appends that are remembered, and these, the newest first, each as the distance of its end from the start of the
// one after it (for the newest: its end), its number of records, and in the same way the distance of the timestamps and the span
// from the first to the last of them.
func (p *Producers) Text() string {
	if p == nil || len(p.list) == 0 {
		return ""
	}
	if p.text == "" {
		b := make([]byte, 0, 64*len(p.list))
		for i := range p.list {
			s := &p.list[i]
			b = append(b, s.key[:]...)
			b = binary.AppendUvarint(b, s.epoch)
			b = binary.AppendUvarint(b, s.seq)
			b = binary.AppendUvarint(b, uint64(len(s.recent)))
			var after protocol.Position
			for k, at := range s.recent {
				if k == 0 {
					b = binary.AppendUvarint(b, at.End.SeqNum)
				} else {
					b = binary.AppendUvarint(b, after.SeqNum-at.End.SeqNum)
				}
				b = binary.AppendUvarint(b, at.End.SeqNum-at.Start.SeqNum)
				if k == 0 {
					b = binary.AppendUvarint(b, at.End.Timestamp)
				} else {
					b = binary.AppendUvarint(b, after.Timestamp-at.End.Timestamp)
				}
				b = binary.AppendUvarint(b, at.End.Timestamp-at.Start.Timestamp)
				after = at.Start
			}
		}
		p.text = base64.RawURLEncoding.EncodeToString(b)
	}
	return p.text
}

var errProducers = errors.New("malformed producers")

// ParseProducers is the inverse of Text.
func ParseProducers(text string) (*Producers, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) == 0 {
		return nil, errProducers
	}
	r := varints{b: b}
	p := &Producers{text: text}
	for len(r.b) > 0 {
		if len(r.b) < len(ProducerKey{}) || len(p.list) == protocol.MaxProducers {
			return nil, errProducers
		}
		s := producerState{key: ProducerKey(r.b[:16])}
		r.b = r.b[16:]
		s.epoch, s.seq = r.next(), r.next()
		n := r.next()
		if n == 0 || n > protocol.ProducerWindow {
			return nil, errProducers
		}
		s.recent = make([]Placed, n)
		var after protocol.Position
		for k := range s.recent {
			at := &s.recent[k]
			seq, count, ts, span := r.next(), r.next(), r.next(), r.next()
			if k > 0 {
				seq, ts = r.minus(after.SeqNum, seq), r.minus(after.Timestamp, ts)
			}
			at.End = protocol.Position{SeqNum: seq, Timestamp: ts}
			at.Start = protocol.Position{SeqNum: r.minus(seq, count), Timestamp: r.minus(ts, span)}
			after = at.Start
		}
		if r.bad {
			return nil, errProducers
		}
		p.list = append(p.list, s)
	}
	return p, nil
}

// varints reads numbers in their shortest form.
type varints struct {
	b   []byte
	bad bool
}

func (r *varints) next() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || n > 1 && r.b[n-1] == 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *varints) minus(a, b uint64) uint64 {
	if b > a {
		r.bad = true
		return 0
	}
	return a - b
}
