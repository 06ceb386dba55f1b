package metering

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"sync"
	"time"

	"github.com/weirstream/weir/protocol"
)

const (
	// quarterSeconds is the period of samples: a quarter of a day, at most 360 samples and about 3 KB.
	quarterSeconds = daySeconds / 4
	// maxSampled bounds the streams that are sampled in a quarter, and so memory and the bytes written: 30 MB at the worst.
	maxSampled = 10_000
)

// samples are the sizes of streams that have changed, one a minute. The samples of earlier processes stay beside it in the
// store, under their names.
type samples struct {
	mu      sync.Mutex
	quarter uint32
	streams map[string]*sampled // by scope
}

type sampled struct {
	sizes []size // seconds from the beginning of the quarter
	dirty bool
}

// sampleScope is where the samples of a stream are kept. The name itself could be too long for a subject.
func sampleScope(ref protocol.StreamRef) string {
	sum := sha256.Sum256([]byte(ref.Stream))
	return string(ref.Basin) + "." + hex.EncodeToString(sum[:16])
}

// Sample records the size of a stream that has changed. Samples of more than maxSampled streams in a quarter of a day
// are dropped; a query still reports the size of the moment.
func (m *Meter) Sample(ref protocol.StreamRef, bytes uint64, at time.Time) {
	s := &m.samples
	second := seconds(at)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turnLocked(second / quarterSeconds)
	if second/quarterSeconds != s.quarter {
		return // late
	}
	scope := sampleScope(ref)
	st := s.streams[scope]
	if st == nil {
		if len(s.streams) >= maxSampled {
			return
		}
		st = &sampled{}
		s.streams[scope] = st
	}
	is := size{second: second % quarterSeconds, bytes: bytes}
	st.dirty = true
	if n := len(st.sizes); n > 0 && st.sizes[n-1].second/60 >= is.second/60 {
		st.sizes[n-1].bytes = bytes // one a minute
		return
	}
	st.sizes = append(st.sizes, is)
}

// turnLocked begins a new quarter. Samples that could not be written until then are lost.
func (s *samples) turnLocked(quarter uint32) {
	if quarter > s.quarter || s.streams == nil {
		s.quarter, s.streams = quarter, map[string]*sampled{}
	}
}

func (s *samples) flush(writer string, now time.Time, put func(Key, []byte) bool) {
	for _, key := range s.dirty(writer) {
		s.mu.Lock()
		st := s.streams[key.Scope]
		var value []byte
		if st != nil && s.quarter == key.Period {
			st.dirty = false
			value = appendSizes(binary.AppendUvarint(nil, bucketVersion), st.sizes)
		}
		s.mu.Unlock()
		if value != nil && !put(key, value) {
			s.mu.Lock()
			st.dirty = true
			s.mu.Unlock()
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turnLocked(seconds(now) / quarterSeconds)
}

func (s *samples) dirty(writer string) (keys []Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for scope, st := range s.streams {
		if st.dirty {
			keys = append(keys, Key{SampleKind, scope, s.quarter, writer})
		}
	}
	return keys
}

// of yields the samples of a stream that are in memory.
func (s *samples) of(scope string, yield func(quarter uint32, sizes []size)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.streams[scope]; st != nil {
		yield(s.quarter, st.sizes)
	}
}

func decodeSamples(data []byte) ([]size, error) {
	u := uvarints{rest: data}
	if v := u.next(^uint64(0)); v != bucketVersion {
		return nil, errBucket
	}
	sizes, err := u.sizes()
	if err == nil && len(u.rest) > 0 {
		err = errBucket
	}
	return sizes, err
}
