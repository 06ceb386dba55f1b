package adapter

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/weirstream/weir/protocol"
)

func queuedStream(basin, name string) *stream {
	return &stream{ref: protocol.StreamRef{Basin: protocol.BasinName(basin), Stream: protocol.StreamName(name)}}
}

// order serves a queue until so many requests are taken, and returns the basins of them.
func order(q *fairQueue, n int) (basins []string) {
	q.serve(unshared, func(r *request) (int, bool, bool) {
		if len(basins) == n {
			return 0, false, true
		}
		basins = append(basins, string(r.st.ref.Basin))
		return int(r.cost), false, false
	})
	return basins
}

// A basin with thousands of requests, many streams or large ones does not keep another one's request waiting for more than a turn.
func TestBasinsTakeTurns(t *testing.T) {
	for name, load := range map[string]struct {
		streams, requests int
		cost              int64
	}{"small requests": {1, 10_000, 100}, "many streams": {1000, 10, 100}, "large batches": {4, 50, 1 << 20}} {
		t.Run(name, func(t *testing.T) {
			var q fairQueue
			for i := range load.streams {
				st := queuedStream("busy-basin", fmt.Sprint(i))
				for range load.requests {
					q.push(&request{st: st, cost: load.cost})
				}
			}
			order(&q, 3) // it is in the middle of a turn
			q.push(&request{st: queuedStream("quiet-basin", "s"), cost: 100})
			bytes := int64(0)
			q.serve(unshared, func(r *request) (int, bool, bool) {
				if r.st.ref.Basin == "quiet-basin" {
					return 0, false, true
				}
				bytes += max(r.cost, requestCost)
				return int(r.cost), false, false
			})
			if bytes > basinTurn+1<<20 {
				t.Fatalf("%d bytes went before it", bytes)
			}
		})
	}
}

// Within a basin a stream with large batches does not keep another stream waiting.
func TestStreamsTakeTurns(t *testing.T) {
	var q fairQueue
	large, small := queuedStream("test-basin", "large"), queuedStream("test-basin", "small")
	for range 100 {
		q.push(&request{st: large, cost: 1 << 20})
	}
	q.push(&request{st: small, cost: 100})
	before := 0
	q.serve(unshared, func(r *request) (int, bool, bool) {
		if r.st == small {
			return 0, false, true
		}
		before++
		return int(r.cost), false, false
	})
	if before > 1 {
		t.Fatalf("%d batches went before it", before)
	}
}

// Whatever is pushed, put back, held back and taken at random: each stream's requests come in their order, none is lost and none
// comes twice.
func TestFairQueueKeepsTheOrderOfStreams(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 3))
		var q fairQueue
		var streams []*stream
		for i := range 12 {
			streams = append(streams, queuedStream(fmt.Sprint("basin-", i%4), fmt.Sprint(i)))
		}
		pushed, taken := map[*stream]uint64{}, map[*stream]uint64{}
		for range 500 {
			for range rng.IntN(20) {
				st := streams[rng.IntN(len(streams))]
				q.push(&request{st: st, next: pushed[st], cost: int64(rng.IntN(200_000))})
				pushed[st]++
			}
			var back []*request
			room := rng.IntN(15)
			q.serve(unshared, func(r *request) (int, bool, bool) {
				if room == 0 {
					return 0, false, true
				}
				if rng.IntN(8) == 0 {
					return 0, true, false
				}
				room--
				if r.next != taken[r.st] {
					t.Fatalf("seed %d: request %d of a stream came, want %d", seed, r.next, taken[r.st])
				}
				taken[r.st]++
				back = append(back, r)
				return int(r.cost), false, false
			})
			if rng.IntN(5) == 0 { // as when another server's write makes them be decided again
				for _, r := range back {
					taken[r.st] = min(taken[r.st], r.next)
				}
				q.pushFront(back)
			}
		}
		for _, r := range q.takeAll() {
			if r.next != taken[r.st] {
				t.Fatalf("seed %d: request %d of a stream is left, want %d", seed, r.next, taken[r.st])
			}
			taken[r.st]++
		}
		for _, st := range streams {
			if taken[st] != pushed[st] {
				t.Fatalf("seed %d: %d of %d requests came", seed, taken[st], pushed[st])
			}
		}
		if q.len() != 0 || len(q.basins) != 0 || len(q.turns) != 0 {
			t.Fatalf("seed %d: %d requests, %d basins and %d turns are left", seed, q.len(), len(q.basins), len(q.turns))
		}
	}
}

// go test -run '^$' -bench FairQueue ./adapter -benchmem -count 10 | benchstat -
func BenchmarkFairQueue(b *testing.B) {
	for _, streams := range []int{1, 64} {
		b.Run(fmt.Sprintf("streams=%d", streams), func(b *testing.B) {
			var q fairQueue
			requests := make([]*request, streams)
			for i := range requests {
				requests[i] = &request{st: queuedStream("test-basin", fmt.Sprint(i)), cost: 200}
			}
			b.ReportAllocs()
			for b.Loop() {
				for _, r := range requests {
					q.push(r)
				}
				q.serve(unshared, func(r *request) (int, bool, bool) { return int(r.cost), false, false })
			}
		})
	}
}

// Less may be on its way to the disk while several basins append to a log.
func TestUndurableBoundOfSharedLogs(t *testing.T) {
	var s sequencer
	want := func(now uint64, bytes, requests int) {
		t.Helper()
		if b, r := s.undurable(now); b != bytes || r != requests {
			t.Fatalf("at %d: %d bytes, %d requests; want %d, %d", now, b, r, bytes, requests)
		}
	}
	for now := range uint64(3) {
		s.noteBasin("busy", now)
		want(now, maxUndurableBytes, maxUndurableRequests)
	}
	s.noteBasin("quiet", 3)
	want(4, sharedUndurableBytes, sharedUndurableRequests)
	s.noteBasin("busy", 5)
	s.noteBasin("busy", 9_000)
	want(5+sharedFor-1, sharedUndurableBytes, sharedUndurableRequests)
	want(5+sharedFor, maxUndurableBytes, maxUndurableRequests)
}

// A basin that has its share on the way to the disk is passed over: those of others are let in, and it comes first when it may again.
func TestBasinsOverTheirShareArePassedOver(t *testing.T) {
	var q fairQueue
	var used [basinSlots]undurableShare
	over := func(slot uint8) bool { return used[slot].over() }
	streams := map[string]*stream{}
	for i, basin := range []string{"busy", "large", "quiet"} {
		streams[basin] = queuedStream(basin, "s")
		streams[basin].slot = uint8(i)
	}
	for range 10 * basinUndurableRequests {
		q.push(&request{st: streams["busy"], cost: 100})
	}
	for range 10 {
		q.push(&request{st: streams["large"], cost: 1 << 20})
	}
	q.push(&request{st: streams["quiet"], cost: 100})
	taken := map[string]int{}
	first := ""
	serve := func() {
		clear(taken)
		first = ""
		q.serve(over, func(r *request) (int, bool, bool) {
			used[r.st.slot].add(int(r.cost), 1)
			taken[string(r.st.ref.Basin)]++
			if first == "" {
				first = string(r.st.ref.Basin)
			}
			return int(r.cost), false, false
		})
	}
	serve()
	if taken["busy"] != basinUndurableRequests || taken["large"] != 1 || taken["quiet"] != 1 {
		t.Fatalf("taken %v", taken)
	}
	q.push(&request{st: streams["quiet"], cost: 100})
	if serve(); taken["quiet"] != 1 || len(taken) != 1 {
		t.Fatalf("taken %v of basins that are over their share", taken)
	}
	used[0] = undurableShare{}
	q.push(&request{st: streams["quiet"], cost: 100})
	if serve(); first != "busy" || taken["busy"] != basinUndurableRequests || taken["large"] != 0 {
		t.Fatalf("taken %v, first %s", taken, first)
	}
	n := q.len()
	if all := q.takeAll(); len(all) != n || n != 8*basinUndurableRequests+9 {
		t.Fatalf("%d are left, counted as %d", len(all), n)
	}
}

// A basin that was passed over comes after those that waited with it, once.
func TestPassedBasinsComeAfterTheOthers(t *testing.T) {
	var q fairQueue
	for i, basin := range []string{"large", "one", "two"} {
		st := queuedStream(basin, "s")
		st.slot = uint8(i)
		for range 20 {
			q.push(&request{st: st, cost: basinTurn})
		}
	}
	passed := true
	over := func(slot uint8) bool { return slot == 0 && passed }
	var order []string
	serve := func(n int) {
		q.serve(over, func(r *request) (int, bool, bool) {
			if n == 0 {
				return 0, false, true
			}
			n--
			order = append(order, string(r.st.ref.Basin))
			return int(r.cost), false, false
		})
	}
	serve(1)
	passed = false
	for range 4 {
		serve(1)
	}
	if got := fmt.Sprint(order); got != "[one two one large two]" {
		t.Fatal(got)
	}
}

// A basin whose large chunk is durable waits for the small chunks of others that are on the way, and for no others.
func TestLargeChunksLetSmallOnesPass(t *testing.T) {
	basins := map[string]*stream{}
	for i, name := range []string{"large", "larger", "small"} {
		basins[name] = queuedStream(name, "s")
		basins[name].slot = uint8(i)
	}
	s := &sequencer{}
	fly := func(basin string, size int) {
		s.flight = append(s.flight, &pending{st: basins[basin], size: size, restored: &restoredChunk{}})
	}
	want := func(what string, waiting ...string) {
		t.Helper()
		var got []string
		for _, name := range []string{"large", "larger", "small"} {
			if s.yielding(basins[name].slot) {
				got = append(got, name)
			}
		}
		if !slices.Equal(got, waiting) {
			t.Fatalf("%s: %v wait, want %v", what, got, waiting)
		}
	}
	fly("large", 1<<20)
	fly("small", 100)
	fly("small", 100)
	fly("larger", 1<<20)
	want("none is durable")
	s.settleDurable(1)
	want("small ones are on the way", "large")
	fly("small", 100)
	s.settleDurable(2)
	want("one small one is on the way", "large")
	s.settleDurable(3)
	want("others came later")
	s.settleDurable(4)
	want("the larger one is durable", "larger")
	s.flight = nil // they failed
	want("nothing is on the way")
	fly("large", 1<<20)
	fly("larger", 1<<20)
	s.durableCount = 10
	s.settleDurable(11)
	want("only a large one is on the way")
}

// A chunk is made large enough for the requests that wait for it, as far as one turn goes.
func TestRequestsThatShareAChunk(t *testing.T) {
	record := func(bytes int) protocol.AppendInput {
		return protocol.AppendInput{Records: []protocol.Record{{Body: make([]byte, bytes)}}}
	}
	queue := func(n, bytes int) (w streamQueue) {
		for range n {
			in := record(bytes)
			w.requests = append(w.requests, &request{in: in, cost: int64(in.MeteredSize())})
		}
		return w
	}
	tail := &request{kind: tailRequest}
	small, large := queue(10, 92), queue(10, 20_000-8)
	mixed := queue(3, 92)
	mixed.requests = append(mixed.requests, tail, mixed.requests[0])
	for _, tt := range []struct {
		name              string
		w                 streamQueue
		limit             int
		requests, records int
		metered           uint64
	}{
		{"an empty queue", streamQueue{}, 100, 1, 1, 100},
		{"all that wait", small, 100, 10, 10, 1000},
		{"up to the basin's share", small, 4, 4, 4, 400},
		{"no share is left", small, 0, 1, 1, 100},
		{"of a turn", large, 100, 4, 4, 80_000},
		{"up to a request that is no append", mixed, 100, 3, 3, 300},
	} {
		requests, records, metered := tt.w.together(tt.limit, 1, 100)
		if requests != tt.requests || records != tt.records || metered != tt.metered {
			t.Errorf("%s: %d requests with %d records and %d bytes, want %d, %d, %d", tt.name, requests, records, metered, tt.requests, tt.records, tt.metered)
		}
	}
}
