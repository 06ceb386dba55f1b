package chunk_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/chunk"
)

func sampleChunk() chunk.Chunk {
	recs := protocol.RecordsOf(
		protocol.SequencedRecord{SeqNum: 7, Timestamp: 100, Body: []byte("a")},
		protocol.SequencedRecord{SeqNum: 8, Timestamp: 120, Headers: []protocol.Header{{Name: []byte("k"), Value: []byte("v")}}},
	)
	return chunk.Chunk{ID: "abc-1", Records: recs, Next: 9, Last: 120, Expiry: 5000, Trim: 3, Kept: 2, PrevExpiry: 4700, Fence: "tök en", Closed: chunk.Closed, WriterSeq: "0001", Epoch: 7,
		LastAppend: chunk.LastAppend{At: 123456, AgeSecs: 7, MinAgeSecs: 60}}
}

func TestChunkRoundTrip(t *testing.T) {
	state := chunk.Chunk{ID: "x-2", Next: 9, Last: 120, Trim: 9, Closed: chunk.ClosedByCommand, LastAppend: chunk.LastAppend{At: 1}}
	chunks := map[string]chunk.Chunk{"records": sampleChunk(), "state": state, "empty stream": {ID: "y-0"}}
	for name, prev := range map[string]uint64{"prev later": 5500, "prev never": chunk.NeverExpires, "prev far": 1 << 63} {
		c := sampleChunk()
		c.PrevExpiry = prev
		chunks[name] = c
	}
	chunks["prev of a state chunk"] = chunk.Chunk{ID: "z", Next: 9, Last: 120, PrevExpiry: 5000}
	for name, c := range chunks {
		t.Run(name, func(t *testing.T) {
			got, err := chunk.Decode(c.EncodeHeader(), c.Records.Wire())
			if err != nil {
				t.Fatal(err)
			}
			if got.EncodeHeader() != c.EncodeHeader() || got.Tail() != c.Tail() || got.Fence != c.Fence || got.Trim != c.Trim || got.PrevExpiry != c.PrevExpiry || got.Closed != c.Closed || got.WriterSeq != c.WriterSeq {
				t.Fatalf("got %+v, want %+v", got, c)
			}
			if got.Records.First() != c.Records.First() || got.Records.Last() != c.Records.Last() || got.Records.Len() != c.Records.Len() {
				t.Fatalf("got records %+v, want %+v", got.Records, c.Records)
			}
		})
	}
}

func TestChunkDamageIsFound(t *testing.T) {
	c := sampleChunk()
	header, wire := c.EncodeHeader(), c.Records.Wire()
	for i := range wire {
		bad := append([]byte(nil), wire...)
		bad[i] ^= 0x10
		if _, err := chunk.Decode(header, bad); err == nil {
			t.Fatalf("flipped payload byte %d was not noticed", i)
		}
	}
	for i := range header {
		bad := []byte(header)
		bad[i] ^= 0x01
		if _, err := chunk.Decode(string(bad), wire); err == nil {
			t.Fatalf("flipped header byte %d (%q) was not noticed", i, bad)
		}
	}
	if _, err := chunk.Decode(header, wire[:len(wire)-1]); err == nil {
		t.Fatal("cut payload was not noticed")
	}
}

func FuzzDecodeChunk(f *testing.F) {
	c := sampleChunk()
	f.Add(c.EncodeHeader(), c.Records.Wire())
	f.Fuzz(func(t *testing.T, header string, payload []byte) {
		c, err := chunk.Decode(header, payload)
		if err != nil {
			return
		}
		again, err := chunk.Decode(c.EncodeHeader(), c.Records.Wire())
		if err != nil || again.Tail() != c.Tail() {
			t.Fatalf("%q: decoded to %+v, which does not round trip: %v", header, c, err)
		}
	})
}

// What a later version says of a stream must not be passed over.
func TestLaterVersionsAreRefused(t *testing.T) {
	c := chunk.Chunk{ID: "id", Next: 3, Last: 9}
	good := c.EncodeHeader()
	if _, err := chunk.Decode(good, nil); err != nil {
		t.Fatal(err)
	}
	var later *chunk.VersionError
	for _, header := range []string{strings.Replace(good, "1 ", "2 ", 1), strings.Replace(good, " id=", " later=4 id=", 1), strings.Replace(good, " id=", " closed=3 id=", 1)} {
		if _, err := chunk.Decode(header, nil); !errors.As(err, &later) {
			t.Errorf("%q: %v", header, err)
		}
	}
	for _, header := range []string{"", "x first=1", "0 first=1", "first=1"} {
		if _, err := chunk.Decode(header, nil); err == nil || errors.As(err, &later) {
			t.Errorf("%q: %v", header, err)
		}
	}
}
