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

// TestShort is what each change is held to: a node is killed, and a node is cut off.
func TestShort(t *testing.T) {
	c := newCluster(t)
	seed := seedOf(t)
	for i, name := range []string{"kill-any", "cut-node"} {
		c.round(seed+uint64(i), pick(t, name)[0])
	}
}

// TestFaults runs CLUSTER_ROUNDS faults, chosen at random.
func TestFaults(t *testing.T) {
	rounds, _ := strconv.Atoi(os.Getenv(roundsEnv))
	if rounds == 0 && absent == "" {
		t.Skip("make cluster-faults runs it")
	}
	c := newCluster(t)
	seed := seedOf(t)
	all := pick(t, strings.Split(os.Getenv(rowsEnv), ",")...)
	// Every row has its turn before one comes again.
	var order []row
	for round := range rounds {
		if len(order) == 0 {
			order = slices.Clone(all)
			rand.New(rand.NewPCG(seed, uint64(round))).Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		}
		c.round(seed+uint64(round), order[0])
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

// pick returns the rows with names; all without one.
func pick(t *testing.T, names ...string) []row {
	t.Helper()
	var picked []row
	for _, name := range names {
		for _, r := range rows() {
			if name == "" || r.name == name {
				picked = append(picked, r)
			}
		}
	}
	if len(picked) < len(names) {
		t.Fatalf("%s: one of %q is no row", rowsEnv, names)
	}
	return picked
}

// round puts a load on the cluster, brings a fault about, waits until the cluster works again, and checks everything.
func (c *cluster) round(seed uint64, r row) {
	t := c.t
	t.Helper()
	t.Logf("%s, seed %d", r.name, seed)
	rng := rand.New(rand.NewPCG(seed, 1<<42))
	l := c.newLoad(seed, fmt.Sprintf("cluster-%08x", seed), r.stale)
	defer l.close()
	time.Sleep(2 * time.Second)
	for _, h := range l.streams {
		h.watch()
	}
	r.run(c, rng)
	healed := time.Now()
	c.awaitHealth()
	well := time.Since(healed)
	c.awaitAcks(l, healed)
	works := time.Since(healed)
	time.Sleep(time.Second)
	l.end()
	gaps := map[string]time.Duration{}
	acks, codes := 0, map[protocol.Code]int{}
	for _, h := range l.streams {
		n, gap, _ := h.figures()
		acks += n
		h.counts(codes)
		gaps[l.kinds[h]] = max(gaps[l.kinds[h]], gap)
	}
	l.verify()
	t.Logf("%s: %d appends acknowledged; answers %v; %d streams made and deleted, %d basins, %d steps without an answer", r.name, acks, codes,
		l.churn.streams.Load(), l.churn.basins.Load(), l.churn.unknown.Load())
	t.Logf("%s: longest gap of a stream: conditional %.1f s, unary %.1f s, session %.1f s; after the fault healthy in %.1f s, appends everywhere in %.1f s",
		r.name, gaps["conditional"].Seconds(), gaps["unary"].Seconds(), gaps["session"].Seconds(), well.Seconds(), works.Seconds())
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
