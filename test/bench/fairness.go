package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// fairness measures the latency of a basin with few appends while another one in the same log appends as fast as it can,
// against its latency alone.
func fairness(ctx context.Context, e *env) ([]figure, error) {
	dir, err := e.newDir("fairness")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	b, stop, err := openBroker(ctx, dir, conf.DurabilityGroup)
	if err != nil {
		return nil, err
	}
	defer stop()
	svc := b.Service()
	const quiet protocol.BasinName = "quiet-basin"
	_, _, err = svc.EnsureBasin(ctx, quiet, protocol.EnsureBasinRequest{Config: protocol.BasinConfig{CreateStreamOnAppend: true}})
	if err != nil {
		return nil, err
	}
	p99 := func() (float64, error) {
		ref := protocol.StreamRef{Basin: quiet, Stream: "s"}
		input := protocol.AppendInput{Records: []protocol.Record{{Body: make([]byte, 200)}}}
		var all []float64
		until := time.Now().Add(10 * time.Second)
		for range e.scaled(3000, 300) {
			if time.Now().After(until) {
				break
			}
			began := time.Now()
			if _, err := svc.Append(ctx, ref, input); err != nil {
				return 0, err
			}
			all = append(all, time.Since(began).Seconds()*1000)
			time.Sleep(time.Millisecond)
		}
		slices.Sort(all)
		return all[len(all)*99/100], nil
	}
	alone, err := p99()
	if err != nil {
		return nil, err
	}
	var figures []figure
	for _, load := range []struct {
		name                     string
		streams, records, record int
		window                   int
	}{{"small appends", 64, 1, 100, 64}, {"large batches", 16, 1000, 1000, 8}} {
		busy, end := context.WithCancel(ctx)
		var wg sync.WaitGroup
		for i := range load.streams {
			s, err := svc.OpenAppendSession(busy, protocol.StreamRef{Basin: basin, Stream: protocol.StreamName(load.name + strconv.Itoa(i))})
			if err != nil {
				end()
				return nil, err
			}
			input := protocol.AppendInput{}
			for range load.records {
				input.Records = append(input.Records, protocol.Record{Body: make([]byte, load.record)})
			}
			wg.Go(func() {
				for s.Submit(busy, input) == nil {
				}
			})
			wg.Go(func() {
				defer s.Close()
				for {
					if _, err := s.Recv(busy); err != nil {
						return
					}
				}
			})
		}
		time.Sleep(time.Second)
		beside, err := p99()
		end()
		wg.Wait()
		if err != nil {
			return nil, err
		}
		figures = append(figures, figure{Name: fmt.Sprintf("p99 beside a basin with %s", load.name), Unit: "ms", Weir: beside, Baseline: alone}.atMost(3))
	}
	return figures, nil
}
