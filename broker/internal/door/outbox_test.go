package door

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/protocol"
)

// batchOf is a batch of one record with a body of so many bytes.
func batchOf(bytes int) protocol.ReadBatch {
	return protocol.ReadBatch{Records: protocol.RecordsOf(protocol.SequencedRecord{Body: make([]byte, bytes)})}
}

func newOutbox(limit int64) *Outbox { return NewOutbox(limit, func(*[]byte) {}) }

func buffer() *[]byte { return new([]byte) }

func (o *Outbox) nothingLeft(t *testing.T) {
	t.Helper()
	if o.records.held != 0 || o.json.held != 0 || len(o.batches) != 0 || len(o.clients) != 0 || len(o.waiting) != 0 {
		t.Errorf("left: %d bytes of records, %d of JSON, %d batches, %d clients, %d waiting",
			o.records.held, o.json.held, len(o.batches), len(o.clients), len(o.waiting))
	}
}

// TestReadersWaitForRoom: a fetch waits while what others hold fills the room; a client that takes nothing for two seconds
// is cut then, the one that holds the most first, and one that makes progress is not.
func TestReadersWaitForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(2 * reserveBytes)
		var cut []string
		first := make(chan struct{}) // closed when the first client is cut
		hold := func(name string) *Hold {
			h := o.Hold(Client{Key: name}, func() {
				if cut = append(cut, name); len(cut) == 1 {
					close(first)
				}
			})
			if err := h.Reserve(t.Context()); err != nil {
				t.Fatal(err)
			}
			if !h.Take(batchOf(reserveBytes - 1000)) {
				t.Fatal("not taken although it was reserved")
			}
			h.Progress()
			return h
		}
		slow, stalled := hold("slow"), hold("stalled")
		go func() {
			for range 100 {
				time.Sleep(time.Second)
				slow.Progress()
			}
			slow.Drop()
		}()
		begin := time.Now()
		go func() {
			<-first
			stalled.Drop()
		}()
		third := hold("third")
		if took := time.Since(begin); took < stalledAfter || took > stalledAfter+time.Second {
			t.Errorf("the stalled client was cut after %v", took)
		}
		if len(cut) != 1 || cut[0] != "stalled" {
			t.Errorf("cut: %v", cut)
		}
		third.Drop()
		ended, end := context.WithCancelCause(t.Context())
		why := errors.New("ended")
		end(why)
		for range 2 { // one has room, the other does not, and its context has ended
			if err := o.Hold(Client{}, func() {}).Reserve(ended); err != nil && !errors.Is(err, why) {
				t.Error(err)
			}
		}
		time.Sleep(200 * time.Second)
		synctest.Wait()
		o.records.held -= reserveBytes // of the hold above that was not dropped
		o.nothingLeft(t)
	})
}

// TestSharedBatches: what many followers deliver counts once, and is encoded once for each format.
func TestSharedBatches(t *testing.T) {
	o := newOutbox(10 << 20)
	live := batchOf(1 << 20)
	live.Tail = &protocol.Position{SeqNum: 1}
	var holds []*Hold
	var first []byte
	for range 100 {
		h := o.Hold(Client{Key: "followers"}, func() {})
		if !h.Take(live) {
			t.Fatal("a batch that is held already needs no more room")
		}
		for _, format := range []protocol.RecordFormat{protocol.FormatBase64, protocol.FormatBase64} {
			got, err := h.JSON(t.Context(), &live, format, buffer)
			if err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = got
			}
			if &got[0] != &first[0] {
				t.Fatal("encoded again")
			}
		}
		holds = append(holds, h)
	}
	if held := o.records.held; held > 2<<20 {
		t.Errorf("100 followers of one batch hold %d bytes", held)
	}
	if o.Hold(Client{}, func() {}).Take(batchOf(11 << 20)) {
		t.Error("taken without a reservation or room")
	}
	for _, h := range holds {
		h.Drop()
		h.Drop()
	}
	o.nothingLeft(t)
}

// TestJSONWaitsForRoom: records whose JSON finds no room wait until there is some, and are encoded then.
func TestJSONWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(8 << 20)
		one, two := batchOf(1<<20), batchOf(1<<20) // bytes of zero take six times as much
		a, b := o.Hold(Client{Key: "a"}, func() {}), o.Hold(Client{Key: "b"}, func() {})
		if !a.Take(one) || !b.Take(two) {
			t.Fatal("not taken")
		}
		if _, err := a.JSON(t.Context(), &one, protocol.FormatRaw, buffer); err != nil {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(time.Minute)
			a.Drop()
		}()
		begin := time.Now()
		if _, err := b.JSON(t.Context(), &two, protocol.FormatRaw, buffer); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took < time.Minute || took > time.Minute+time.Second {
			t.Errorf("waited %v", took)
		}
		b.Drop()
		o.nothingLeft(t)
	})
}
