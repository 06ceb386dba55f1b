package chunk_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/chunk"
)

// someProducers makes a table by appends of many producers, as a stream does.
func someProducers(rng *rand.Rand, appends int) (p *chunk.Producers) {
	var tail protocol.Position
	for range appends {
		start := protocol.Position{SeqNum: tail.SeqNum + rng.Uint64N(3), Timestamp: tail.Timestamp + rng.Uint64N(1000)}
		tail = protocol.Position{SeqNum: start.SeqNum + rng.Uint64N(1000), Timestamp: start.Timestamp + rng.Uint64N(5)}
		id := fmt.Sprint(rng.IntN(40))
		epoch, seq, _, _ := p.Find(chunk.KeyOfProducer(id))
		if rng.IntN(30) == 0 {
			epoch++
		}
		p = p.With(chunk.KeyOfProducer(id), epoch, seq+1, chunk.Placed{Start: start, End: tail})
	}
	return p
}

func TestProducersRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range 300 {
		p := someProducers(rng, n*5)
		if n == 0 {
			if p.Text() != "" {
				t.Fatal(p.Text())
			}
			continue
		}
		got, err := chunk.ParseProducers(p.Text())
		if err != nil {
			t.Fatal(err)
		}
		for i := range 40 {
			key := chunk.KeyOfProducer(fmt.Sprint(i))
			epoch, seq, recent, ok := p.Find(key)
			gotEpoch, gotSeq, gotRecent, gotOK := got.Find(key)
			if epoch != gotEpoch || seq != gotSeq || ok != gotOK || fmt.Sprint(recent) != fmt.Sprint(gotRecent) {
				t.Fatalf("producer %d: %d %d %v, want %d %d %v", i, gotEpoch, gotSeq, gotRecent, epoch, seq, recent)
			}
		}
		// It can be written again and goes on.
		next := got.With(chunk.KeyOfProducer("new"), 0, 0, chunk.Placed{Start: protocol.Position{SeqNum: 1 << 60, Timestamp: 1 << 50}, End: protocol.Position{SeqNum: 1 << 61, Timestamp: 1 << 51}})
		if again, err := chunk.ParseProducers(next.Text()); err != nil || again.Text() != next.Text() {
			t.Fatal(err)
		}
	}
}

// What a stream remembers is bounded, and so is what every chunk of it carries.
func TestProducersAreBounded(t *testing.T) {
	var p *chunk.Producers
	for i := range uint64(5000) {
		at := protocol.Position{SeqNum: i << 40, Timestamp: 1 << 50}
		p = p.With(chunk.KeyOfProducer(fmt.Sprint(i%50)), ^uint64(0), i, chunk.Placed{Start: at, End: protocol.Position{SeqNum: at.SeqNum + 1000, Timestamp: 1 << 50}})
	}
	for i := range 50 {
		_, _, recent, ok := p.Find(chunk.KeyOfProducer(fmt.Sprint(i)))
		if want := i >= 50-protocol.MaxProducers; ok != want {
			t.Errorf("producer %d is remembered: %v", i, ok)
		}
		if len(recent) > protocol.ProducerWindow {
			t.Errorf("%d appends", len(recent))
		}
	}
	if n := len(p.Text()); n > 16<<10 {
		t.Errorf("%d bytes in each chunk", n)
	}
}

// The table is never changed in place: a state that was taken before stays what it was.
func TestProducersAreImmutable(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	before := someProducers(rng, 100)
	text := before.Text()
	copied, err := chunk.ParseProducers(text)
	if err != nil {
		t.Fatal(err)
	}
	for range 200 {
		id := chunk.KeyOfProducer(fmt.Sprint(rng.IntN(40)))
		epoch, seq, _, _ := copied.Find(id)
		copied.With(id, epoch, seq+1, chunk.Placed{})
	}
	c := chunk.Chunk{ID: "x", Next: 5, Producers: copied}
	got, err := chunk.Decode(c.EncodeHeader(), nil)
	if err != nil || got.Producers.Text() != text {
		t.Fatalf("changed: %v", err)
	}
}

func FuzzProducers(f *testing.F) {
	f.Add(someProducers(rand.New(rand.NewPCG(5, 6)), 50).Text())
	f.Add("AAAAAAAAAAAAAAAAAAAAAAAAAQAAAAA")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := chunk.ParseProducers(text)
		if err != nil {
			return
		}
		c := chunk.Chunk{ID: "x", Next: 5, Producers: p}
		if got, err := chunk.Decode(c.EncodeHeader(), nil); err != nil || got.Producers.Text() != text {
			t.Fatalf("%q does not come back: %v", text, err)
		}
		// What was parsed is written as it was read.
		at := protocol.Position{SeqNum: ^uint64(0), Timestamp: ^uint64(0)}
		if next := p.With(chunk.KeyOfProducer("another"), 1, 1, chunk.Placed{Start: at, End: at}); next.Text() == "" {
			t.Fatal("nothing is written")
		} else if _, err := chunk.ParseProducers(next.Text()); err != nil {
			t.Fatalf("%q and one more append: %v", text, err)
		}
	})
}

func BenchmarkProducersWith(b *testing.B) {
	p := someProducers(rand.New(rand.NewPCG(7, 8)), 2000)
	key := chunk.KeyOfProducer("3")
	b.ReportAllocs()
	for b.Loop() {
		p = p.With(key, 1, 1, chunk.Placed{})
	}
}
