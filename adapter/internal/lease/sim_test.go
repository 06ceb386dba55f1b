package lease

import (
	"container/heap"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// world is a simulation of nodes, a bucket and the network between them, in a time of its own. All that is random in it follows from its seed.
type world struct {
	rng    *rand.Rand
	now    time.Duration
	events events
	number int // of events

	bucket  map[string]entry
	history map[string][]entry // of each key, for reads of a server that is behind
	last    uint64             // revision
	outage  bool               // the bucket has no leader

	processes []*process
	names     int
	logs      []string

	lossPercent int
	latePercent int  // requests that arrive late
	twoLeaders  bool // a server that was deposed refuses requests that reach the leader as well
	maxDelay    time.Duration
	staleReads  bool
	rate        func() float64 // of a process's clock

	sure  map[string]sureness // the latest that was sure, by log
	fault string              // the first violation
	took  int                 // changes of owners
}

// sureness is a process that is sure of a log.
type sureness struct {
	by          *process
	incarnation string
	epoch       uint64
}

type event struct {
	at     time.Duration
	number int
	do     func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].number < e[j].number
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// process is one process of weir.
type process struct {
	w       *world
	name    string
	m       *machine
	began   time.Duration // of its clock
	rate    float64
	dead    bool // killed
	cut     bool // off from the bucket
	paused  bool
	queue   []func()          // while it is paused
	watched []func()          // the watch is stalled
	stalled bool              //
	arrived time.Duration     // when the watch's newest message arrives
	epochs  map[string]uint64 // that it has been told
}

func newWorld(seed uint64, nodes int) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 1)), bucket: map[string]entry{}, history: map[string][]entry{}, sure: map[string]sureness{}, logs: logNames(5), maxDelay: 30 * time.Millisecond}
	w.rate = func() float64 { return 0.9 + 0.2*w.rng.Float64() }
	for i := range nodes {
		w.start(fmt.Sprintf("n%d", i))
	}
	return w
}

func (w *world) after(d time.Duration, do func()) {
	w.number++
	heap.Push(&w.events, event{w.now + d, w.number, do})
}

// run lets time pass.
func (w *world) run(d time.Duration) {
	for end := w.now + d; w.fault == ""; {
		if len(w.events) == 0 || w.events[0].at > end {
			w.now = end
			return
		}
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		e.do()
		w.check()
	}
}

func (w *world) some(d time.Duration) time.Duration { return time.Duration(w.rng.Int64N(int64(d))) }
func (w *world) chance(percent int) bool            { return w.rng.IntN(100) < percent }

// start starts a process.
func (w *world) start(name string) *process {
	p := &process{w: w, name: name, began: w.now, rate: w.rate(), epochs: map[string]uint64{}}
	p.m = newMachine(name, Info{}, func() string {
		w.names++
		return fmt.Sprintf("i%d", w.names)
	})
	w.processes = append(w.processes, p)
	p.snapshot()
	p.every(tickEvery, func() {
		for _, o := range p.m.tick(p.clock()) {
			p.do(o, func() {})
		}
	})
	return p
}

// clock is the time on the process's monotonic clock.
func (p *process) clock() moment { return moment(float64(p.w.now-p.began) * p.rate) }

// handle lets the process do something, when it is not paused.
func (p *process) handle(do func()) {
	switch {
	case p.dead:
	case p.paused:
		p.queue = append(p.queue, do)
	default:
		do()
		clear(p.m.changed)
	}
}

func (p *process) every(d time.Duration, do func()) {
	p.w.after(p.w.some(d), func() {
		var again func()
		again = func() {
			if p.dead {
				return
			}
			p.handle(do)
			p.w.after(time.Duration(float64(d)/p.rate), again)
		}
		again()
	})
}

// snapshot begins the watch: the process gets the newest value of each key.
func (p *process) snapshot() {
	for key, e := range p.w.bucket {
		p.deliver(key, e)
	}
	p.watch(func() { p.m.ready = true })
}

func (p *process) deliver(key string, e entry) {
	p.watch(func() { p.m.observe(p.clock(), key, e) })
}

// watch hands something to the process in the order of the bucket.
func (p *process) watch(do func()) {
	if p.dead {
		return
	}
	if p.stalled {
		p.watched = append(p.watched, do)
		return
	}
	p.arrived = max(p.arrived+1, p.w.now+p.w.some(p.w.maxDelay))
	p.w.after(p.arrived-p.w.now, func() { p.handle(do) })
}

func (p *process) stall(stalled bool) {
	p.stalled = stalled
	if !stalled {
		for _, do := range p.watched {
			p.watch(do)
		}
		p.watched = nil
	}
}

func (p *process) pause(paused bool) {
	p.paused = paused
	for !p.paused && len(p.queue) > 0 {
		do := p.queue[0]
		p.queue = p.queue[1:]
		p.handle(do)
	}
}

// do makes a request, and calls done when its outcome was taken in.
func (p *process) do(o op, done func()) {
	w, settled := p.w, false
	finish := func(outcome func()) {
		p.handle(func() {
			if !settled {
				settled = true
				outcome()
				done()
			}
		})
	}
	w.after(time.Duration(float64(attempt)/p.rate), func() {
		finish(func() {
			if !o.read {
				p.m.lost(o)
			}
		})
	})
	lost := func() bool { return p.cut || w.chance(w.lossPercent) }
	if lost() {
		return
	}
	delay := w.some(w.maxDelay)
	if w.chance(w.latePercent) {
		delay += w.some(5 * time.Second) // the caller may have stopped waiting before it is carried out
	}
	w.after(delay, func() {
		if w.outage {
			return
		}
		answer := w.serve(o)
		if w.twoLeaders && !o.read && w.chance(20) {
			answer = func(p *process) { p.m.refused(p.clock(), o) }
		}
		if lost() {
			return
		}
		w.after(w.some(w.maxDelay), func() { finish(func() { answer(p) }) })
	})
	if o.read {
		return
	}
	refusedLater := done
	done = func() {
		if c := w.bucket[o.key]; c.revision != o.expect { // it was refused, or is stored
			p.do(op{key: o.key, read: true}, refusedLater)
			return
		}
		refusedLater()
	}
}

// serve carries a request out in the bucket, and returns what the answer does to the process that made it.
func (w *world) serve(o op) func(*process) {
	e := w.bucket[o.key]
	if o.read {
		if old := w.history[o.key]; w.staleReads && len(old) > 1 && w.chance(20) {
			e = old[len(old)-2]
		}
		return func(p *process) { p.m.observe(p.clock(), o.key, e) }
	}
	if e.revision != o.expect {
		return func(p *process) { p.m.refused(p.clock(), o) }
	}
	w.last++
	stored := entry{w.last, o.value}
	w.checkClaim(o.key, e, stored)
	w.bucket[o.key] = stored
	w.history[o.key] = append(w.history[o.key], stored)
	for _, p := range w.processes {
		p.deliver(o.key, stored)
	}
	return func(p *process) { p.m.stored(p.clock(), o, stored.revision) }
}

func (w *world) fail(format string, args ...any) {
	if w.fault == "" {
		w.fault = fmt.Sprintf("at %v: ", w.now) + fmt.Sprintf(format, args...)
	}
}

// checkClaim checks that the epoch of a log grows.
func (w *world) checkClaim(key string, before, after entry) {
	if !strings.HasPrefix(key, claimKeys) || before.value == nil {
		return
	}
	var was, is claimRecord
	if json.Unmarshal(before.value, &was) != nil || json.Unmarshal(after.value, &is) != nil || is.Epoch <= was.Epoch {
		w.fail("%s changes from %s to %s", key, before.value, after.value)
	}
	w.took++
}

// check checks that no two processes are sure of a log, and none of an epoch before that of another one. A paused process would be sure if it went on
// at this moment.
func (w *world) check() {
	for _, p := range w.processes {
		if p.dead {
			continue
		}
		for log, epoch := range p.epochs {
			if !p.m.sure(p.clock, log, epoch) {
				continue
			}
			now, before := sureness{p, p.m.incarnation, epoch}, w.sure[log]
			switch {
			case epoch < before.epoch, epoch == before.epoch && now != before:
				w.fail("%s (%s) is sure of epoch %d of %s, and %s (%s) was of epoch %d", p.name, now.incarnation, epoch, log, before.by.name, before.incarnation, before.epoch)
			case epoch > before.epoch:
				if b := before.by; b != nil && !b.dead && b.m.sure(b.clock, log, before.epoch) {
					w.fail("%s is sure of epoch %d of %s, and %s still of epoch %d", p.name, epoch, log, b.name, before.epoch)
				}
				w.sure[log] = now
			}
		}
	}
}

// use lets a process ask for the owner of a log, as Registry.Owner does, for a while.
func (p *process) use(log string, attempts int) {
	p.handle(func() {
		o, request, v := p.m.owner(p.clock(), log)
		again := func() {
			if attempts > 0 {
				p.w.after(pause, func() { p.use(log, attempts-1) })
			}
		}
		switch v {
		case known:
			if o.Mine {
				p.epochs[log] = o.Epoch
			}
		case ask:
			p.do(request, again)
		case wait:
			again()
		}
	})
}

// give lets a process give a log away, or raise its epoch.
func (p *process) give(log string, raise uint64) {
	p.handle(func() {
		to := p.w.processes[p.w.rng.IntN(len(p.w.processes))].name
		if o, err := p.m.give(p.clock(), log, p.epochs[log], to, raise); err == nil {
			p.do(o, func() {})
		}
	})
}

// trouble lets something happen that may happen in a cluster.
func (w *world) trouble() {
	p := w.processes[w.rng.IntN(len(w.processes))]
	log := w.logs[w.rng.IntN(len(w.logs))]
	long := w.some(6 * time.Second)
	switch w.rng.IntN(16) {
	case 0:
		p.cut = true
		w.after(long, func() { p.cut = false })
	case 1:
		p.pause(true)
		w.after(long, func() { p.pause(false) })
	case 2:
		p.stall(true)
		w.after(long, func() { p.stall(false) })
	case 3:
		w.outage, w.twoLeaders = true, w.chance(50)
		w.after(long/2, func() { w.outage = false })
		w.after(long, func() { w.twoLeaders = false })
	case 4:
		if p.dead = true; w.chance(20) {
			p.dead = false // another process of the name beside it
		}
		w.after(long, func() { w.start(p.name) })
	case 5:
		w.lossPercent, w.latePercent = w.rng.IntN(60), w.rng.IntN(20)
	case 6:
		w.maxDelay = 10*time.Millisecond + w.some(900*time.Millisecond)
	case 7, 8:
		for _, p := range w.processes {
			p.give(log, 0)
		}
	case 9:
		p.give(log, p.epochs[log]+uint64(w.rng.IntN(5)))
	case 10:
		p.m.drains = !p.m.drains
	case 11:
		w.lossPercent, w.latePercent, w.maxDelay = 0, 0, 30*time.Millisecond
	case 12:
		p.handle(func() {
			if o, ok := p.m.leave(p.clock()); ok {
				p.do(o, func() {})
			}
			w.after(3*attempt, func() { p.dead = true })
			w.after(3*attempt+long, func() { w.start(p.name) })
		})
	default:
		p.use(log, 20)
	}
}

// chaos lets troubles happen for a time.
func (w *world) chaos(d time.Duration) {
	for end := w.now + d; w.now < end && w.fault == ""; {
		w.trouble()
		for range 6 {
			w.processes[w.rng.IntN(len(w.processes))].use(w.logs[w.rng.IntN(len(w.logs))], 5)
			w.run(w.some(200 * time.Millisecond))
		}
		w.forget()
	}
}

// forget drops the processes that are dead.
func (w *world) forget() {
	living := w.processes[:0]
	for _, p := range w.processes {
		if !p.dead {
			living = append(living, p)
		}
	}
	if w.processes = living; len(living) == 0 {
		w.start("n0")
	}
}

// heal ends all troubles.
func (w *world) heal() {
	w.outage, w.twoLeaders, w.staleReads = false, false, false
	w.lossPercent, w.latePercent, w.maxDelay = 0, 0, 30*time.Millisecond
	for _, p := range w.processes {
		p.cut, p.m.drains = false, false
		p.pause(false)
		p.stall(false)
	}
}

// owned reports whether every log has an owner that is sure, when every process asks for it.
func (w *world) owned() bool {
	for _, log := range w.logs {
		sure := false
		for _, p := range w.processes {
			p.use(log, 0)
			sure = sure || !p.dead && !p.cut && p.m.sure(p.clock, log, p.epochs[log])
		}
		if !sure {
			return false
		}
	}
	return true
}

// until lets time pass until every log has an owner, and returns how long that took; it gives up after a minute.
func (w *world) until() (took time.Duration) {
	for began := w.now; w.fault == ""; {
		if w.owned() {
			return w.now - began
		}
		if w.now-began > time.Minute {
			w.fail("a log has no owner")
		}
		w.run(10 * time.Millisecond)
	}
	return 0
}

// Whatever happens to nodes, to the bucket and to what lies between them: at no moment are two nodes sure of one log, the epochs of a log grow, and
// when the troubles end every log gets an owner. WEIR_LEASE_WORLDS makes it longer.
func TestNoTwoNodesAreSureOfALog(t *testing.T) {
	worlds, took := 60, 0
	if text := os.Getenv("WEIR_LEASE_WORLDS"); text != "" {
		var err error
		if worlds, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	for seed := range uint64(worlds) {
		w := newWorld(seed, 3+int(seed%3))
		w.staleReads = true
		w.chaos(60 * time.Second)
		w.heal()
		w.until()
		if w.fault != "" {
			t.Fatalf("seed %d: %s", seed, w.fault)
		}
		took += w.took
	}
	t.Logf("%d worlds, %d changes of owners", worlds, took)
}

// The simulation finds what it looks for: with clocks that run at rates more different than the margin of the lease allows, two nodes are sure.
func TestSimulationFindsClocksTooDifferent(t *testing.T) {
	for seed := range uint64(200) {
		w := newWorld(seed, 3)
		w.rate = func() float64 { return 0.1 + 1.8*w.rng.Float64() }
		w.chaos(60 * time.Second)
		if w.fault != "" {
			t.Logf("seed %d: %s", seed, w.fault)
			return
		}
	}
	t.Error("no world with two nodes that are sure of a log")
}

// A node that ends without a word is replaced within the term, by clocks that are a tenth slow, and some requests.
func TestLogsOfADeadNodeAreTakenOver(t *testing.T) {
	const bound = Term*10/9 + tickEvery + 500*time.Millisecond
	var longest time.Duration
	for seed := range uint64(100) {
		w := newWorld(seed, 3)
		w.until()
		w.run(w.some(5 * time.Second))
		w.processes[w.rng.IntN(len(w.processes))].dead = true
		took := w.until()
		if w.fault != "" || took > bound {
			t.Fatalf("seed %d: it took %v, at most %v are allowed; %s", seed, took, bound, w.fault)
		}
		longest = max(longest, took)
	}
	t.Logf("%v at most", longest)
}

// A process that starts where another one of its name runs gets the logs, and the older one never any again.
func TestYoungerProcessOfANameWins(t *testing.T) {
	w := newWorld(7, 1)
	w.until()
	old := w.processes[0]
	young := w.start("n0")
	w.run(4 * Term)
	w.until()
	if w.fault != "" || old.m.phase != ousted || young.m.phase != live {
		t.Fatalf("the older process is in phase %v, the younger one in %v; %s", old.m.phase, young.m.phase, w.fault)
	}
	if o, _, v := old.m.owner(old.clock(), w.logs[0]); v == ask || o.Mine {
		t.Errorf("the older process gets %+v", o)
	}
}
