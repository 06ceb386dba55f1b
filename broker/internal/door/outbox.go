package door

import (
	"container/list"
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/weirstream/weir/protocol"
)

// Outbox bounds the memory of answers that clients have not taken yet. Each reader, a unary read or a read session, has a
// [Hold]. Before it fetches stored records it reserves room, and waits for that while there is none; the batch that it has
// fetched is counted until it is written. JSON has room of its own, so that a reader which holds records can wait for it.
// Those that wait get room in turn: each client, and of each client the reader that has waited longest.
// While readers wait, those are cut whose client has taken nothing for [stalledAfter], of the client that holds the most
// first. A batch that many followers deliver counts once, and is encoded once in each format.
//
// Make one with [NewOutbox]; all methods may be called at once.
type Outbox struct {
	free     func(*[]byte)
	encoders chan struct{} // has an element for each batch that is being encoded

	mu      sync.Mutex // guards the fields below, and the fields of holds and batches
	records room       // stored records that were fetched, or will be
	json    room
	batches map[memory]*outgoing  // nothing else can have the memory while they are here
	clients map[string]*outClient // those that hold something
	looking bool                  // lookForStalled will be called
}

// room is how much of something may be held, and is.
type room struct {
	limit, held int64
	queue       outQueue // of those for which there is none
}

// fits reports whether there is room for more; something that is larger than the whole room fits when nothing is held.
func (r *room) fits(more int64) bool { return r.held == 0 || r.held+more <= r.limit }

// free reports whether somebody that comes now may have so much: nobody waits, and it fits.
func (r *room) free(more int64) bool { return r.queue.len() == 0 && r.fits(more) }

const (
	// OutboxBytes is the room of the HTTP door, once for records and once for JSON.
	OutboxBytes = 32 << 20
	// reserveBytes is the room that a fetch of stored records reserves: a full batch, and about as much for records that are
	// read ahead.
	reserveBytes = 2 * protocol.MaxBatchBytes
	// stalledAfter is how long a client may take nothing while others wait for room.
	stalledAfter = 2 * time.Second
	// jsonPatience is how long a reader that holds records waits for the room of their JSON.
	jsonPatience = 10 * time.Second
	// waitStep is how often clients that have stalled are looked for while readers wait.
	waitStep = 250 * time.Millisecond
	// mostGrowth is how many bytes a byte of a record takes in an encoding, about and at most: \u0000, or a line of an event.
	mostGrowth = 7
)

var errNoRoom = protocol.Errorf(protocol.CodeRateLimited, "this server makes as much JSON for readers as it does at a time, and they take it slowly")

// memory is where a batch lies.
type memory struct {
	at   *byte
	size int
}

// Style is an encoding of batches for readers.
type Style uint8

// The styles. Events are server-sent events.
const (
	StyleBatch      Style = iota // of S2's API, in JSON
	StyleBytes                   // the bodies, one after the other
	StyleArray                   // the bodies as the elements of a JSON array
	StyleEventBytes              // an event with the bodies in Base64
	StyleEventText               // an event with the bodies as a text
	StyleEventArray              // an event with the bodies as the elements of a JSON array
)

// form is the encoding of a batch.
type form struct {
	style  Style
	format protocol.RecordFormat
	tail   protocol.Position
	tailed bool
}

// outgoing is a batch that readers deliver.
type outgoing struct {
	refs     int
	json     int64         // bytes of the encoded forms
	encoding chan struct{} // has an element while a reader encodes the batch
	encoded  map[form]*[]byte
}

// outClient counts the bytes that one client holds, shared batches counted for each of its readers.
type outClient struct {
	bytes int64
	order list.List // its holds that are being written, that whose client took something longest ago first
}

// NewOutbox makes an outbox with room for limit bytes of records, and as many of JSON. free takes back the memory of JSON.
func NewOutbox(limit int64, free func(*[]byte)) *Outbox {
	return &Outbox{free: free, encoders: make(chan struct{}, runtime.GOMAXPROCS(0)), records: room{limit: limit}, json: room{limit: limit},
		batches: map[memory]*outgoing{}, clients: map[string]*outClient{}}
}

// Hold counts the memory of one reader. It is for one goroutine.
type Hold struct {
	o        *Outbox
	client   string
	cut      func()
	reserved int64
	batch    *outgoing // nil while nothing is held
	memory   memory
	bytes    int64
	since    time.Time     // when the client took something last
	place    *list.Element // nil while nothing is written
}

// Hold makes the hold of a reader. cut is called at most once, from another goroutine, when the reader must give way; it must
// not block.
func (o *Outbox) Hold(client Client, cut func()) *Hold {
	return &Hold{o: o, client: client.Key, cut: sync.OnceFunc(cut)}
}

// Crowded reports whether more than half of the room is taken, so that readers do well to hold little.
func (o *Outbox) Crowded() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.records.held > o.records.limit/2
}

// Reserve waits for the room of a fetch, until ctx ends, whose cause it returns.
func (h *Hold) Reserve(ctx context.Context) error {
	if h.TryReserve() {
		return nil
	}
	return h.wait(ctx, &h.o.records, reserveBytes)
}

// wait waits until the hold has got so many bytes of a room, or ctx ends, whose cause it returns.
func (h *Hold) wait(ctx context.Context, r *room, bytes int64) error {
	o := h.o
	w := &outWait{hold: h, bytes: bytes, granted: make(chan struct{})}
	o.mu.Lock()
	r.queue.push(w)
	o.grantLocked() // there may be room by now
	o.mu.Unlock()
	o.cutStalled(1)
	select {
	case <-w.granted:
		return nil
	case <-ctx.Done():
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case <-w.granted:
		r.held -= bytes
		if r == &o.records {
			h.reserved = 0
		}
	default:
		r.queue.remove(w)
	}
	o.grantLocked()
	return context.Cause(ctx)
}

// grantLocked gives room to those that wait, as far as there is some.
func (o *Outbox) grantLocked() {
	for _, r := range []*room{&o.records, &o.json} {
		for w := r.queue.next(); w != nil && r.fits(w.bytes); w = r.queue.next() {
			r.queue.pop()
			r.held += w.bytes
			if r == &o.records {
				w.hold.reserved = w.bytes
			}
			close(w.granted)
		}
	}
	if !o.looking && o.records.queue.len()+o.json.queue.len() > 0 {
		o.looking = true
		time.AfterFunc(waitStep, o.lookForStalled)
	}
}

// lookForStalled cuts as many readers that have stalled as there are others waiting, and sees to it that it is called again.
func (o *Outbox) lookForStalled() {
	o.mu.Lock()
	o.looking = false
	waiting := o.records.queue.len() + o.json.queue.len()
	o.grantLocked()
	o.mu.Unlock()
	o.cutStalled(waiting)
}

// TryReserve is Reserve for a reader that does not wait.
func (h *Hold) TryReserve() bool {
	o := h.o
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case h.reserved > 0:
		return true
	case !o.records.free(reserveBytes):
		return false
	}
	h.reserved = reserveBytes
	o.records.held += reserveBytes
	return true
}

// cutStalled cuts up to n readers whose clients have taken nothing for long.
func (o *Outbox) cutStalled(n int) {
	for now := time.Now(); n > 0 && o.cutOne(now); n-- {
		continue
	}
}

// cutOne reports whether it cut a reader.
func (o *Outbox) cutOne(now time.Time) bool {
	o.mu.Lock()
	var victim *Hold
	most := int64(-1)
	for _, c := range o.clients {
		front := c.order.Front()
		if front == nil || c.bytes <= most {
			continue
		}
		if h := front.Value.(*Hold); now.Sub(h.since) >= stalledAfter { //nolint:forcetypeassert // nothing else is in there
			victim, most = h, c.bytes
		}
	}
	if victim != nil {
		o.clients[victim.client].order.Remove(victim.place) // chosen once
		victim.place = nil
	}
	o.mu.Unlock()
	if victim != nil {
		victim.cut()
	}
	return victim != nil
}

// Take counts a batch that was fetched, in the place of the reservation, until Drop. It reports false, and counts
// nothing, if the batch was fetched without a reservation and there is no room for it.
func (h *Hold) Take(b protocol.ReadBatch) bool {
	wire := b.Records.Wire()
	o := h.o
	o.mu.Lock()
	defer o.mu.Unlock()
	defer o.grantLocked()
	reserved := h.reserved > 0
	o.records.held -= h.reserved
	h.reserved = 0
	if len(wire) == 0 {
		return true
	}
	at := memory{&wire[0], len(wire)}
	batch := o.batches[at]
	if batch == nil {
		if !reserved && !o.records.fits(int64(len(wire))) {
			return false
		}
		batch = &outgoing{encoding: make(chan struct{}, 1)}
		o.batches[at] = batch
		o.records.held += int64(len(wire))
	}
	batch.refs++
	h.batch, h.memory, h.bytes = batch, at, int64(len(wire))
	c := o.clients[h.client]
	if c == nil {
		c = &outClient{}
		o.clients[h.client] = c
	}
	c.bytes += h.bytes
	return true
}

// Read reads a batch and takes it. A read that may wait for its records holds no room meanwhile: if there is none for the batch that
// has come, it reads that again once there is.
func (h *Hold) Read(ctx context.Context, waits bool, read func() (protocol.ReadBatch, error)) (protocol.ReadBatch, error) {
	for reserve := !waits; ; reserve = true {
		if reserve {
			if err := h.Reserve(ctx); err != nil {
				return protocol.ReadBatch{}, err
			}
		}
		batch, err := read()
		if err != nil || h.Take(batch) {
			return batch, err
		}
	}
}

// Progress notes that the batch is about to be written, or that the client has taken a part of it.
func (h *Hold) Progress() {
	o := h.o
	o.mu.Lock()
	defer o.mu.Unlock()
	h.since = time.Now()
	switch {
	case h.place != nil:
		o.clients[h.client].order.MoveToBack(h.place)
	case h.batch != nil:
		h.place = o.clients[h.client].order.PushBack(h)
	}
}

// Encoding is how a batch is encoded, and the memory for that.
type Encoding struct {
	// Size is at least the number of bytes that Append appends, and takes less time. Both give the same for all readers of a style.
	Size   func() int
	Append func(dst []byte) []byte
	// Buffer gives an empty buffer with a capacity of at least size bytes.
	Buffer func(size int) *[]byte
}

// JSON returns the batch that was taken as JSON, once there is room for it; buffer is [Encoding.Buffer]. Readers of the same
// batch share it: it is never written to. The error is the cause of ctx's end.
func (h *Hold) JSON(ctx context.Context, batch *protocol.ReadBatch, format protocol.RecordFormat, buffer func(size int) *[]byte) ([]byte, error) {
	as := form{style: StyleBatch, format: format, tailed: batch.Tail != nil}
	if as.tailed {
		as.tail = *batch.Tail
	}
	return h.encoded(ctx, as, Encoding{
		Size:   func() int { return protocol.SizeReadBatchJSON(batch, format) },
		Append: func(dst []byte) []byte { return protocol.AppendReadBatchJSON(dst, batch, format) },
		Buffer: buffer})
}

// Encoded returns the batch that was taken in a style, as JSON does.
func (h *Hold) Encoded(ctx context.Context, style Style, e Encoding) ([]byte, error) {
	return h.encoded(ctx, form{style: style}, e)
}

func (h *Hold) encoded(ctx context.Context, as form, e Encoding) ([]byte, error) {
	b, o := h.batch, h.o
	select {
	case b.encoding <- struct{}{}:
		defer func() { <-b.encoding }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if got := b.encoded[as]; got != nil {
		return *got, nil
	}
	o.encoders <- struct{}{}
	defer func() { <-o.encoders }()
	// While there is plenty of room the encoding is not measured.
	size, counted := int(h.bytes), mostGrowth*h.bytes
	if !o.tryJSON(counted, o.json.limit/2) {
		size = e.Size()
		if counted = int64(size); !o.tryJSON(counted, o.json.limit) {
			// Only the records are kept while it waits, and JSON of them in other forms: should all room be held by those that
			// wait like this, their patience ends.
			<-o.encoders
			ctx, cancel := context.WithTimeoutCause(ctx, jsonPatience, errNoRoom)
			err := h.wait(ctx, &o.json, counted)
			cancel()
			o.encoders <- struct{}{}
			if err != nil {
				return nil, err
			}
		}
	}
	buf := e.Buffer(size)
	if more := int64(cap(*buf)) - counted; more > 0 { // a used one, which was for something larger
		if o.tryJSON(more, o.json.limit) {
			counted += more
		} else {
			o.free(buf)
			exact := make([]byte, 0, size)
			buf = &exact
		}
	}
	o.addJSON(b, counted, 0)
	*buf = e.Append(*buf)
	if differs := int64(cap(*buf)) - counted; differs != 0 {
		o.addJSON(b, differs, differs)
	}
	if b.encoded == nil {
		b.encoded = map[form]*[]byte{}
	}
	b.encoded[as] = buf
	return *buf, nil
}

// tryJSON takes room for JSON if no reader waits for room and no more than limit is held then.
func (o *Outbox) tryJSON(bytes, limit int64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.json.queue.len() > 0 || o.json.held > 0 && o.json.held+bytes > limit {
		return false
	}
	o.json.held += bytes
	return true
}

// addJSON counts bytes for a batch, and held of them anew.
func (o *Outbox) addJSON(b *outgoing, bytes, held int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b.json += bytes
	if o.json.held += held; held < 0 {
		o.grantLocked()
	}
}

// Drop gives back the room that the reader holds.
func (h *Hold) Drop() {
	o := h.o
	o.mu.Lock()
	o.records.held -= h.reserved
	h.reserved = 0
	b := h.batch
	if b == nil {
		o.grantLocked()
		o.mu.Unlock()
		return
	}
	c := o.clients[h.client]
	if c.bytes -= h.bytes; h.place != nil {
		c.order.Remove(h.place)
	}
	if c.bytes == 0 {
		delete(o.clients, h.client)
	}
	b.refs--
	last := b.refs == 0
	if last {
		delete(o.batches, h.memory)
		o.records.held -= h.bytes
		o.json.held -= b.json
	}
	o.grantLocked()
	h.batch, h.memory, h.bytes, h.place = nil, memory{}, 0, nil
	o.mu.Unlock()
	if last {
		for _, buf := range b.encoded {
			o.free(buf)
		}
	}
}
