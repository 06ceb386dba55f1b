package door

import (
	"context"
	"errors"
	"slices"
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

func buffer(size int) *[]byte {
	b := make([]byte, 0, size)
	return &b
}

func (o *Outbox) nothingLeft(t *testing.T) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.records.held != 0 || o.json.held != 0 || len(o.batches) != 0 || len(o.clients) != 0 ||
		o.records.queue.len() != 0 || o.json.queue.len() != 0 {
		t.Errorf("left: %d bytes of records, %d of JSON, %d batches, %d clients, %d waiting",
			o.records.held, o.json.held, len(o.batches), len(o.clients), o.records.queue.len()+o.json.queue.len())
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

// TestClientsGetRoomInTurn: of the readers that wait, a client's turn comes after one of each other client, however many those have,
// and its own readers go in the order in which they came. Nobody that comes goes before them, and one that gives up takes nothing.
func TestClientsGetRoomInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(2 * reserveBytes)
		holder := o.Hold(Client{Key: "holder"}, func() {})
		other := o.Hold(Client{Key: "holder"}, func() {})
		for _, h := range []*Hold{holder, other} {
			if err := h.Reserve(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		var order []string
		wait := func(ctx context.Context, client, name string) {
			go func() {
				h := o.Hold(Client{Key: client}, func() {})
				if h.Reserve(ctx) != nil {
					return
				}
				o.mu.Lock()
				order = append(order, name)
				o.mu.Unlock()
				time.Sleep(time.Second) // while it fetches
				if !h.Take(batchOf(1000)) {
					t.Error("not taken although it was reserved")
				}
				o.mu.Lock()
				if held := o.records.held; held > 2*reserveBytes {
					t.Errorf("%d bytes are held", held)
				}
				o.mu.Unlock()
				time.Sleep(time.Second)
				h.Drop()
			}()
			synctest.Wait()
		}
		gone, leave := context.WithCancel(t.Context())
		wait(gone, "a", "a0")
		for _, name := range []string{"a1", "a2", "a3", "a4"} {
			wait(t.Context(), "a", name)
		}
		wait(t.Context(), "b", "b1")
		wait(t.Context(), "b", "b2")
		wait(t.Context(), "c", "c1")
		if len(order) != 0 {
			t.Fatalf("%v had room", order)
		}
		leave()
		synctest.Wait()
		holder.Drop()
		if o.Hold(Client{Key: "d"}, func() {}).TryReserve() {
			t.Error("one that came late had room")
		}
		time.Sleep(time.Minute)
		other.Drop()
		if want := []string{"a1", "b1", "c1", "a2", "b2", "a3", "a4"}; !slices.Equal(order, want) {
			t.Errorf("the order was %v, want %v", order, want)
		}
		o.nothingLeft(t)
	})
}

// TestReadersThatHoldRecordsWaitForTheirJSONForATime: readers that hold all room and wait for more do not wait for ever.
func TestReadersThatHoldRecordsWaitForTheirJSONForATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(4 << 20)
		batch := batchOf(1 << 20)
		one, two := o.Hold(Client{Key: "a"}, func() {}), o.Hold(Client{Key: "a"}, func() {})
		if !one.Take(batch) || !two.Take(batch) {
			t.Fatal("not taken")
		}
		if _, err := one.JSON(t.Context(), &batch, protocol.FormatRaw, buffer); err != nil {
			t.Fatal(err)
		}
		one.Drop() // the other reader of the batch keeps it, and its JSON
		begin := time.Now()
		if _, err := two.JSON(t.Context(), &batch, protocol.FormatBase64, buffer); protocol.CodeOf(err) != protocol.CodeRateLimited {
			t.Errorf("there is no room, but: %v", err)
		}
		if took := time.Since(begin); took != jsonPatience {
			t.Errorf("it waited %v", took)
		}
		two.Drop()
		o.nothingLeft(t)
	})
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
			time.Sleep(5 * time.Second)
			a.Drop()
		}()
		begin := time.Now()
		if _, err := b.JSON(t.Context(), &two, protocol.FormatRaw, buffer); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took < 5*time.Second || took > 6*time.Second {
			t.Errorf("waited %v", took)
		}
		b.Drop()
		o.nothingLeft(t)
	})
}

// TestEncodingTakesMemoryOnce: memory for an encoding is taken when there is room for it, once, and no more of it than there is room.
func TestEncodingTakesMemoryOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, size = 4 << 20, 3 << 20
		o := newOutbox(limit)
		holds := []*Hold{o.Hold(Client{Key: "a"}, func() {}), o.Hold(Client{Key: "b"}, func() {})}
		buffers, appends := 0, 0
		e := Encoding{
			Size:   func() int { return size },
			Append: func(dst []byte) []byte { appends++; return append(dst, make([]byte, size)...) },
			Buffer: func(n int) *[]byte { // used before, for something that took as much as may be held
				buffers++
				if buffers == 2 && n != size {
					t.Errorf("a buffer for %d bytes", n)
				}
				b := make([]byte, 0, 2*limit)
				return &b
			},
		}
		for _, h := range holds {
			if !h.Take(batchOf(1 << 20)) {
				t.Fatal("not taken")
			}
		}
		if _, err := holds[0].Encoded(t.Context(), StyleBytes, e); err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			got, err := holds[1].Encoded(t.Context(), StyleBytes, e)
			if err != nil || len(got) != size || cap(got) != size {
				t.Errorf("%d bytes in %d, %v", len(got), cap(got), err)
			}
		}()
		time.Sleep(time.Second)
		synctest.Wait()
		if buffers != 1 || appends != 1 {
			t.Errorf("%d buffers and %d encodings while there is room for one", buffers, appends)
		}
		holds[0].Drop()
		<-done
		if o.json.held != size || buffers != 2 || appends != 2 {
			t.Errorf("%d bytes are held; %d buffers, %d encodings", o.json.held, buffers, appends)
		}
		holds[1].Drop()
		o.nothingLeft(t)
	})
}

// TestEncodingThatNeedsMore: what an encoding takes counts, even if it is more than was said.
func TestEncodingThatNeedsMore(t *testing.T) {
	o := newOutbox(1 << 20)
	h := o.Hold(Client{}, func() {})
	if !h.Take(batchOf(10)) {
		t.Fatal("not taken")
	}
	got, err := h.Encoded(t.Context(), StyleBytes, Encoding{Size: func() int { return 10 }, Buffer: buffer,
		Append: func(dst []byte) []byte { return append(dst, make([]byte, 1000)...) }})
	if err != nil || o.json.held != int64(cap(got)) {
		t.Errorf("%d bytes are held for %d, %v", o.json.held, cap(got), err)
	}
	h.Drop()
	o.nothingLeft(t)
}
