package test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/test/conformance"
	"github.com/weirstream/weir/test/linear"
)

var seed = flag.Uint64("seed", 0, "seed of the random histories; 0 picks one")

// Every history stays below the 1000 records that one read returns, so that each read sees the whole stream.
const (
	histClients = 8
	histOps     = 60 // each client's
	histRounds  = 4
)

// TestLinearizability lets concurrent clients append under conditions and as producers, fence, close, check the tail, read and fork
// one stream, and searches for one order of all operations that explains every answer.
func TestLinearizability(t *testing.T) {
	start := *seed
	if start == 0 {
		start = rand.Uint64()
	}
	for _, door := range doors {
		t.Run(door.Name, func(t *testing.T) {
			svc := door.Open(t, conformance.RealClock)
			undecided := 0
			for round := range uint64(histRounds) {
				t.Logf("round %d: repeat with -seed %d", round, start+round)
				history := record(t, svc, start+round, fmt.Sprintf("history-%d", round))
				switch result, _ := porcupine.CheckOperationsVerbose(linear.Model, history, time.Minute); result {
				case porcupine.Ok:
				case porcupine.Unknown: // the search is long for some histories, and on a machine that is busy
					t.Logf("seed %d: %d operations are not decided within a minute", start+round, len(history))
					undecided++
				default:
					t.Fatalf("seed %d: %d operations are not linearizable: %s", start+round, len(history), result)
				}
			}
			if undecided == histRounds {
				t.Error("no history was decided")
			}
		})
	}
}

// record runs clients against a fresh stream and returns what they asked and were told, and when.
func record(t *testing.T, svc protocol.Service, seed uint64, name string) []porcupine.Operation {
	t.Helper()
	ref := protocol.StreamRef{
		Basin: protocol.BasinName(fmt.Sprintf("linear-%016x", seed)), Stream: protocol.StreamName(name)}
	if _, _, err := svc.CreateBasin(t.Context(), protocol.CreateBasinRequest{Basin: ref.Basin}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := svc.CreateStream(t.Context(), ref.Basin, protocol.CreateStreamRequest{Stream: ref.Stream}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	began := time.Now()
	histories := make([][]porcupine.Operation, histClients)
	var wg sync.WaitGroup
	for id := range histClients {
		wg.Go(func() {
			c := linear.Client{Ref: ref, ID: uint64(id), Rng: rand.New(rand.NewPCG(seed, uint64(id))), Closes: histOps * 2 / 3, Produces: true, Forks: svc}
			for i := range histOps {
				op := c.Choose(uint64(i))
				call := time.Since(began)
				answer, err := c.Do(ctx, svc, op)
				if err != nil {
					t.Errorf("seed %d: client %d: %+v: %v", seed, id, op, err)
					return
				}
				histories[id] = append(histories[id], porcupine.Operation{ClientId: id, Input: op, Output: answer,
					Call: int64(call), Return: int64(time.Since(began))})
			}
		})
	}
	wg.Wait()
	var all []porcupine.Operation
	for _, h := range histories {
		all = append(all, h...)
	}
	return all
}
