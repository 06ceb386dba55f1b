package lease

import (
	"encoding/json"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Beat is how often a node renews its record.
	Beat = 500 * time.Millisecond
	// Term is how long a record stays unchanged, on an observer's clock, before the observer declares its node dead.
	Term = 2 * time.Second
	// SureFor is how long a node is sure of its lease after it sent a renewal that was stored. The rest of Term is for clocks that run at
	// different rates.
	SureFor = 1500 * time.Millisecond

	// renewTime is how long a node that had no contact with the bucket declares no other node dead afterwards: the others may have had none either. When
	// there is a leader again each renews within a beat.
	renewTime = 2 * Beat

	// deadTTL is how long the record of a node that has ended is kept.
	deadTTL = 24 * time.Hour
)

// moment is a time on the process's monotonic clock.
type moment = time.Duration

// long ago: before every moment.
const never moment = -1 << 60

// op is a request that the machine wants to be made of the bucket: a conditional write, or with read the newest value of a key.
type op struct {
	key    string
	read   bool
	value  []byte        // nil removes the key
	expect uint64        // the revision that the key must have; 0: absent
	anyway bool          // it may have any
	ttl    time.Duration // 0: none
	sent   moment
	beat   uint64 // of a renewal of this node
}

// entry is a value of a key of the bucket, or its absence.
type entry struct {
	revision uint64
	value    []byte // nil: absent
}

// version is which values of a key are taken in.
type version struct {
	revision uint64 // what a write has to expect; 0: the key is absent
	floor    uint64 // the highest revision seen: a watch may show older ones later
}

// accept reports whether a value is to be taken in, and notes its revision.
func (v *version) accept(e entry) bool {
	switch {
	case e.revision == v.revision:
		return false
	case e.revision == 0:
		v.revision = 0
		return true
	case e.revision < v.floor:
		return false
	}
	v.revision, v.floor = e.revision, e.revision
	return true
}

type nodeView struct {
	version
	rec   nodeRecord
	seen  moment // when this revision was seen first, or found to be replaced
	asked moment // when it was last declared dead, or read
	stale bool   // the bucket has a newer one
}

type claimView struct {
	version
	rec    claimRecord
	absent bool
	busy   bool // a write of this node is under way
	doubt  bool // a write of this node was not answered, so that the claim may have been given away
}

// phase says how far this node is.
type phase int

const (
	entering phase = iota // no record of this incarnation is known to be stored
	joining
	live
	ousted // another process has taken the name
	left
)

// machine is the state of one node, without I/O. Its methods are called with a mutex held, but for sure.
type machine struct {
	self   string
	info   Info
	newID  func() string
	place  func(log string) (group string, index int) // the logs of a group are numbered from 0
	phase  phase
	ready  bool // the bucket was read
	drains bool

	incarnation string
	prior       string // the incarnation that this one replaces
	beat        uint64
	beats       map[uint64]moment // renewals that were sent and not found stored, with the moment
	beatSent    moment
	joined      moment // when the record of this incarnation was first known to be stored
	sureSince   moment

	nodes  map[string]*nodeView
	claims map[string]*claimView

	wished   uint64 // revision of the newest wish for this node
	balanced uint64 // revision of the newest wish to balance
	asked    []asked

	changed map[string]struct{} // logs whose owner may have changed
	stirred bool                // something else changed that calls may wait for

	// read without the mutex
	sureUntil atomic.Int64
	renewed   atomic.Int64 // when the newest renewal that was stored was sent
	held      sync.Map     // log -> epoch, of the logs that this incarnation owns
}

// asked is something that an operator asks of this node.
type asked int

const (
	toDrain asked = iota
	toServe       // not to drain any more
	toBalance
)

func newMachine(self string, info Info, newID func() string) *machine {
	return &machine{self: self, info: info, newID: newID, incarnation: newID(), beats: map[uint64]moment{}, beatSent: never, joined: never,
		nodes: map[string]*nodeView{}, claims: map[string]*claimView{}, changed: map[string]struct{}{},
		place: func(log string) (string, int) { return log, 0 }}
}

// sureOfLease reports whether this node is sure of its lease. It needs no mutex.
func (m *machine) sureOfLease(now func() moment) bool {
	until := m.sureUntil.Load() // before the time is read, so that a lease that begins later is not taken for this one
	return now() < moment(until)
}

// sure reports whether this node owns the log in that epoch and is sure of its lease. It needs no mutex. The caller has got the epoch from owner
// before; so if the log is still held afterwards, it was held while the lease was looked at.
func (m *machine) sure(now func() moment, log string, epoch uint64) bool {
	if !m.sureOfLease(now) {
		return false
	}
	held, ok := m.held.Load(log)
	return ok && held == epoch
}

// observe takes in a value of the bucket, as a watch, an answer to a read or an answer to a write shows it.
func (m *machine) observe(now moment, key string, e entry) {
	if token, ok := strings.CutPrefix(key, nodeKeys); ok {
		if name, ok := unescape(token); ok {
			m.observeNode(now, name, e)
		}
	} else if token, ok := strings.CutPrefix(key, claimKeys); ok {
		if log, ok := unescape(token); ok {
			m.observeClaim(log, e)
		}
	} else if key == wishKey(m.self) {
		m.observeWish(e)
	} else if key == balanceKey && e.revision > m.balanced {
		if m.balanced = e.revision; m.ready { // or it was asked before this node was there
			m.asked = append(m.asked, toBalance)
		}
	}
}

func (m *machine) observeWish(e entry) {
	var wish wishRecord
	if e.revision <= m.wished || e.value == nil || json.Unmarshal(e.value, &wish) != nil || wish.Incarnation != m.incarnation {
		return
	}
	m.wished = e.revision
	if wish.Draining == m.drains {
		return
	}
	m.drains, m.beatSent = wish.Draining, never
	if m.drains {
		m.asked = append(m.asked, toDrain)
	} else {
		m.asked = append(m.asked, toServe)
	}
}

func (m *machine) observeNode(now moment, name string, e entry) {
	n := m.nodes[name]
	if n == nil {
		n = &nodeView{}
		m.nodes[name] = n
	}
	n.stale = false
	if !n.accept(e) {
		return
	}
	before := n.rec
	n.rec, n.seen, n.asked = nodeRecord{}, now, never
	if e.value != nil && json.Unmarshal(e.value, &n.rec) != nil {
		n.rec = nodeRecord{Incarnation: "unreadable", State: Live} // until it does not change any more
	}
	if name == m.self {
		m.observeSelf(now, n.rec)
	}
	if before.Incarnation != n.rec.Incarnation || before.State != n.rec.State || before.Draining != n.rec.Draining {
		m.stirred = true
		for log, c := range m.claims {
			if !c.absent && c.rec.Node == name {
				m.changed[log] = struct{}{}
			}
		}
	}
}

// observeSelf takes in a record of this node.
func (m *machine) observeSelf(now moment, rec nodeRecord) {
	switch {
	case m.phase == ousted || m.phase == left:
	case rec.Incarnation == m.incarnation && !rec.State.ended():
		sent, ok := m.beats[rec.Beat]
		if !ok {
			return
		}
		for beat := range m.beats {
			if beat <= rec.Beat {
				delete(m.beats, beat)
			}
		}
		if m.joined == never {
			m.joined = now
		}
		if rec.State == Joining {
			m.phase = joining
			return
		}
		if m.phase != live {
			m.phase, m.stirred = live, true
		}
		m.renewed.Store(max(m.renewed.Load(), int64(sent)))
		m.prolong(now, sent+SureFor)
	case rec.Incarnation == m.incarnation:
		m.enterAgain()
	case rec.State.ended() || rec.Incarnation == "":
		// The name is free: the next renewal enters at once.
	case m.phase == entering && (m.prior == "" || m.prior == rec.Incarnation):
		m.prior = rec.Incarnation // a process before this one, which may be sure still
	default:
		m.phase = ousted
		m.loseLease()
	}
}

// prolong makes the node sure of its lease until then.
func (m *machine) prolong(now, until moment) {
	old := moment(m.sureUntil.Load())
	if until <= old {
		return
	}
	if now >= old {
		m.sureSince, m.stirred = now, true
	}
	m.sureUntil.Store(int64(until))
}

// loseLease gives up the lease and all logs of this incarnation.
func (m *machine) loseLease() {
	m.sureUntil.Store(0)
	m.held.Range(func(log, _ any) bool {
		m.held.Delete(log)
		m.changed[log.(string)] = struct{}{} //nolint:forcetypeassert // held has strings as keys
		return true
	})
	m.stirred = true
}

// enterAgain gives up this incarnation, which was declared dead, for a new one.
func (m *machine) enterAgain() {
	m.loseLease()
	m.phase, m.incarnation, m.prior = entering, m.newID(), ""
	m.joined, m.beatSent = never, never
	clear(m.beats)
}

func (m *machine) observeClaim(log string, e entry) {
	c := m.claims[log]
	if c == nil {
		c = &claimView{absent: true}
		m.claims[log] = c
	}
	if !c.accept(e) {
		return
	}
	before := c.rec
	c.rec, c.absent, c.doubt = claimRecord{}, e.value == nil, false
	if e.value != nil && json.Unmarshal(e.value, &c.rec) != nil {
		c.rec = claimRecord{Epoch: before.Epoch} // without an owner
	}
	m.hold(log, c)
	if before != c.rec {
		m.changed[log] = struct{}{}
	}
}

// hold notes whether the log is this node's.
func (m *machine) hold(log string, c *claimView) {
	if m.mine(c) && !c.busy && !c.doubt {
		m.held.Store(log, c.rec.Epoch)
	} else {
		m.held.Delete(log)
	}
}

func (m *machine) mine(c *claimView) bool {
	return !c.absent && c.rec.Node == m.self && c.rec.Incarnation == m.incarnation && m.phase != ousted && m.phase != left
}

// tick returns the requests that are due. The results are reported by stored, refused or lost, and by observe.
func (m *machine) tick(now moment) (ops []op) {
	if !m.ready || m.phase == ousted || m.phase == left {
		return nil
	}
	if o, due := m.renewal(now); due {
		ops = append(ops, o)
	}
	sure := now < moment(m.sureUntil.Load())
	for name, n := range m.nodes {
		switch {
		case now-n.asked < Beat:
		case n.stale:
			n.asked = now
			ops = append(ops, op{key: nodeKey(name), read: true, sent: now})
		case name == m.self || !sure || n.rec.State.ended() || n.revision == 0:
		case m.silent(now, n):
			n.asked = now
			ops = append(ops, m.declareDead(now, name, n.revision, n.rec))
		}
	}
	return ops
}

// silent reports whether a node has not renewed for the term of a lease, although it had the time to since this one is in contact with the bucket.
func (m *machine) silent(now moment, n *nodeView) bool {
	return now-n.seen >= Term && now-m.sureSince >= renewTime
}

// declareDead is the request that ends an incarnation.
func (m *machine) declareDead(now moment, name string, revision uint64, rec nodeRecord) op {
	rec.State, rec.By, rec.Draining = Dead, m.self, false
	return op{key: nodeKey(name), value: encode(rec), expect: revision, ttl: deadTTL, sent: now}
}

// renewal is the next write of this node's record, if it is due.
func (m *machine) renewal(now moment) (op, bool) {
	var own nodeView
	if n := m.nodes[m.self]; n != nil {
		own = *n
	}
	for beat, sent := range m.beats {
		if now-sent > 2*Term { // it is not waited for any more
			delete(m.beats, beat)
		}
	}
	turn := m.phase == joining && now-m.joined >= Term && own.rec.State == Joining
	if own.stale || now-m.beatSent < Beat {
		return op{}, false
	}
	rec := nodeRecord{Incarnation: m.incarnation, State: Live, Draining: m.drains, Info: m.info}
	free := own.rec.Incarnation == "" || own.rec.State.ended() || own.rec.Incarnation == m.incarnation && own.rec.State == Live
	if !free && !turn {
		rec.State = Joining
	}
	m.beat++
	rec.Beat = m.beat
	m.beats[m.beat], m.beatSent = now, now
	return op{key: nodeKey(m.self), value: encode(rec), expect: own.revision, sent: now, beat: m.beat}, true
}

// stored takes in that a write was stored, as a revision.
func (m *machine) stored(now moment, o op, revision uint64) {
	m.settle(o, false)
	m.observe(now, o.key, entry{revision, o.value})
}

// refused takes in that a write was refused, because the key had another revision. It proves nothing: a server that was deposed may have said so, and the
// leader may have stored it, or may do so yet.
func (m *machine) refused(now moment, o op) {
	m.settle(o, true)
	delete(m.beats, o.beat)
	if name, ok := strings.CutPrefix(o.key, nodeKeys); ok {
		name, _ = unescape(name)
		if n := m.nodes[name]; n != nil && n.revision == o.expect {
			n.seen, n.stale, n.asked = now, true, never // it has changed
		}
	}
}

// lost takes in that a write was not answered, so that it may be stored, now or later.
func (m *machine) lost(o op) { m.settle(o, true) }

func (m *machine) settle(o op, doubt bool) {
	token, ok := strings.CutPrefix(o.key, claimKeys)
	if !ok || o.read {
		return
	}
	log, _ := unescape(token)
	c := m.claims[log]
	if c == nil {
		return
	}
	c.busy = false
	c.doubt = c.doubt || doubt && c.revision == o.expect
	if !c.doubt && c.revision > o.expect {
		m.hold(log, c)
	}
	m.stirred = true
}

// fate says what is known of the incarnation that has a claim.
type fate int

const (
	alive    fate = iota
	ended         // it is never sure again
	unsure        // it may be sure still: its node's record will change
	unproven      // its node has no record, or one that has ended and may be older than the claim: it has ended if that is the newest record
)

// fate compares a claim with the record of its node, which may be older: what is known of the two does not come in the order of their revisions.
func (m *machine) fate(c *claimView) fate {
	n := m.nodes[c.rec.Node]
	switch {
	case n == nil || n.rec.Incarnation == "":
		return unproven
	case n.rec.Incarnation == c.rec.Incarnation:
		switch n.rec.State {
		case Live:
			return alive
		case Joining:
			return unsure // it was given the log by a node that knew a record that this one does not know yet
		case Dead, Left:
			return ended
		}
	case n.revision < c.revision && n.rec.State.ended():
		return unproven
	case n.revision < c.revision || n.rec.State == Joining:
		return unsure
	}
	return ended
}

// verdict is the answer to a question for an owner.
type verdict int

const (
	known verdict = iota
	wait          // until something changes
	ask           // make the request
)

// owner returns the owner of a log, or the request that makes one.
func (m *machine) owner(now moment, log string) (Owner, op, verdict) {
	c := m.claims[log]
	if c == nil {
		c = &claimView{absent: true}
		m.claims[log] = c
	}
	if c.busy {
		return Owner{}, op{}, wait
	}
	if !c.absent {
		switch m.fate(c) {
		case alive:
			if !c.doubt || !m.mine(c) {
				return m.ownerOf(c), op{}, known
			}
			// The log may have been given away, by a write that was not answered. This write excludes that one.
			return Owner{}, m.claim(now, log, c, m.self, m.incarnation, c.rec.Epoch+1), ask
		case unsure:
			return Owner{}, op{}, wait
		case unproven:
			var revision uint64
			if n := m.nodes[c.rec.Node]; n != nil {
				revision = n.revision
			}
			return Owner{}, m.declareDead(now, c.rec.Node, revision, nodeRecord{Incarnation: c.rec.Incarnation}), ask
		case ended:
		}
	}
	if m.phase != live {
		return Owner{}, op{}, wait
	}
	node := m.desired(now, log, "")
	if node == "" {
		return Owner{}, op{}, wait
	}
	return Owner{}, m.claim(now, log, c, node, m.nodes[node].rec.Incarnation, c.rec.Epoch+1), ask
}

func (m *machine) ownerOf(c *claimView) Owner {
	return Owner{Node: c.rec.Node, Incarnation: c.rec.Incarnation, Epoch: c.rec.Epoch, Mine: m.mine(c)}
}

// claim is the request that gives a log to an incarnation. If the log is this node's, it is not sure of it from now on.
func (m *machine) claim(now moment, log string, c *claimView, node, incarnation string, epoch uint64) op {
	c.busy = true
	m.held.Delete(log)
	return op{key: claimKey(log), value: encode(claimRecord{node, incarnation, epoch}), expect: c.revision, sent: now}
}

// unowned reports whether no live incarnation has a log and this node should.
func (m *machine) unowned(now moment, log string) bool {
	if !m.ready || m.phase != live {
		return false
	}
	if c := m.claims[log]; c != nil && !c.absent {
		if f := m.fate(c); c.busy || f == alive || f == unsure {
			return false
		}
	}
	return m.desired(now, log, "") == m.self
}

// give is the request that gives a log of this node in that epoch to another one, "" for the desired one, or, where raise is not 0, to this node
// itself in a later epoch. It fails if the log is not this node's in that epoch or there is no such node.
func (m *machine) give(now moment, log string, epoch uint64, to string, raise uint64) (op, error) {
	c := m.claims[log]
	if c == nil || !m.mine(c) || c.rec.Epoch != epoch {
		return op{}, ErrMoved
	}
	if c.busy {
		return op{}, errBusy
	}
	if raise != 0 {
		return m.claim(now, log, c, m.self, m.incarnation, max(raise, epoch)+1), nil
	}
	if to == "" {
		if to = m.desired(now, log, ""); to == m.self && m.drains {
			to = m.desired(now, log, m.self)
		}
	}
	n := m.nodes[to]
	if n == nil || n.rec.State != Live {
		return op{}, errNoNode(to)
	}
	if to == m.self {
		return op{}, errOwn
	}
	return m.claim(now, log, c, to, n.rec.Incarnation, epoch+1), nil
}

// leave is the last write of this node's record: the others take its logs over at once. From now on it is sure of nothing.
func (m *machine) leave(now moment) (op, bool) {
	was, n := m.phase, m.nodes[m.self]
	m.phase = left
	m.loseLease()
	if was != live || n == nil {
		return op{}, false // the lease of an older process may be sure still: the others find out
	}
	return m.lastWrite(now)
}

// lastWrite is the last write once this node has left, also if a renewal that was under way is stored now.
func (m *machine) lastWrite(now moment) (op, bool) {
	n := m.nodes[m.self]
	if n.rec.Incarnation != m.incarnation || n.rec.State.ended() {
		return op{}, false
	}
	rec := n.rec
	rec.State, rec.Draining = Left, false
	return op{key: nodeKey(m.self), value: encode(rec), expect: n.revision, ttl: deadTTL, sent: now}, true
}
