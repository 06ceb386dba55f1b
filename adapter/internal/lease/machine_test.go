package lease

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// member is a machine of node "a" that is live and sure of its lease at the moment 0, in incarnation "a1"; its record has revision 1.
func member(t *testing.T) *machine {
	t.Helper()
	names := 0
	m := newMachine("a", Info{}, func() string {
		names++
		return fmt.Sprintf("a%d", names)
	})
	m.ready = true
	ops := m.tick(0)
	if len(ops) != 1 || ops[0].expect != 0 {
		t.Fatalf("a node that enters asks for %+v", ops)
	}
	m.stored(0, ops[0], 1)
	if m.phase != live || !m.sureOfLease(func() moment { return SureFor - 1 }) || m.sureOfLease(func() moment { return SureFor }) {
		t.Fatalf("phase %v, sure until %v", m.phase, time.Duration(m.sureUntil.Load()))
	}
	return m
}

func node(revision uint64, incarnation string, state State) entry {
	return entry{revision, encode(nodeRecord{Incarnation: incarnation, State: state})}
}

func claimOf(revision uint64, node, incarnation string, epoch uint64) entry {
	return entry{revision, encode(claimRecord{node, incarnation, epoch})}
}

// What is known of a claim and of its node's record does not come in the order of their revisions.
func TestFateOfAClaim(t *testing.T) {
	for name, c := range map[string]struct {
		record *entry // of node "b"
		want   verdict
		expect uint64 // of the request, if there is one
		key    string
	}{
		"its incarnation is live":                          {new(node(10, "b1", Live)), known, 0, ""},
		"it is dead":                                       {new(node(10, "b1", Dead)), ask, 20, "o.L"},
		"it has left, after the claim":                     {new(node(30, "b1", Left)), ask, 20, "o.L"},
		"a later incarnation is live":                      {new(node(30, "b2", Live)), ask, 20, "o.L"},
		"a later one joins, and this one may be sure":      {new(node(30, "b2", Joining)), wait, 0, ""},
		"another one was live before the claim":            {new(node(10, "b0", Live)), wait, 0, ""},
		"another one was dead before the claim":            {new(node(10, "b0", Dead)), ask, 10, "n.b"},
		"there is no record":                               {nil, ask, 0, "n.b"},
		"the record has expired":                           {&entry{revision: 30}, ask, 30, "n.b"},
		"the record cannot be read, and its node may live": {&entry{10, []byte("{")}, wait, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := member(t)
			if c.record != nil {
				m.observe(0, "n.b", *c.record)
			}
			m.observe(0, "o.L", claimOf(20, "b", "b1", 7))
			o, request, v := m.owner(0, "L")
			if v != c.want || request.key != c.key || request.expect != c.expect {
				t.Fatalf("the verdict is %v, %+v", v, request)
			}
			if v == known && o != (Owner{"b", "b1", 7, false}) {
				t.Errorf("the owner is %+v", o)
			}
		})
	}
}

// A watch that lags behind the answers to reads brings nothing back.
func TestOlderRevisionsAreNotTakenIn(t *testing.T) {
	m := member(t)
	sure := func(epoch uint64) bool { return m.sure(func() moment { return 0 }, "L", epoch) }
	m.observe(0, "o.L", claimOf(5, "a", "a1", 1))
	if !sure(1) {
		t.Fatal("not sure of a log of its own")
	}
	m.observe(0, "o.L", claimOf(9, "b", "b1", 2))
	m.observe(0, "o.L", claimOf(5, "a", "a1", 1))
	if sure(1) {
		t.Error("sure after a value from before the log was given away")
	}
	m.observe(0, "o.L", entry{})
	m.observe(0, "o.L", claimOf(5, "a", "a1", 1))
	if sure(1) {
		t.Error("sure after the claim was removed")
	}
	if m.observe(0, "o.L", claimOf(9, "b", "b1", 2)); m.claims["L"].revision != 9 {
		t.Error("the newest value is not taken in again after a read of a server that was behind")
	}
}

// A log that may have been given away is not this node's until that is excluded.
func TestUnansweredRelease(t *testing.T) {
	m := member(t)
	sure := func(epoch uint64) bool { return m.sure(func() moment { return 0 }, "L", epoch) }
	m.observe(0, "n.b", node(4, "b1", Live))
	m.observe(0, "o.L", claimOf(5, "a", "a1", 1))
	release, err := m.give(0, "L", 1, "b", 0)
	if err != nil || sure(1) {
		t.Fatalf("error %v, sure %v", err, sure(1))
	}
	if _, _, v := m.owner(0, "L"); v != wait {
		t.Errorf("the verdict is %v while the release is under way", v)
	}
	m.lost(release)
	_, again, v := m.owner(0, "L")
	if v != ask || again.expect != 5 || sure(1) {
		t.Fatalf("the verdict is %v, %+v", v, again)
	}
	m.stored(0, again, 6)
	if o, _, v := m.owner(0, "L"); v != known || !o.Mine || o.Epoch != 2 || !sure(2) || sure(1) {
		t.Errorf("the verdict is %v, %+v", v, o)
	}
	if _, err := m.give(0, "L", 1, "b", 0); err != ErrMoved {
		t.Errorf("a release of an epoch before: %v", err)
	}
	raise, err := m.give(0, "L", 2, "", 40)
	if err != nil {
		t.Fatal(err)
	}
	if m.stored(0, raise, 7); !sure(41) {
		t.Errorf("the claim is %+v", m.claims["L"].rec)
	}
}

// A node that was declared dead comes back as another incarnation, without its logs.
func TestDeclaredDead(t *testing.T) {
	m := member(t)
	m.observe(0, "o.L", claimOf(5, "a", "a1", 1))
	clear(m.changed)
	m.observe(0, "n.a", node(6, "a1", Dead))
	if _, changed := m.changed["L"]; !changed || m.sure(func() moment { return 0 }, "L", 1) {
		t.Error("it keeps its log")
	}
	ops := m.tick(Beat)
	if len(ops) != 1 || ops[0].expect != 6 {
		t.Fatalf("it asks for %+v", ops)
	}
	m.stored(Beat, ops[0], 7)
	if m.incarnation != "a2" || m.phase != live {
		t.Errorf("it is incarnation %s in phase %v", m.incarnation, m.phase)
	}
	if _, again, v := m.owner(Beat, "L"); v != ask || again.key != "o.L" {
		t.Errorf("the verdict is %v, %+v", v, again)
	}
}

// A node without contact goes on trying to renew. When it has contact it declares no other node dead before the others had the time to renew.
func TestNobodyIsJudgedAfterAnOutage(t *testing.T) {
	m := member(t)
	m.observe(0, "n.b", node(4, "b1", Live))
	const back = time.Minute
	for now := Beat; now <= back; now += Beat {
		ops := m.tick(now)
		if len(ops) == 0 {
			t.Fatalf("at %v it does not try to renew", now) // there may be a leader by now
		}
		for _, o := range ops {
			if o.key != "n.a" {
				t.Fatalf("at %v it asks for %+v", now, o)
			}
			if now < back {
				m.lost(o)
			} else {
				m.stored(now, o, 10)
			}
		}
	}
	revision := uint64(10)
	for now := back; ; now += tickEvery {
		for _, o := range m.tick(now) {
			if o.key == "n.b" {
				if now != back+renewTime {
					t.Errorf("a node is declared dead %v after the outage, want %v", now-back, renewTime)
				}
				return
			}
			revision++
			m.stored(now, o, revision)
		}
		if now > back+2*Term {
			t.Fatal("a silent node is not declared dead")
		}
	}
}

func TestNames(t *testing.T) {
	for _, name := range []string{"", "n0", "10.0.0.1-6222", "S2_LOG_express_0_my-basin", "node 1", "a.b", "ü=", "=3d"} {
		if back, ok := unescape(escape(name)); !ok || back != name {
			t.Errorf("%q became %q and %q", name, escape(name), back)
		}
	}
	for _, token := range []string{"=", "=4", "=4g", "=41", "a b", "a.b", "=3D"} {
		if name, ok := unescape(token); ok {
			t.Errorf("%q is taken for the name %q", token, name)
		}
	}
}

func FuzzUnescape(f *testing.F) {
	f.Add("node=201")
	f.Fuzz(func(t *testing.T, token string) {
		if name, ok := unescape(token); ok && escape(name) != token {
			t.Errorf("%q is taken for %q", token, name)
		}
	})
}

// The logs of a group go to the nodes in turn, and a node that drains moves the logs of no other one.
func TestDesiredOwner(t *testing.T) {
	m := member(t)
	m.place = func(log string) (string, int) { return placeOf("", log) }
	m.observe(0, "n.b", node(4, "b1", Live))
	m.observe(0, "n.c", node(5, "c1", Live))
	groups := map[string][]string{}
	for i := range 8 {
		for _, class := range []protocol.StorageClass{protocol.StorageExpress, protocol.StorageStandard} {
			for _, owner := range []protocol.BasinName{"", "big-tenant"} {
				name := layout.Log{Class: class, Index: i, Owner: owner}.Stream("")
				groups[string(class)+string(owner)] = append(groups[string(class)+string(owner)], name)
			}
		}
	}
	before := map[string]string{}
	spread := func(draining string) {
		t.Helper()
		for group, logs := range groups {
			for some := 1; some <= len(logs); some++ {
				count := map[string]int{"a": 0, "b": 0, "c": 0}
				delete(count, draining)
				for _, log := range logs[:some] {
					count[m.desired(0, log, "")]++
				}
				least, most := some, 0
				for _, n := range count {
					least, most = min(least, n), max(most, n)
				}
				if most-least > 1 && (draining == "" || most-least > 2) {
					t.Errorf("%d logs of %s: %v", some, group, count)
				}
			}
		}
	}
	spread("")
	for _, logs := range groups {
		for _, log := range logs {
			before[log] = m.desired(0, log, "")
		}
	}
	m.observe(0, "n.c", entry{6, encode(nodeRecord{Incarnation: "c1", State: Live, Draining: true})})
	spread("c")
	for log, was := range before {
		if is := m.desired(0, log, ""); is == "c" || was != "c" && is != was {
			t.Errorf("%s moves from %s to %s", log, was, is)
		}
	}
	first := map[string]bool{} // those that get the only log of a tenant
	for i := range 50 {
		first[m.desired(0, layout.Log{Class: protocol.StorageExpress, Owner: protocol.BasinName(fmt.Sprintf("tenant-%d", i))}.Stream(""), "")] = true
	}
	if len(first) != 2 {
		t.Errorf("the logs of 50 tenants are on %v", first)
	}
}

func BenchmarkSure(b *testing.B) {
	r := &Registry{began: time.Now(), m: newMachine("a", Info{}, func() string { return "a1" })}
	r.m.sureUntil.Store(int64(time.Hour))
	r.m.held.Store("S2_LOG_express_0", uint64(3))
	b.ReportAllocs()
	for b.Loop() {
		if !r.Sure("S2_LOG_express_0", 3) {
			b.Fatal("not sure")
		}
	}
}

// An operator's wish holds for the incarnation that it names, and one that is older than the node's start is not carried out.
func TestWishes(t *testing.T) {
	m := member(t)
	m.ready = false
	m.observe(0, "balance", entry{3, []byte("{}")})
	m.ready = true
	m.observe(0, "w.a", entry{4, encode(wishRecord{"a0", true})})
	if len(m.asked) != 0 {
		t.Errorf("it is asked %v", m.asked)
	}
	m.observe(0, "w.a", entry{5, encode(wishRecord{"a1", true})})
	m.observe(0, "w.a", entry{5, encode(wishRecord{"a1", true})})
	m.observe(0, "w.b", entry{6, encode(wishRecord{"a1", false})})
	ops := m.tick(0)
	if len(ops) != 1 || !strings.Contains(string(ops[0].value), `"draining":true`) {
		t.Errorf("its record becomes %+v", ops)
	}
	m.observe(0, "w.a", entry{7, encode(wishRecord{"a1", false})})
	m.observe(0, "balance", entry{8, []byte("{}")})
	if !slices.Equal(m.asked, []asked{toDrain, toServe, toBalance}) {
		t.Errorf("it is asked %v", m.asked)
	}
}

// A log is without an owner if no node has claimed it, or the node that has claimed it has ended. Only the node that should own it says so.
func TestUnownedLogs(t *testing.T) {
	for name, c := range map[string]struct {
		claim  *entry
		record *entry // of node "b"
		want   bool
	}{
		"no claim":                          {nil, nil, true},
		"its own":                           {new(claimOf(20, "a", "a1", 1)), nil, false},
		"of a live node":                    {new(claimOf(20, "b", "b1", 1)), new(node(10, "b1", Live)), false},
		"of a dead node":                    {new(claimOf(20, "b", "b1", 1)), new(node(30, "b1", Dead)), true},
		"of a node that has left":           {new(claimOf(20, "b", "b1", 1)), new(node(30, "b1", Left)), true},
		"of a node whose record has gone":   {new(claimOf(20, "b", "b1", 1)), nil, true},
		"of a node that may be sure still":  {new(claimOf(20, "b", "b1", 1)), new(node(30, "b2", Joining)), false},
		"removed with its log, or released": {&entry{revision: 20}, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			m := member(t)
			if c.claim != nil {
				m.observe(0, claimKey("L"), *c.claim)
			}
			if c.record != nil {
				m.observe(0, nodeKey("b"), *c.record)
			}
			if got := m.unowned(0, "L"); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
			m.drains = true
			m.observe(0, nodeKey("c"), node(40, "c1", Live))
			if m.nodes["a"].rec.Draining = true; m.unowned(0, "L") {
				t.Error("a node that drains wants the log")
			}
		})
	}
}
