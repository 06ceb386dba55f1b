package httpapi

import (
	"hash/maphash"
	"net/http"
	"sync/atomic"
)

// The bounds of the answers over HTTP/2 that hold no slot of a client: probes, files of the console, preflights and
// refusals.
const (
	maxSlotless      = 1024
	maxSlotlessShare = maxSlotless / 2 // of an address
	maxSlotlessBytes = 32 << 20        // of answers that are made for one client alone
	slotlessShares   = 1024
)

// slotless counts the answers that hold no slot. It has no lock, since every request of a flood meets it: tens of thousands
// of goroutines that wait for a lock would be the aim of the flood. Addresses share the counters, so that it does not grow
// with them.
type slotless struct {
	seed   maphash.Seed
	held   atomic.Int32
	bytes  atomic.Int64
	shares [slotlessShares]atomic.Int32 // by the hash of an address
}

// slotlessPlace is the place of one answer.
type slotlessPlace struct {
	of    *slotless
	share *atomic.Int32
	bytes int64
}

func newSlotless() *slotless { return &slotless{seed: maphash.MakeSeed()} }

// take takes a place for an address; nil if there is none.
func (s *slotless) take(address string) *slotlessPlace {
	share := &s.shares[maphash.String(s.seed, address)%slotlessShares]
	if share.Add(1) > maxSlotlessShare {
		share.Add(-1)
		return nil
	}
	if s.held.Add(1) > maxSlotless {
		s.held.Add(-1)
		share.Add(-1)
		return nil
	}
	return &slotlessPlace{of: s, share: share}
}

// grow takes room for bytes, and reports whether there is any.
func (p *slotlessPlace) grow(bytes int) bool {
	if p.of.bytes.Add(int64(bytes)) > maxSlotlessBytes {
		p.of.bytes.Add(int64(-bytes))
		return false
	}
	p.bytes += int64(bytes)
	return true
}

func (p *slotlessPlace) leave() {
	p.of.bytes.Add(-p.bytes)
	p.of.held.Add(-1)
	p.share.Add(-1)
}

// takeSlotless counts an answer without a slot until the call ends. A client of HTTP/2 that opens no window holds an answer in memory,
// so that the stream of one too many is reset without any. A client of HTTP/1.1 holds one answer for each connection.
func (c *call) takeSlotless() {
	if c.place != nil || c.slotless != nil || c.r.ProtoMajor != 2 {
		return
	}
	if c.slotless = c.h.slotless.take(address(c.r.RemoteAddr)); c.slotless == nil {
		panic(http.ErrAbortHandler) //nolint:forbidigo // the way to have net/http reset the stream
	}
}

// growSlotless counts the bytes of an answer without a slot that was made for its client alone.
func (c *call) growSlotless(bytes int) {
	if c.slotless != nil && !c.slotless.grow(bytes) {
		panic(http.ErrAbortHandler) //nolint:forbidigo // as above
	}
}

// leave gives back the places that the call has taken, at its end.
func (c *call) leave() {
	if c.unhurry != nil {
		c.unhurry()
	}
	if c.forget != nil {
		c.forget()
	}
	if c.place != nil {
		c.place.Leave()
	}
	if c.slotless != nil {
		c.slotless.leave()
	}
}
