package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// The measures in this file are about a whole account: how many basins and streams a broker takes, their cost, and how
// fast it starts with them. Each phase is a process of its own, so that memory is its own: the command starts itself with
// the phase in the environment.

// phase is the work of a child, and phaseResult is its report.
type phase struct {
	Do      string // fill, start
	Dir     string
	Basins  int
	Streams int  // in each basin
	Kill    bool // end without stopping the broker
	Settle  int  // seconds to wait after a start, until its measurements are over and memory is given back
	// Profile is the file of a CPU profile of the fill; "": none.
	Profile string
}

type phaseResult struct {
	Seconds    float64 // of the fill, or of the start
	PeakRSS    float64 // bytes
	RSS        float64 // bytes, at the end
	Goroutines int
	Processor  float64 // seconds that the fill, or the start, took of the processors
	Allocated  float64 // bytes that were allocated meanwhile
	Stop       float64 // seconds; 0 after a kill
}

// settleSecs is the wait after a start at full size.
const settleSecs = 25

const phaseVariable = "WEIR_BENCH_PHASE"

// runPhase runs a phase in this process, if it is a child; done says so.
func runPhase(ctx context.Context) (done bool, err error) {
	text := os.Getenv(phaseVariable)
	if text == "" {
		return false, nil
	}
	var p phase
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return true, err
	}
	result, b, err := p.run(ctx)
	if err != nil {
		return true, err
	}
	if !p.Kill {
		began := time.Now()
		if err := b.Close(ctx); err != nil {
			return true, err
		}
		result.Stop = time.Since(began).Seconds()
	}
	// After a kill nothing was flushed: the process ends here, with the broker as it is.
	return true, json.NewEncoder(os.Stdout).Encode(result)
}

func (p *phase) run(ctx context.Context) (r phaseResult, b *broker.Broker, err error) {
	cfg := conf.Default().WithStoreDir(p.Dir)
	cfg.HTTP.Listen, cfg.NATS.Listen = conf.ListenNone, ""
	began, used := time.Now(), processorTime()
	if b, err = broker.Start(ctx, cfg, broker.WithOwnProcess()); err != nil {
		return r, nil, err
	}
	if p.Do == "fill" {
		began, used = time.Now(), processorTime()
		stop, err := startProfile(p.Profile)
		if err != nil {
			return r, nil, err
		}
		err = fill(ctx, b.Service(), p.Basins, p.Streams)
		stop()
		if err != nil {
			return r, nil, err
		}
	}
	r.Seconds, r.Processor = time.Since(began).Seconds(), processorTime()-used
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	r.Allocated = float64(m.TotalAlloc)
	if p.Do == "start" {
		time.Sleep(time.Duration(p.Settle) * time.Second) // the measuring and freeing after a start shall be over
	}
	r.RSS, r.PeakRSS = memoryOf("VmRSS:"), memoryOf("VmHWM:")
	r.Goroutines = runtime.NumGoroutine()
	return r, b, nil
}

// fill creates basins with streams, and appends one record to each stream. The basins come first: a client that waits for a basin, which
// another one is about to create, would measure its own waiting.
func fill(ctx context.Context, svc protocol.Service, basins, streams int) error {
	name := func(i int) protocol.BasinName { return protocol.BasinName(fmt.Sprintf("basin-%06d", i)) }
	config := protocol.EnsureBasinRequest{Config: protocol.BasinConfig{CreateStreamOnAppend: true}}
	input := protocol.AppendInput{Records: []protocol.Record{{Body: bytes.Repeat([]byte("x"), 100)}}}
	create := func(i int) error {
		_, _, err := svc.EnsureBasin(ctx, name(i), config)
		return err
	}
	write := func(i int) error {
		ref := protocol.StreamRef{Basin: name(i / streams), Stream: protocol.StreamName(fmt.Sprintf("s-%07d", i%streams))}
		_, err := svc.Append(ctx, ref, input)
		return err
	}
	if streams == 1 { // each basin by a client of its own, from its creation to the first append
		return workers(ctx, basins, func(i int) error { return errors.Join(create(i), write(i)) })
	}
	if err := workers(ctx, basins, create); err != nil {
		return err
	}
	return workers(ctx, basins*streams, write)
}

// workers does n pieces of work, 512 at a time, until one fails.
func workers(ctx context.Context, n int, do func(i int) error) error {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for range 512 {
		wg.Go(func() {
			for failed.Load() == nil && ctx.Err() == nil {
				i := int(next.Add(1) - 1)
				if i >= n {
					return
				}
				if err := do(i); err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return ctx.Err()
}

// processorTime is how many seconds of the processors this process has taken.
func processorTime() float64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// memoryOf reads a line of the process's status.
func memoryOf(field string) float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb * 1024
		}
	}
	return 0
}

// child runs a phase in a process of its own.
func (p phase) child(ctx context.Context) (r phaseResult, err error) {
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	text, err := json.Marshal(p)
	if err != nil {
		return r, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), phaseVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return r, fmt.Errorf("%s of %d basins with %d streams: %w", p.Do, p.Basins, p.Streams, err)
	}
	return r, json.Unmarshal(out, &r)
}

const (
	kib = 1 << 10
	gib = 1 << 30
)

// manyBasins measures 10,000 basins with one stream each.
func manyBasins(ctx context.Context, e *env) ([]figure, error) {
	n, settle := e.scaled(10_000, 100), e.scaled(settleSecs, 2)
	dir, err := e.newDir("basins")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	empty, err := phase{Do: "start", Dir: filepath.Join(dir, "empty"), Settle: settle}.child(ctx)
	if err != nil {
		return nil, err
	}
	p := phase{Do: "fill", Dir: filepath.Join(dir, "store"), Basins: n, Streams: 1, Settle: settle}
	filled, err := p.child(ctx)
	if err != nil {
		return nil, err
	}
	p.Do = "start"
	started, err := p.child(ctx)
	if err != nil {
		return nil, err
	}
	return []figure{
		figure{Name: fmt.Sprintf("%d basins: created and written", n), Unit: "basins/s", Weir: float64(n) / filled.Seconds}.above(5000),
		figure{Name: "... goroutines", Unit: "", Weir: float64(started.Goroutines)}.below(200),
		figure{Name: "... memory of a basin", Unit: "KiB", Weir: (started.RSS - empty.RSS) / float64(n) / kib}.below(4),
		figure{Name: "... start", Unit: "s", Weir: started.Seconds}.below(2),
	}, nil
}

// millionStreams measures a million streams, in one basin and in a thousand.
func millionStreams(ctx context.Context, e *env) (all []figure, err error) {
	n := e.scaled(1_000_000, 10_000)
	for _, basins := range []int{1, 1000} {
		basins = min(basins, n/10)
		figures, err := streamsIn(ctx, e, basins, n/basins)
		if err != nil {
			return nil, err
		}
		all = append(all, figures...)
	}
	return all, nil
}

func streamsIn(ctx context.Context, e *env, basins, streams int) ([]figure, error) {
	r, err := fillAndStart(ctx, e, basins, streams)
	if err != nil {
		return nil, err
	}
	// The limits are for a million.
	n := float64(basins * streams)
	part := n / 1e6
	return []figure{
		figure{Name: fmt.Sprintf("%.0f streams in %d basins: created and written", n, basins), Unit: "streams/s", Weir: n / r.filled.Seconds}.above(12_000),
		{Name: "... processor time of a stream", Unit: "us", Weir: r.filled.Processor / n * 1e6},
		{Name: "... allocated for a stream", Unit: "KiB", Weir: r.filled.Allocated / n / kib},
		figure{Name: "... peak RSS", Unit: "GiB", Weir: r.filled.PeakRSS / gib}.below(max(0.3, 2*part)),
		figure{Name: "... RSS after a start", Unit: "GiB", Weir: r.clean.RSS / gib}.below(max(0.3, 1.1*part)),
		figure{Name: "... start after a clean stop", Unit: "s", Weir: r.clean.Seconds}.below(max(1, 5*part)),
		figure{Name: "... start after a kill", Unit: "s", Weir: r.killed.Seconds}.below(max(2, 10*part)),
	}, nil
}

// tenMillion measures ten million streams in a thousand basins: whether they fit, and the cost of a stream. It takes half an hour
// and some 20 GB of disk.
func tenMillion(ctx context.Context, e *env) ([]figure, error) {
	const basins = 1000
	n := e.scaled(10_000_000, 100_000)
	r, err := fillAndStart(ctx, e, basins, n/basins)
	if err != nil {
		return nil, err
	}
	all := float64(n)
	return []figure{
		{Name: fmt.Sprintf("%d streams in %d basins: created and written", n, basins), Unit: "streams/s", Weir: all / r.filled.Seconds},
		{Name: "... processor time of a stream", Unit: "us", Weir: r.filled.Processor / all * 1e6},
		{Name: "... stop", Unit: "s", Weir: r.filled.Stop},
		figure{Name: "... peak RSS", Unit: "GiB", Weir: r.filled.PeakRSS / gib}.below(16),
		figure{Name: "... RSS after a start", Unit: "GiB", Weir: r.clean.RSS / gib}.below(16),
		{Name: "... RSS of a stream", Unit: "B", Weir: r.clean.RSS / all},
		{Name: "... peak RSS of a start", Unit: "GiB", Weir: max(r.clean.PeakRSS, r.killed.PeakRSS) / gib},
		{Name: "... start after a clean stop", Unit: "s", Weir: r.clean.Seconds},
		{Name: "... start after a kill", Unit: "s", Weir: r.killed.Seconds},
		{Name: "... on the disk", Unit: "GiB", Weir: r.disk / gib},
		{Name: "... on the disk for a stream", Unit: "B", Weir: r.disk / all},
	}, nil
}

// lives are those of one store: filled, started after a clean stop, and started after a kill.
type lives struct {
	filled, clean, killed phaseResult
	disk                  float64 // bytes
}

func fillAndStart(ctx context.Context, e *env, basins, streams int) (r lives, err error) {
	dir, err := e.newDir("streams")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	p := phase{Do: "fill", Dir: dir, Basins: basins, Streams: streams, Settle: e.scaled(settleSecs, 2), Profile: e.childProfile("fill")}
	if r.filled, err = p.child(ctx); err != nil {
		return r, err
	}
	if r.disk, err = diskOf(dir); err != nil {
		return r, err
	}
	p.Do, p.Kill = "start", true
	if r.clean, err = p.child(ctx); err != nil {
		return r, err
	}
	p.Kill = false
	r.killed, err = p.child(ctx)
	return r, err
}

// diskOf is how many bytes the files of a directory take on the disk.
func diskOf(dir string) (bytes float64, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		var s unix.Stat_t
		if err := unix.Stat(path, &s); err != nil {
			return err
		}
		bytes += float64(s.Blocks) * 512
		return nil
	})
	return bytes, err
}

// deleteBeside measures appends of 64 streams while a basin with 100,000 streams is deleted, against those before it.
func deleteBeside(ctx context.Context, e *env) ([]figure, error) {
	streams := e.scaled(100_000, 5000)
	dir, err := e.newDir("delete")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	b, stop, err := openBroker(ctx, dir, conf.DurabilityGroup, func(c *conf.Config) { c.Logs = conf.Default().Logs })
	if err != nil {
		return nil, err
	}
	defer stop()
	svc := b.Service()
	if err := fill(ctx, svc, 1, streams); err != nil {
		return nil, err
	}
	var appended atomic.Int64
	load, end := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			ref := protocol.StreamRef{Basin: basin, Stream: protocol.StreamName("appender-" + strconv.Itoa(i))}
			input := protocol.AppendInput{Records: []protocol.Record{{Body: make([]byte, 200)}}}
			for load.Err() == nil {
				if _, err := svc.Append(load, ref, input); err == nil {
					appended.Add(1)
				}
			}
		})
	}
	defer wg.Wait()
	defer end()
	rate := func(until func() bool) float64 {
		began, before := time.Now(), appended.Load()
		for !until() && ctx.Err() == nil {
			time.Sleep(20 * time.Millisecond)
		}
		return float64(appended.Load()-before) / time.Since(began).Seconds()
	}
	after := func(d time.Duration) func() bool {
		at := time.Now().Add(d)
		return func() bool { return time.Now().After(at) }
	}
	rate(after(time.Second))
	alone := rate(after(5 * time.Second))
	victim := protocol.BasinName("basin-000000")
	if err := svc.DeleteBasin(ctx, victim); err != nil {
		return nil, err
	}
	began := time.Now()
	beside := rate(func() bool {
		_, err := svc.GetBasinConfig(ctx, victim)
		return protocol.CodeOf(err) == protocol.CodeBasinNotFound
	})
	took := time.Since(began)
	return []figure{
		figure{Name: fmt.Sprintf("append beside the deletion of %d streams", streams), Unit: "appends/s", Weir: beside, Baseline: alone}.atLeast(0.8),
		{Name: "... deletion", Unit: "s", Weir: took.Seconds()},
	}, errors.Join(ctx.Err())
}
