package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/protocol"
)

const (
	workBasin  protocol.BasinName = "crash-working"
	namesBasin protocol.BasinName = "crash-naming"

	names      = 5
	namespaces = 8 // all of them share two logs

	// load is how long clients work in a round, at most and roughly.
	load = 1200 * time.Millisecond
	// roundsPerStore bounds how large a store, and so a verification, becomes in a long run.
	roundsPerStore = 8
)

// TestCrash kills brokers under load and verifies what they promised; see the package.
func TestCrash(t *testing.T) {
	rounds := setting(t, "WEIR_CRASH_ROUNDS", 3)
	if testing.Short() {
		rounds = min(rounds, 2)
	}
	seed := setting(t, "WEIR_CRASH_SEED", rand.Uint64())
	t.Logf("repeat with WEIR_CRASH_SEED=%d WEIR_CRASH_ROUNDS=%d", seed, rounds)
	for part := uint64(0); rounds > 0; part++ {
		n := min(rounds, roundsPerStore)
		rounds -= n
		t.Run(fmt.Sprintf("store %d", part), func(t *testing.T) {
			runEpisode(t, seed, part, int(n))
		})
		if t.Failed() {
			return
		}
	}
}

func setting(t *testing.T, key string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(key)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s=%q: want a number", key, text)
	}
	return n
}

// An episode is one store from its first start to its last kill.
type episode struct {
	t       *testing.T
	story   string // seed and round, for failures
	rnd     *rand.Rand
	machine *machine

	models     map[string][]*model // by role
	names      []*name
	namespaces []*namespace
	mortals    []*mortal
	followers  map[*model]*follower

	producersMu sync.Mutex
	producers   map[*model]map[int]*producing // by stream and client
}

func runEpisode(t *testing.T, seed, part uint64, rounds int) {
	e := &episode{t: t, rnd: rand.New(rand.NewPCG(seed, part)), machine: newMachine(t, t.TempDir()),
		models: map[string][]*model{}, followers: map[*model]*follower{}}
	e.story = fmt.Sprintf("seed %d, store %d, before the first round", seed, part)
	e.machine.start()
	defer e.prepare()()
	for i := range rounds {
		e.story = fmt.Sprintf("seed %d, store %d, round %d", seed, part, i)
		e.run()
		if i == rounds-1 {
			e.checkChunks() // as the kill left them
		}
		e.restart()
		e.verify()
	}
	// At rest, every stream's newest chunk must say what the broker said.
	e.machine.kill()
	e.compareChunks()
	// A start removes what JetStream has brought back of deleted streams, and an orderly stop leaves it so.
	e.machine.start()
	e.machine.stop()
	if left := e.checkChunks().left; len(left) > 0 {
		e.failf("in the store that an orderly stop left: chunks without a stream in the catalog: %s", strings.Join(left, "; "))
	}
}

// failf fails the test with the whole story.
func (e *episode) failf(format string, args ...any) {
	e.t.Helper()
	e.t.Fatalf(e.story+": "+format, args...)
}

// prepare makes what all rounds work on, and starts the followers.
func (e *episode) prepare() (stop func()) {
	nc := e.machine.connect(true)
	svc := client.New(nc, client.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	stop = func() {
		cancel()
		for _, f := range e.followers {
			<-f.done
		}
		nc.Close()
	}
	for basin, config := range map[protocol.BasinName]protocol.BasinConfig{
		workBasin: {CreateStreamOnAppend: true, CreateStreamOnRead: true}, namesBasin: {}, mortalBasin: {},
	} {
		if _, _, err := svc.CreateBasin(ctx, protocol.CreateBasinRequest{Basin: basin, Config: config}); err != nil {
			e.failf("create basin: %v", err)
		}
	}
	for _, role := range roles {
		for i := range role.streams {
			m := newModel(protocol.StreamRef{Basin: workBasin, Stream: protocol.StreamName(fmt.Sprintf("%s/%d", role.name, i))})
			e.models[role.name] = append(e.models[role.name], m)
			if !role.follow || i > 1 {
				continue
			}
			f, err := follow(ctx, svc, m)
			if err != nil {
				e.failf("%v", err)
			}
			e.followers[m] = f
		}
	}
	for i := range names {
		e.names = append(e.names, &name{ref: protocol.StreamRef{Basin: namesBasin, Stream: protocol.StreamName(fmt.Sprintf("name.%d", i))}})
	}
	for i := range namespaces {
		e.namespaces = append(e.namespaces, newNamespace(protocol.BasinName(fmt.Sprintf("crash-space-%d", i))))
	}
	for i := range mortals {
		e.mortals = append(e.mortals, &mortal{ref: protocol.StreamRef{Basin: mortalBasin, Stream: protocol.StreamName(fmt.Sprintf("mortal/%d", i))}})
	}
	return stop
}

// run lets clients work until the broker is killed. One round in six it is stopped in order instead, so that restarts meet
// what a clean stop leaves too.
func (e *episode) run() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	svcs, closeAll := e.services()
	r := &round{e: e, ctx: ctx, svcs: svcs, fuse: newFuse(e.rnd, load)}
	clean := e.rnd.IntN(6) == 0
	e.story += fmt.Sprintf(", killed at %s + %s", r.fuse.at, r.fuse.after)
	var clients sync.WaitGroup
	launched := 0
	launch := func(work func(svc protocol.Service, rnd *rand.Rand)) {
		svc, rnd := svcs[launched%len(svcs)], rand.New(rand.NewPCG(e.rnd.Uint64(), 0))
		launched++
		clients.Go(func() { work(svc, rnd) })
	}
	for _, role := range roles {
		for _, m := range e.models[role.name] {
			for i := range role.clients {
				launch(func(svc protocol.Service, rnd *rand.Rand) { role.work(r, svc, m, rnd, i) })
			}
		}
	}
	for _, n := range e.names {
		launch(func(svc protocol.Service, rnd *rand.Rand) {
			for n.step(r, svc, rnd) {
			}
		})
	}
	for _, ns := range e.namespaces {
		launch(func(svc protocol.Service, rnd *rand.Rand) {
			for ns.step(r, svc, rnd) {
			}
		})
	}
	for _, n := range e.mortals {
		launch(func(svc protocol.Service, rnd *rand.Rand) {
			for n.step(r, svc, rnd) {
			}
		})
	}
	died := e.machine.proc.gone
	lit := make(chan struct{})
	go func() {
		r.fuse.wait()
		close(lit)
	}()
	select {
	case <-died:
		e.failf("the broker stopped unexpectedly: %v", e.machine.proc.err)
	case <-lit:
	}
	if clean {
		e.story += " (stopped in order instead)"
		e.machine.stop()
	} else {
		e.machine.kill()
	}
	cancel()
	clients.Wait()
	closeAll()
	if r.bad != nil {
		e.failf("while the broker ran: %v", r.bad)
	}
}

// restart starts the broker again, now and then after attempts that are killed while they recover.
func (e *episode) restart() {
	for range e.rnd.IntN(3) {
		d := time.Duration(e.rnd.Int64N(int64(e.machine.took + e.machine.took/4)))
		e.story += fmt.Sprintf(", killed %s into a start", d.Round(time.Millisecond))
		e.machine.killAtStart(d)
	}
	if err := e.machine.tryStart(); err != nil {
		e.failf("%v", err)
	}
}

// verify compares everything with the models.
func (e *episode) verify() {
	svcs, closeAll := e.services()
	defer closeAll()
	ctx := e.t.Context()
	var checks []func(svc protocol.Service) error
	for _, role := range roles {
		for _, m := range e.models[role.name] {
			checks = append(checks, func(svc protocol.Service) error { return e.verifyStream(ctx, svc, m) })
		}
	}
	for _, n := range e.names {
		checks = append(checks, func(svc protocol.Service) error { return n.verify(ctx, svc) })
	}
	for _, ns := range e.namespaces {
		checks = append(checks, func(svc protocol.Service) error { return ns.verify(ctx, svc) })
	}
	for _, n := range e.mortals {
		checks = append(checks, func(svc protocol.Service) error { return n.verify(ctx, svc) })
	}
	if err := atOnce(svcs, checks); err != nil {
		e.failf("after the restart: %v", err)
	}
	if err := verifyList(ctx, svcs[0], namesBasin, e.names); err != nil {
		e.failf("after the restart: %v", err)
	}
}

func (e *episode) verifyStream(ctx context.Context, svc protocol.Service, m *model) error {
	o, err := observe(ctx, svc, m.ref)
	if err == nil {
		err = m.verify(o)
	}
	if f := e.followers[m]; err == nil && f != nil {
		err = f.verify(ctx, o)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", m.ref, err)
	}
	return nil
}

// atOnce runs checks, as many at once as there are clients.
func atOnce(svcs []protocol.Service, checks []func(protocol.Service) error) error {
	todo := make(chan func(protocol.Service) error, len(checks))
	for _, c := range checks {
		todo <- c
	}
	close(todo)
	errs := make([]error, len(svcs))
	var all sync.WaitGroup
	for i, svc := range svcs {
		all.Go(func() {
			for check := range todo {
				errs[i] = errors.Join(errs[i], check(svc))
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}
