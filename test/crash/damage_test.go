package crash

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/protocol"
)

const damageBasin protocol.BasinName = "crash-damage"

// A sample is a store with known records, as a broker left it.
type sample struct {
	dir    string
	models []*model
	logs   map[*model]string // the JetStream stream that a stream lives in
	order  map[string][]*batch
	of     map[*batch]*model
}

// takeSample fills a store so that each log has several block files, ends the broker, and finds out which stream is in
// which log.
func takeSample(t *testing.T, rnd *rand.Rand, stop func(*machine)) *sample {
	t.Helper()
	s := &sample{dir: t.TempDir(), logs: map[*model]string{}, order: map[string][]*batch{}, of: map[*batch]*model{}}
	m := newMachine(t, s.dir)
	m.start()
	nc := m.connect(false)
	defer nc.Close()
	svc := client.New(nc, client.Options{})
	if _, _, err := svc.CreateBasin(t.Context(), protocol.CreateBasinRequest{Basin: damageBasin, Config: protocol.BasinConfig{CreateStreamOnAppend: true}}); err != nil {
		t.Fatal(err)
	}
	// A stream comes into either log by chance: with 32 streams both logs have some, except once in two billion runs.
	const streams, batches = 32, 25
	for i := range streams {
		s.models = append(s.models, newModel(protocol.StreamRef{Basin: damageBasin, Stream: protocol.StreamName(fmt.Sprintf("s/%d", i))}))
	}
	var sent []*batch
	for range batches {
		for _, m := range s.models {
			b := newBatch(batchIDs.Add(1), rnd)
			b.n, b.pad = 1+rnd.IntN(8), 20_000
			m.sent(b)
			ack, err := svc.Append(t.Context(), m.ref, b.input())
			if err := m.answered(b, ack, err); err != nil || b.outcome != acked {
				t.Fatalf("%v, %v", b, err)
			}
			sent, s.of[b] = append(sent, b), m
		}
	}
	stop(m)
	stock, err := takeStock(t, s.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range s.models {
		s.logs[m] = logName(t, damageBasin, stock.records[m.ref].Log)
	}
	for _, b := range sent {
		log := s.logs[s.of[b]]
		s.order[log] = append(s.order[log], b)
	}
	if len(s.order) != logsPerBasin {
		t.Fatalf("the streams are in %d logs, want %d", len(s.order), logsPerBasin)
	}
	return s
}

// largest is the log with the most batches: it has more than one block file.
func (s *sample) largest() string {
	return slices.MaxFunc(slices.Sorted(maps.Keys(s.order)), func(a, b string) int { return cmp.Compare(len(s.order[a]), len(s.order[b])) })
}

// copyStore makes a store to damage.
func (s *sample) copyStore(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(s.dir)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// flip changes one byte of a file in [from, to), parts of its length; below 0 it is a place.
func flip(t *testing.T, rnd *rand.Rand, file string, from, to float64) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	at := int(float64(len(b)) * (from + (to-from)*rnd.Float64()))
	if from < 0 {
		at = int(-from)
	}
	b[at] ^= byte(1 + rnd.IntN(255))
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("byte %d of %d flipped in %s", at, len(b), filepath.Base(file))
}

// TestCrashDamage breaks the files of a broker that was killed, or stopped in order. Whatever is broken, it starts or says clearly why not, no reader
// gets a wrong record or a gap, and the streams in other logs are whole.
func TestCrashDamage(t *testing.T) {
	seed := setting(t, "WEIR_CRASH_SEED", rand.Uint64())
	t.Logf("repeat with WEIR_CRASH_SEED=%d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	times := min(4, int(setting(t, "WEIR_CRASH_ROUNDS", 1)+3)/4)
	for _, how := range []struct {
		name string
		stop func(*machine)
	}{{"killed", (*machine).kill}, {"stopped", (*machine).stop}} {
		s := takeSample(t, rnd, how.stop)
		log := s.largest()
		for _, c := range []struct {
			name     string
			block    int // index of the block file; -1: the last
			from, to float64
		}{
			// What is lost at the very beginning of a stream looks like what has expired.
			{"the first block", 0, 0.1, 1},
			{"the beginning of the last block", -1, 0, 0.0001},
			{"the first sequence in the last block", -1, -11, -11},
			{"the last block", -1, 0, 1},
			{"the last message", -1, 0.999, 1},
		} {
			for range times {
				t.Run(how.name+"/"+c.name, func(t *testing.T) {
					dir := s.copyStore(t)
					blocks := blockFiles(t, dir, log)
					what := flip(t, rnd, blocks[(c.block+len(blocks))%len(blocks)], c.from, c.to)
					s.check(t, newMachine(t, dir), fmt.Sprintf("seed %d, %s of %d", seed, what, len(blocks)), log)
				})
			}
		}
	}
}

// check starts a broker on a damaged store and reads all streams. It returns how many records each stream gave before
// its end or its failure, nil if the broker refused to start.
func (s *sample) check(t *testing.T, m *machine, story, damaged string) map[*model]uint64 {
	t.Helper()
	if err := m.tryStart(); err != nil {
		if words := m.lastWords(); !strings.Contains(words, "damaged") || !strings.Contains(words, damaged) {
			t.Fatalf("%s: the broker did not start, and does not say that %s is damaged: %v", story, damaged, err)
		}
		return nil
	}
	nc := m.connect(false)
	defer nc.Close()
	svc := client.New(nc, client.Options{})
	got := map[*model]uint64{}
	for _, m := range s.models {
		got[m] = s.checkStream(t, svc, m, story, s.logs[m] == damaged)
	}
	m.kill()
	return got
}

// checkStream reads a stream as far as it goes, and appends to it.
func (s *sample) checkStream(t *testing.T, svc protocol.Service, m *model, story string, damaged bool) (n uint64) {
	t.Helper()
	fail := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s: %s: %s", story, m.ref, fmt.Sprintf(format, args...))
	}
	tail, err := svc.CheckTail(t.Context(), m.ref)
	if err != nil {
		if !damaged || protocol.CodeOf(err) != protocol.CodeStorage {
			fail("check-tail: %v", err)
		}
		return 0
	}
	if tail.SeqNum > m.tail || !damaged && tail.SeqNum != m.tail {
		fail("expected the tail %d, found %v", m.tail, tail)
	}
	var recs []protocol.SequencedRecord
	if tail.SeqNum > 0 {
		recs, err = readTo(t.Context(), svc, m.ref, tail.Position)
	}
	if err != nil && (!damaged || protocol.CodeOf(err) != protocol.CodeStorage) {
		fail("expected its records%s, found: %v", map[bool]string{true: " or code storage"}[damaged], err)
	}
	for i := range recs {
		if recs[i].SeqNum != uint64(i) {
			fail("expected record %d, found %d: a gap that nobody is told of", i, recs[i].SeqNum)
			return uint64(i)
		}
		b, place, ok := m.whose(&recs[i])
		if want := b.record(place); !ok || !bytes.Equal(want.Body, recs[i].Body) || !sameHeaders(want.Headers, recs[i].Headers) {
			fail("expected record %d of %v, found %.80q", place, b, recs[i].Body)
			return uint64(i)
		}
	}
	if err == nil && uint64(len(recs)) != tail.SeqNum {
		fail("expected %d records below the tail, found %d and no error", tail.SeqNum, len(recs))
	}
	ack, err := svc.Append(t.Context(), m.ref, protocol.AppendInput{Records: []protocol.Record{{Body: []byte("after the damage")}}})
	if err != nil && (!damaged || protocol.CodeOf(err) != protocol.CodeStorage) || err == nil && ack.Start.SeqNum != tail.SeqNum {
		fail("append at the tail %v: %+v, %v", tail, ack, err)
	} else if err != nil {
		t.Logf("%s: %s takes no append: %v", story, m.ref, err)
	}
	return uint64(len(recs))
}

// whose finds the batch that was acknowledged where a record stands.
func (m *model) whose(r *protocol.SequencedRecord) (b *batch, place int, ok bool) {
	id, place, ok := identify(r)
	if b = m.batches[id]; !ok || b == nil || b.start+uint64(place) != r.SeqNum {
		return &batch{fenceAt: -1, trimAt: -1}, 0, false
	}
	return b, place, true
}

// TestCrashTornTail cuts bytes off the newest file of a log. What a crash of the machine tears was never synced, and the
// broker starts; of what was, it says that it is lost, and starts when the operator accepts that. Either way what is before
// the cut stays.
func TestCrashTornTail(t *testing.T) {
	seed := setting(t, "WEIR_CRASH_SEED", rand.Uint64())
	t.Logf("repeat with WEIR_CRASH_SEED=%d", seed)
	rnd := rand.New(rand.NewPCG(seed, 2))
	s := takeSample(t, rnd, (*machine).kill)
	log := s.largest()
	for i, cut := range []int64{1, 30, 1 + rnd.Int64N(2000), 1 + rnd.Int64N(200_000), 1 + rnd.Int64N(1_000_000)} {
		synced := i%2 == 0
		t.Run(fmt.Sprintf("%d bytes, synced %t", cut, synced), func(t *testing.T) {
			dir := s.copyStore(t)
			cut, story := cutTail(t, dir, log, cut)
			story = fmt.Sprintf("seed %d, %s", seed, story)
			m := newMachine(t, dir)
			if !synced {
				if err := os.Remove(filepath.Join(dir, "weir.marks")); err != nil {
					t.Fatal(err)
				}
			} else if got := s.check(t, m, story, log); got != nil {
				t.Fatalf("%s: the broker started without records that were on disk", story)
			} else {
				m.acceptLoss = strings.TrimSpace(lossCode.FindString(m.lastWords()))
			}
			got := s.check(t, m, story, log)
			if got == nil {
				t.Fatalf("%s: the broker did not start: %s", story, m.lastWords())
			}
			s.checkCut(t, got, log, cut, story)
		})
	}
}

// lossCode is the code at the end of a refusal to start without lost records.
var lossCode = regexp.MustCompile(`[0-9a-f]{12}\s*$`)

// cutTail cuts bytes off the newest file of a log, as many as it has at most.
func cutTail(t *testing.T, dir, log string, cut int64) (done int64, story string) {
	t.Helper()
	blocks := blockFiles(t, dir, log)
	last := blocks[len(blocks)-1]
	info, err := os.Stat(last)
	if err != nil {
		t.Fatal(err)
	}
	cut = min(cut, info.Size())
	if err := os.Truncate(last, info.Size()-cut); err != nil {
		t.Fatal(err)
	}
	return cut, fmt.Sprintf("%d of %d bytes cut off %s", cut, info.Size(), filepath.Base(last))
}

// checkCut checks that no more is lost than was cut off. The oldest of the lost batches may have lost its end only; the
// others were lost whole.
func (s *sample) checkCut(t *testing.T, got map[*model]uint64, log string, cut int64, story string) {
	t.Helper()
	var lost []*batch
	for _, b := range s.order[log] {
		if b.end() > got[s.of[b]] {
			lost = append(lost, b)
		}
	}
	var size int64
	for _, b := range lost[min(1, len(lost)):] {
		in := b.input()
		size += int64(in.MeteredSize())
	}
	if size > cut || len(lost) == 0 {
		t.Errorf("%s: %d batches are lost, %d bytes without the first of them", story, len(lost), size)
	}
}
