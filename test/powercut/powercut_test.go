//go:build linux

package powercut

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

const (
	roundsEnv = "WEIR_POWERCUT_ROUNDS"
	seedEnv   = "WEIR_POWERCUT_SEED"
	specsEnv  = "WEIR_POWERCUT_SPECS"
)

// A round is one cut on a machine, and what comes before and behind it.
type round struct {
	name string
	spec string
	do   func(w *world)
}

// The fixed rounds. Each failed before weir worked round what it is about (docs/adr/0012).
var fixed = []round{
	{"a block is compacted", "ext4-writeback", compaction},
	{"a block is compacted", "xfs", compaction},
	{"an index of an empty log", "ext4", emptyIndex},
	{"an index of an empty log", "ext4-disk", emptyIndex},
	{"a log is made", "ext4", making},
	{"a log is made", "xfs", making},
	{"a log is made and the broker killed", "ext4-always", killedMaking},
	{"the usage is made", "btrfs-disk", idle},
	{"all streams of a log are deleted", "ext4", emptied},
	{"all streams of a log are deleted", "ext4-disk", emptied},
	{"the compression was changed", "ext4-noauto", recompressed},
	{"a disk that fails under always", "ext4-always", failing},
	{"killed, started, and cut", "xfs-always", killedAndCut},
	{"killed, started, and cut", "ext4-disk-always", killedAndCut},
	{"under load", "ext4-interval", load},
	{"under load", "xfs-interval", load},
	{"under load", "btrfs-disk-interval", load},
	{"cut again while it starts", "ext4-writeback-disk", twice},
	{"cut again while it starts", "xfs-disk", twice},
	{"under load", "ext4-disk", load},
}

// The rounds of the mix.
var mix = []round{
	{name: "a block is compacted", do: compaction}, {name: "an index of an empty log", do: emptyIndex}, {name: "a log is made", do: making},
	{name: "all streams of a log are deleted", do: emptied}, {name: "the compression was changed", do: recompressed},
	{name: "killed, started, and cut", do: killedAndCut}, {name: "cut again while it starts", do: twice},
	{name: "under load", do: load}, {name: "under load", do: load}, {name: "under load", do: load},
}

func TestPowerCut(t *testing.T) {
	rounds, err := strconv.Atoi(os.Getenv(roundsEnv))
	if err != nil {
		t.Skipf("%s is not set to a number of rounds: power cuts need root, loop devices and some minutes (make powercut)", roundsEnv)
	}
	seed := uint64(20_261_129)
	if s := os.Getenv(seedEnv); s != "" {
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("%s: %v", seedEnv, err)
		}
	}
	var only []string
	if s := os.Getenv(specsEnv); s != "" {
		only = strings.Split(s, ",")
	}
	t.Logf("seed %d", seed)
	all := slices.Clone(fixed)
	for i := range rounds {
		rnd := rand.New(rand.NewPCG(seed, uint64(i)))
		r := mix[rnd.IntN(len(mix))]
		r.spec = specs[rnd.IntN(len(specs))].name
		all = append(all, r)
	}
	for i, r := range all {
		if len(only) > 0 && !slices.Contains(only, r.spec) {
			continue
		}
		t.Run(fmt.Sprintf("%d %s on %s", i, r.name, r.spec), func(t *testing.T) {
			m := newMachine(t, specNamed(t, r.spec))
			r.do(newWorld(m, rand.New(rand.NewPCG(seed, uint64(1000+i)))))
		})
	}
}

func (w *world) mayLose() bool { return w.m.spec.durability == conf.DurabilityInterval }

// cutNow cuts, lets what is on its way to clients arrive, and brings the machine back with a broker.
func (w *world) cutNow() {
	w.m.t.Helper()
	w.m.cut(losses[w.rnd.IntN(len(losses))], w.rnd.Uint64())
	time.Sleep(time.Duration(w.rnd.IntN(50)) * time.Millisecond)
}

// come back and compare.
func (w *world) recover() {
	w.m.t.Helper()
	w.m.powerOn()
	w.m.start()
	svc, done := w.m.connect()
	defer done()
	w.verify(svc, w.mayLose())
}

// underLoad runs the clients until when returns, and cuts.
func (w *world) underLoad(when func()) {
	w.m.t.Helper()
	svc, done := w.m.connect()
	defer done()
	ctx, cancel := context.WithCancel(w.m.t.Context())
	clients := w.load(ctx, svc)
	when()
	w.cutNow()
	w.m.kill()
	cancel()
	clients.Wait()
}

func (w *world) some(least, most time.Duration) time.Duration {
	return least + time.Duration(w.rnd.Int64N(int64(most-least)))
}

func load(w *world) {
	w.m.start()
	w.underLoad(func() { time.Sleep(w.some(500*time.Millisecond, 3*time.Second)) })
	w.recover()
}

// compaction cuts right behind a block file that was replaced. Nobody writes any more then, so no sync of the broker's covers it.
func compaction(w *world) {
	for range 4 {
		w.compaction()
	}
}

func (w *world) compaction() {
	w.m.start()
	svc, done := w.m.connect()
	w.short++
	bulk, witness := newLedger(fmt.Sprintf("bulk-basin-%d", w.short), "bulk"), newLedger(fmt.Sprintf("bulk-basin-%d", w.short), "witness")
	w.kept = []*ledger{bulk, witness}
	ctx := w.m.t.Context()
	for _, l := range w.kept {
		w.set(l.make(ctx, svc))
	}
	for i := range 170 { // three blocks of 8 MiB
		w.set(bulk.append(ctx, svc, bulk.begin(1, 120_000, 0)))
		if i%10 == 0 {
			w.set(witness.append(ctx, svc, witness.begin(1, 100, 0)))
		}
	}
	names, stop := w.m.events(w.newestLog(), unix.IN_MOVED_TO)
	defer stop()
	w.set(bulk.append(ctx, svc, bulk.begin(2, 10, bulk.tail())))
	if !next(names, ".blk") {
		w.m.t.Log("no block was compacted")
	}
	w.m.freeze()
	w.m.commitNames()
	w.cutNow()
	done()
	w.recover()
	w.m.kill()
}

// set fails the test if something did not work before the cut.
func (w *world) set(ok bool) {
	w.m.t.Helper()
	if !ok {
		w.m.t.Fatalf("%s: it failed before the cut: %s", w.m.spec.name, w.m.lastWords(4))
	}
	w.acks.Add(1)
}

// emptyIndex stops the broker in order while its logs are there and empty, starts it again, fills them, and cuts.
func emptyIndex(w *world) {
	w.m.start()
	svc, done := w.m.connect()
	for _, l := range w.kept {
		if !l.make(w.m.t.Context(), svc) {
			w.m.t.Fatal("set-up")
		}
		if _, err := svc.CheckTail(w.m.t.Context(), l.ref); err != nil { // opens the log
			w.m.t.Fatal(err)
		}
	}
	done()
	w.m.stop()
	w.m.must(unix.Syncfs(w.m.fd))
	w.m.start()
	w.underLoad(func() { time.Sleep(w.some(20*time.Millisecond, 600*time.Millisecond)) })
	w.recover()
}

// making cuts while logs are made.
func making(w *world) { w.making(4, w.cutNow) }

// killedMaking kills the broker while logs are made. No power is cut.
func killedMaking(w *world) { w.making(6, func() { w.m.note = "killed" }) }

// making has logs made and calls end when the directory of one appears.
func (w *world) making(times int, end func()) {
	w.m.start()
	for range times {
		svc, done := w.m.connect()
		w.set(newLedger("first-basin", "s").make(w.m.t.Context(), svc))
		if _, err := svc.CheckTail(w.m.t.Context(), protocol.StreamRef{Basin: "first-basin", Stream: "s"}); err != nil {
			w.m.t.Fatal(err)
		}
		names, stop := w.m.events(w.m.streams(), unix.IN_CREATE)
		ctx, cancel := context.WithCancel(w.m.t.Context())
		clients := w.load(ctx, svc)
		if !next(names, "") {
			w.m.t.Log("no log was made")
		}
		if w.rnd.IntN(2) == 0 {
			time.Sleep(w.some(0, 2*time.Millisecond))
		}
		if w.rnd.IntN(2) == 0 && w.m.spec.durability != conf.DurabilityAlways {
			w.m.commitNames()
		}
		stop()
		end()
		w.m.kill()
		cancel()
		clients.Wait()
		done()
		w.m.powerOn()
		w.m.start()
		svc, done = w.m.connect()
		w.verify(svc, w.mayLose())
		done()
	}
}

// idle waits for what a broker writes by itself, ten seconds behind the start, and cuts.
func idle(w *world) {
	w.m.start()
	svc, done := w.m.connect()
	ctx, cancel := context.WithTimeout(w.m.t.Context(), 300*time.Millisecond)
	w.load(ctx, svc).Wait()
	cancel()
	done()
	if err := until(2*time.Minute, func() bool {
		found, _ := filepath.Glob(filepath.Join(w.m.streams(), "S2_USAGE*"))
		return len(found) > 0
	}); err != nil {
		w.m.t.Fatal("no usage was written")
	}
	time.Sleep(w.some(0, 2*time.Second))
	w.cutNow()
	w.recover()
}

// emptied deletes the streams of a log that has no others, and cuts when the block goes that held them.
func emptied(w *world) {
	w.m.start()
	for i := range 6 {
		svc, done := w.m.connect()
		l := newLedger(fmt.Sprintf("emptied-basin-%d", i), "s")
		ctx := w.m.t.Context()
		w.set(l.make(ctx, svc))
		for range 30 {
			w.set(l.append(ctx, svc, l.begin(2, 100, 0)))
		}
		names, stop := w.m.events(w.newestLog(), unix.IN_DELETE)
		w.m.must(svc.DeleteStream(ctx, l.ref))
		w.gone = append(w.gone, l.ref)
		if !next(names, ".blk") {
			w.m.t.Log("no block was removed")
		}
		w.m.freeze()
		stop()
		w.m.commitNames()
		w.cutNow()
		done()
		w.recover()
	}
}

// newestLog is the directory of the blocks that were written to last.
func (w *world) newestLog() string {
	w.m.t.Helper()
	blocks, err := filepath.Glob(filepath.Join(w.m.streams(), "S2_LOG_*", "msgs", "*.blk"))
	w.m.must(err)
	if len(blocks) == 0 {
		w.m.t.Fatal("there is no log")
	}
	return filepath.Dir(slices.MaxFunc(blocks, func(a, b string) int { return modified(a).Compare(modified(b)) }))
}

func modified(path string) time.Time {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// recompressed starts with another compression, so that each log gets a new description when it is opened, and cuts.
func recompressed(w *world) {
	w.m.compression = "none"
	w.m.start()
	w.underLoad(func() { time.Sleep(w.some(300*time.Millisecond, time.Second)) })
	for _, other := range []string{"s2", "none", "s2"} {
		w.m.powerOn()
		w.m.compression = other
		w.m.start()
		svc, done := w.m.connect()
		go func() { // opens the logs
			for _, l := range w.kept {
				_, _ = svc.CheckTail(w.m.t.Context(), l.ref)
			}
		}()
		if err := replaced(filepath.Join(w.m.streams(), "S2_LOG_*", "meta.inf")); err != nil {
			w.m.t.Log("no description was written")
		}
		w.m.commitNames()
		w.cutNow()
		done()
		w.recover()
	}
}

// failing goes on taking acknowledgements from a broker whose disk is gone.
func failing(w *world) {
	for range 3 {
		w.m.start()
		svc, done := w.m.connect()
		ctx, cancel := context.WithCancel(w.m.t.Context())
		clients := w.load(ctx, svc)
		time.Sleep(w.some(500*time.Millisecond, 1500*time.Millisecond))
		w.m.cut("none", 0)
		time.Sleep(2 * time.Second)
		w.m.kill()
		cancel()
		clients.Wait()
		done()
		w.recover()
		w.m.kill()
	}
}

// killedAndCut kills a broker that has not synced what it acknowledged, starts one that promises more, asks it for all tails, and
// cuts: what it has shown must be on disk.
func killedAndCut(w *world) {
	promised := w.m.spec.durability
	w.m.spec.durability, w.m.syncInterval = conf.DurabilityInterval, time.Hour
	w.m.start()
	svc, done := w.m.connect()
	ctx, cancel := context.WithCancel(w.m.t.Context())
	clients := w.load(ctx, svc)
	time.Sleep(w.some(500*time.Millisecond, 2*time.Second))
	w.m.kill()
	cancel()
	clients.Wait()
	done()
	w.m.spec.durability = promised
	w.m.start()
	svc, done = w.m.connect()
	defer done()
	for _, l := range w.kept {
		if tail, err := svc.CheckTail(w.m.t.Context(), l.ref); err == nil {
			l.tell(tail.SeqNum)
		}
	}
	w.cutNow()
	w.recover()
}

// twice cuts again while the broker starts.
func twice(w *world) {
	w.m.start()
	w.underLoad(func() { time.Sleep(w.some(500*time.Millisecond, 2*time.Second)) })
	for range 3 {
		w.m.powerOn()
		w.m.exec()
		time.Sleep(w.some(0, 400*time.Millisecond))
		w.cutNow()
	}
	w.recover()
}
