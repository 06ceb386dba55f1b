package adapter

import "testing"

// Where several brokers share the store, small appends wait behind two chunks of their stream on their way, so that they share the next one.
func TestSmallAppendsShareChunks(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(s *sequencer, st *stream, r *request)
		sent   int // chunks on their way
		joins  bool
	}{
		{"nothing on its way", nil, 0, false},
		{"one chunk on its way", nil, 1, false},
		{"two chunks on their way", nil, 2, true},
		{"a large append", func(_ *sequencer, _ *stream, r *request) { r.cost = joinBytes }, 2, false},
		{"a chunk that is being filled", func(_ *sequencer, st *stream, _ *request) { st.open = &pending{} }, 2, false},
		{"a question for the tail", func(_ *sequencer, _ *stream, r *request) { r.kind = tailRequest }, 2, false},
		{"a store of its own", func(s *sequencer, _ *stream, _ *request) { s.own = nil }, 2, false},
		{"chunks of an earlier turn", func(s *sequencer, _ *stream, _ *request) { s.admission++ }, 2, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, st := &sequencer{admission: 7}, &stream{}
			s.own = &ownership{}
			r := &request{st: st, kind: appendRequest, cost: 200}
			for range tc.sent {
				st.sentIn(s.admission)
			}
			if tc.change != nil {
				tc.change(s, st, r)
			}
			if got := s.shouldJoin(r); got != tc.joins {
				t.Errorf("got %v", got)
			}
		})
	}
}

// An append waits for no chunk of a turn before this one.
func TestChunksOnTheirWayAreCountedAnew(t *testing.T) {
	st := &stream{}
	st.sentIn(1)
	st.sentIn(1)
	st.sentIn(2)
	if st.sent != 1 || st.counted != 2 {
		t.Errorf("%d chunks in turn %d", st.sent, st.counted)
	}
}
