package adapter

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/chunk"
)

// naive is a stream as data plane 3 tells it, record by record, with nothing remembered but the records.
type naive []naiveRecord

type naiveRecord struct {
	ts    uint64
	fence *string
	trim  uint64
}

func (n naive) fence() string {
	for _, v := range slices.Backward(n) {
		if v.fence != nil {
			return *v.fence
		}
	}
	return ""
}

func (n naive) fencedAt() uint64 {
	for i, v := range slices.Backward(n) {
		if v.fence != nil {
			return uint64(i) + 1
		}
	}
	return 0
}

func (n naive) trim() (point uint64) {
	for i, r := range n {
		point = max(point, min(r.trim, uint64(i)+1))
	}
	return point
}

func (n naive) last() (ts uint64) {
	if len(n) > 0 {
		ts = n[len(n)-1].ts
	}
	return ts
}

func (n naive) append(rec protocol.Record, set *settings, now uint64) naive {
	ts := now
	if set.mode != protocol.TimestampArrival && rec.Timestamp != nil {
		ts = *rec.Timestamp
	}
	if !set.uncapped {
		ts = min(ts, now)
	}
	out := naiveRecord{ts: max(ts, n.last())}
	switch rec.Command() {
	case protocol.FenceCommand:
		token := string(rec.Body)
		out.fence = &token
	case protocol.TrimCommand:
		out.trim = rec.TrimPoint()
	}
	return append(n, out)
}

func pick[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }

func TestStateAgreesWithANaiveModel(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var model naive
		var s state
		now := uint64(1000)
		for step := range 60 {
			now = uint64(int(now) + rng.IntN(20) - 5) // the clock may step back
			set := &settings{mode: pick(rng, protocol.TimestampClientPrefer, protocol.TimestampClientRequire, protocol.TimestampArrival),
				uncapped: rng.IntN(2) == 0}
			in, missing := randomInput(rng, now, model)
			threshold, err := s.check(&in, nil, set)
			e := protocol.AsError(err)
			where := fmt.Sprintf("seed %d step %d", seed, step)
			switch {
			case in.FencingToken != nil && *in.FencingToken != model.fence():
				if e == nil || e.FencingTokenMismatch == nil || *e.FencingTokenMismatch != model.fence() || threshold != model.fencedAt() {
					t.Fatalf("%s: %v from %d, want a mismatch with %q from %d", where, err, threshold, model.fence(), model.fencedAt())
				}
				continue
			case in.MatchSeqNum != nil && *in.MatchSeqNum != uint64(len(model)):
				if e == nil || e.SeqNumMismatch == nil || *e.SeqNumMismatch != uint64(len(model)) || threshold != uint64(len(model)) {
					t.Fatalf("%s: %v from %d, want a mismatch with %d", where, err, threshold, len(model))
				}
				continue
			case missing && set.mode == protocol.TimestampClientRequire:
				if protocol.CodeOf(err) != protocol.CodeInvalid || threshold != 0 {
					t.Fatalf("%s: %v from %d, want a missing timestamp", where, err, threshold)
				}
				continue
			case err != nil:
				t.Fatalf("%s: %v", where, err)
			}
			for i := range in.Records {
				s.apply(&in.Records[i], s.timestamp(&in.Records[i], set, now))
				model = model.append(in.Records[i], set, now)
			}
			want := state{next: uint64(len(model)), last: model.last(), trim: model.trim(), fence: model.fence(), fencedAt: model.fencedAt()}
			if s != want {
				t.Fatalf("%s: %+v, want %+v", where, s, want)
			}
		}
	}
}

func randomInput(rng *rand.Rand, now uint64, model naive) (in protocol.AppendInput, missing bool) {
	for range 1 + rng.IntN(3) {
		rec := protocol.Record{Body: []byte("x")}
		switch rng.IntN(4) {
		case 0:
			rec = protocol.FenceRecord(pick(rng, "", "a", "b"))
		case 1:
			rec = protocol.TrimRecord(pick(rng, 0, 1, uint64(len(model)), uint64(len(model)+2), ^uint64(0)))
		}
		if rng.IntN(4) > 0 {
			ts := pick(rng, 0, now-3, now, now+7, ^uint64(0))
			if ts == ^uint64(0) && rng.IntN(50) > 0 {
				ts = now // the end of time is reached, but late
			}
			rec.Timestamp = &ts
		} else {
			missing = true
		}
		in.Records = append(in.Records, rec)
	}
	if rng.IntN(3) == 0 {
		token := pick(rng, "", "a", "b")
		in.FencingToken = &token
	}
	if rng.IntN(3) == 0 {
		seq := uint64(len(model) + rng.IntN(2))
		in.MatchSeqNum = &seq
	}
	return in, missing
}

func TestExpirySaturates(t *testing.T) {
	const now = 1_700_000_000_000
	for _, tc := range []struct{ age, now, want uint64 }{
		{0, now, 0},
		{1, now, now + 1000},
		{^uint64(0), now, 0},
		{(^uint64(0) - now) / 1000, now, now + (^uint64(0)-now)/1000*1000},
		{(^uint64(0)-now)/1000 + 1, now, 0},
		{1, ^uint64(0), 0},
		{1, ^uint64(0) - 1000, ^uint64(0)},
	} {
		if got := (&settings{ageSecs: tc.age}).expiry(tc.now); got != tc.want {
			t.Errorf("age %d at %d: %d, want %d", tc.age, tc.now, got, tc.want)
		}
	}
}

// A producer's append that is refused by a condition tells that the one before it is stored, so that the answer waits for that.
func TestARefusedProducersAppendWaitsForTheOneBefore(t *testing.T) {
	key := chunk.KeyOfProducer("a")
	s := &state{next: 5}
	s.producers = s.producers.With(key, 1, 0, chunk.Placed{})
	token, match := "wrong", uint64(3)
	for name, in := range map[string]protocol.AppendInput{"token": {FencingToken: &token}, "match_seq_num": {MatchSeqNum: &match}} {
		in.Records = []protocol.Record{body("x")}
		if threshold, err := s.check(&in, nil, &settings{}); protocol.CodeOf(err) != protocol.CodeConditionFailed || threshold > s.next {
			t.Errorf("%s, without a producer: threshold %d, %v", name, threshold, err)
		}
		in.Producer = &protocol.Producer{ID: "a", Epoch: 1, Seq: 1}
		if threshold, err := s.check(&in, &key, &settings{}); protocol.CodeOf(err) != protocol.CodeConditionFailed || threshold != everything {
			t.Errorf("%s: threshold %d, %v", name, threshold, err)
		}
	}
}
