package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/weirstream/weir/protocol"
)

// clusterIdle measures the processor time of each node while nobody asks for anything, with 10,000 basins that have a stream each.
func clusterIdle(ctx context.Context, e *env) ([]figure, error) {
	c, all, end, err := e.servingCluster(ctx, 0)
	if err != nil {
		return nil, err
	}
	defer end()
	empty, err := c.busiest(ctx, idleSpan)
	if err != nil {
		return nil, err
	}
	basins := e.scaled(10_000, 100)
	const makers = 32
	var wg sync.WaitGroup
	failed := make(chan error, makers)
	for m := range makers {
		wg.Go(func() {
			svc := all[m%clusterSize]
			for i := m; i < basins; i += makers {
				ref := protocol.StreamRef{Basin: protocol.BasinName(fmt.Sprintf("idle-basin-%d", i)), Stream: "s"}
				if _, _, err := svc.EnsureBasin(ctx, ref.Basin, protocol.EnsureBasinRequest{Config: protocol.BasinConfig{CreateStreamOnAppend: true}}); err != nil {
					failed <- err
					return
				}
				if _, err := svc.Append(ctx, ref, protocol.AppendInput{Records: batch(1, 200)}); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-failed:
		return nil, err
	default:
	}
	select {
	case <-time.After(idleSettle):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	full, err := c.busiest(ctx, idleSpan)
	if err != nil {
		return nil, err
	}
	return []figure{
		{Name: "cluster of three, no basin, idle: the busiest node", Unit: "% of a core", Weir: empty},
		figure{Name: fmt.Sprintf("cluster of three, %d basins with a stream, idle: the busiest node", basins), Unit: "% of a core", Weir: full}.below(5),
	}, nil
}

const (
	idleSettle = 90 * time.Second // streams that nobody uses are unloaded after a minute
	idleSpan   = 40 * time.Second
)

// busiest is the share of a core that the busiest node uses for a span, in percent.
func (c *cluster) busiest(ctx context.Context, span time.Duration) (most float64, err error) {
	before := make([]time.Duration, len(c.nodes))
	for i, n := range c.nodes {
		if before[i], err = n.processorTime(); err != nil {
			return 0, err
		}
	}
	began := time.Now()
	select {
	case <-time.After(span):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	took := time.Since(began)
	for i, n := range c.nodes {
		now, err := n.processorTime()
		if err != nil {
			return 0, err
		}
		most = max(most, 100*float64(now-before[i])/float64(took))
	}
	return most, nil
}

// processorTime is what the process has used so far.
func (n *node) processorTime() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name of the command may hold spaces
	fields := strings.Fields(rest)
	const user, system, ticks = 11, 12, 100 // the kernel counts in hundredths of a second
	if len(fields) <= system {
		return 0, fmt.Errorf("/proc/%d/stat is short", n.cmd.Process.Pid)
	}
	var sum int64
	for _, f := range []int{user, system} {
		t, err := strconv.ParseInt(fields[f], 10, 64)
		if err != nil {
			return 0, err
		}
		sum += t
	}
	return time.Duration(sum) * time.Second / ticks, nil
}
