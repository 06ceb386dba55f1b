//go:build linux

package cluster

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

// TestShort is what each change is held to: the owner of a log is killed, a node is cut off, and nodes are drained.
func TestShort(t *testing.T) {
	c := newCluster(t, embedded)
	seed := seedOf(t)
	for i, name := range []string{"kill-owner", "cut-node", "drain"} {
		c.round(seed+uint64(i), pick(t, c.setting, name)[0])
	}
}

// TestFaults runs CLUSTER_ROUNDS faults in each setting, chosen at random.
func TestFaults(t *testing.T) {
	rounds, _ := strconv.Atoi(os.Getenv(roundsEnv))
	if rounds == 0 && absent == "" {
		t.Skip("make cluster-faults runs it")
	}
	for _, s := range settings(t) {
		t.Run(string(s), func(t *testing.T) {
			c := newCluster(t, s)
			c.faults(seedOf(t), rounds, pick(t, s, strings.Split(os.Getenv(rowsEnv), ",")...))
		})
	}
}

// faults runs a number of rounds. Every row has its turn before one comes again.
func (c *cluster) faults(seed uint64, rounds int, all []row) {
	t := c.t
	t.Helper()
	longest := map[string]gaps{}
	defer func() { c.summary(longest) }()
	var order []row
	for round := range rounds {
		if len(order) == 0 {
			order = slices.Clone(all)
			rand.New(rand.NewPCG(seed, uint64(round))).Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		}
		r := order[0]
		longest[r.name] = longest[r.name].and(c.round(seed+uint64(round), r))
		if order = order[1:]; t.Failed() {
			t.Fatalf("round %d of seed %d failed", round, seed)
		}
	}
}

// seedOf is the seed of the run, which it prints.
func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64N(1 << 32)
	if s := os.Getenv(seedEnv); s != "" {
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil {
			t.Fatalf("%s: %v", seedEnv, err)
		}
		seed = n
	}
	t.Logf("repeat the choices with %s=%d", seedEnv, seed)
	return seed
}

// pick returns the rows with names that there are in a setting; all without one.
func pick(t *testing.T, s setting, names ...string) []row {
	t.Helper()
	var picked []row
	for _, name := range names {
		known := name == ""
		for _, r := range rows() {
			known = known || r.name == name
			if (name == "" || r.name == name) && (r.only == "" || r.only == s) {
				picked = append(picked, r)
			}
		}
		if !known {
			t.Fatalf("%s: %q is no row", rowsEnv, name)
		}
	}
	if len(picked) == 0 {
		t.Skipf("none of the rows can be %s", s)
	}
	return picked
}

// round puts a load on the cluster, brings a fault about, waits until the cluster works again, and checks everything.
func (c *cluster) round(seed uint64, r row) gaps {
	t := c.t
	t.Helper()
	t.Logf("%s, %s, seed %d", r.name, c.setting, seed)
	rng := rand.New(rand.NewPCG(seed, 1<<42))
	l := c.newLoad(seed, fmt.Sprintf("cluster-%08x", seed), r)
	c.load = l
	defer l.close()
	time.Sleep(2 * time.Second)
	for _, h := range l.streams {
		h.forget()
	}
	r.run(c, rng)
	healed := time.Now()
	c.awaitHealth()
	well := time.Since(healed)
	c.awaitAcks(l, healed)
	works := time.Since(healed)
	time.Sleep(time.Second)
	longest := l.gaps()
	l.end()
	acks, codes := 0, map[protocol.Code]int{}
	for _, h := range l.streams {
		n, _, _ := h.figures()
		acks += n
		h.counts(codes)
	}
	l.verify()
	t.Logf("%s: %d appends acknowledged; answers %v; %d streams made and deleted, %d basins, %d steps without an answer", r.name, acks, codes,
		l.churn.streams.Load(), l.churn.basins.Load(), l.churn.unknown.Load())
	t.Logf("%s: longest gap of a stream: %v; after the fault healthy in %.1f s, appends everywhere in %.1f s", r.name, longest, well.Seconds(), works.Seconds())
	return longest
}

// awaitAcks waits until every stream has an append that was acknowledged after the fault.
func (c *cluster) awaitAcks(l *load, healed time.Time) {
	c.t.Helper()
	deadline := healed.Add(2 * recovery)
	for _, h := range l.streams {
		for {
			_, _, last := h.figures()
			if h.began.Add(last).After(healed) || l.kinds[h] == "conditional" && h.length() > mostRecords {
				break
			}
			if time.Now().After(deadline) {
				c.t.Errorf("%s, %s: no append was acknowledged for %v after the fault", h.ref, l.kinds[h], 2*recovery)
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}
