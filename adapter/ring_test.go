package adapter

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/protocol"
)

var ringWire = make([]byte, 1<<20) // the ring looks only at its length

func ringBatch(seq uint64, size int) protocol.Records {
	at := protocol.Position{SeqNum: seq, Timestamp: seq}
	return protocol.MakeRecords(ringWire[:1+size], 1, uint64(8+size), at, at)
}

// Followers that come, poll, lag and go at random each get every batch once and in order, or learn that they lag, and
// never while they are within protocol.MinFollowLag batches.
func TestRingAgreesWithANaiveModel(t *testing.T) {
	type follower struct {
		feed *Feed
		next uint64
		late bool // the ring was reset since it attached
	}
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 7))
		v := live{stats: new(liveStats)}
		var tail uint64
		var all []*follower
		for range 2000 {
			switch rng.IntN(12) {
			case 0:
				if feed, at, err := v.follow(tail); err != nil || feed == nil || at.SeqNum != tail {
					t.Fatalf("follow at %d: %v, %v", tail, at, err)
				} else {
					all = append(all, &follower{feed: feed, next: tail})
				}
				if feed, _, _ := v.follow(tail + 1); feed != nil {
					t.Fatal("attached beyond the tail")
				}
			case 1:
				if len(all) > 0 {
					i := rng.IntN(len(all))
					all[i].feed.Close()
					all = append(all[:i], all[i+1:]...)
				}
			case 2:
				if rng.IntN(40) == 0 {
					tail += uint64(rng.IntN(3))
					v.reset(protocol.Position{SeqNum: tail}, 0, 1, false)
					for _, f := range all {
						f.late = true
					}
				}
			case 3, 4, 5:
				first, n := tail, uint64(1+rng.IntN(4))
				tail += n
				size := rng.IntN(100)
				if rng.IntN(3) == 0 {
					size = 200 << 10
				}
				v.advance(protocol.Position{SeqNum: tail, Timestamp: tail}, 0, js.Seq(tail), false, func(push func(protocol.Records)) {
					for i := range n {
						push(ringBatch(first+i, size))
					}
				})
			default:
				if len(all) == 0 {
					continue
				}
				i := rng.IntN(len(all))
				f := all[i]
				b, changed, err := f.feed.Poll()
				switch {
				case errors.Is(err, protocol.ErrLagged):
					if !f.late && tail-f.next <= protocol.MinFollowLag {
						t.Fatalf("seed %d: told to lag %d behind", seed, tail-f.next)
					}
					f.feed.Close()
					all = append(all[:i], all[i+1:]...)
				case err != nil:
					t.Fatal(err)
				case f.late:
					t.Fatalf("seed %d: a batch across a reset", seed)
				case changed != nil:
					if f.next != tail {
						t.Fatalf("seed %d: nothing to deliver at %d of %d", seed, f.next, tail)
					}
				case b.Records.First().SeqNum != f.next || b.Tail.SeqNum != f.next+1:
					t.Fatalf("seed %d: batch %v at %d", seed, b.Records.First(), f.next)
				default:
					f.next++
				}
			}
			bytes := 0
			for _, b := range v.ring {
				bytes += len(b.Records.Wire())
			}
			if bytes != v.bytes || len(v.ring) > ringBatches || v.followers != len(all) || len(all) == 0 && v.ring != nil ||
				bytes > ringBytes && len(v.ring) > protocol.MinFollowLag {
				t.Fatalf("seed %d: ring of %d batches, %d bytes (noted: %d), %d of %d followers", seed, len(v.ring), bytes, v.bytes, v.followers, len(all))
			}
		}
	}
}

func TestRingWakesFollowersAndEndsAfterItsBatches(t *testing.T) {
	v := live{stats: new(liveStats)}
	feed, _, err := v.follow(0)
	if err != nil {
		t.Fatal(err)
	}
	_, changed, _ := feed.Poll()
	_, again, _ := feed.Poll()
	if changed == nil || changed != again {
		t.Fatal("nothing to wait for")
	}
	v.advance(protocol.Position{SeqNum: 1}, 0, 1, false, func(push func(protocol.Records)) { push(ringBatch(0, 1)) })
	<-changed
	end, other := errors.New("the end"), errors.New("too late")
	v.close(end)
	v.close(other)
	if b, _, err := feed.Poll(); err != nil || b.Records.Len() != 1 {
		t.Fatalf("%d records, %v", b.Records.Len(), err)
	}
	if _, _, err := feed.Poll(); !errors.Is(err, end) {
		t.Fatal(err)
	}
	if _, _, err := v.follow(1); !errors.Is(err, end) {
		t.Fatal(err)
	}
}
