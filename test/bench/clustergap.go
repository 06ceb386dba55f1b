package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/protocol"
)

// clusterGap measures the longest time that an appender waits for an ack when a node is drained, stops in order, comes back, and is killed; 12
// appenders, which know all nodes, wait 2 s for an answer, and try again after a failure.
func clusterGap(ctx context.Context, e *env) ([]figure, error) {
	c, all, end, err := e.servingCluster(ctx, 0)
	if err != nil {
		return nil, err
	}
	defer end()
	var drained, stopped, returned, killed gap
	for range e.rounds {
		for i, n := range c.nodes {
			operator := all[(i+1)%clusterSize]
			g, err := c.gapWhile(ctx, func() error {
				if err := operator.DrainNode(ctx, protocol.DrainNodeRequest{Node: n.name}); err != nil {
					return err
				}
				time.Sleep(2 * time.Second)
				return operator.DrainNode(ctx, protocol.DrainNodeRequest{Node: n.name, Undo: true})
			})
			if err != nil {
				return nil, err
			}
			drained.add(g)
			for signal, sum := range map[syscall.Signal]*gap{syscall.SIGTERM: &stopped, syscall.SIGKILL: &killed} {
				if err := operator.BalanceCluster(ctx); err != nil {
					return nil, err
				}
				time.Sleep(time.Second)
				g, err := c.gapWhile(ctx, func() error {
					n.end(signal)
					time.Sleep(5 * time.Second)
					return nil
				})
				if err != nil {
					return nil, err
				}
				sum.add(g)
				g, err = c.gapWhile(ctx, func() error {
					if err := n.start(); err != nil {
						return err
					}
					return c.awaitHealth(ctx)
				})
				if err != nil {
					return nil, err
				}
				returned.add(g)
			}
		}
	}
	return []figure{
		figure{Name: "longest wait for an ack when a node is drained", Unit: "ms", Weir: drained.longest}.below(500),
		figure{Name: "... failed appends", Unit: "", Weir: drained.failed}.below(1),
		figure{Name: "longest wait for an ack when a node stops in order", Unit: "ms", Weir: stopped.longest}.below(500),
		figure{Name: "... failed appends", Unit: "", Weir: stopped.failed}.below(1),
		figure{Name: "longest wait for an ack when a node comes back", Unit: "ms", Weir: returned.longest}.below(500),
		figure{Name: "... failed appends", Unit: "", Weir: returned.failed}.below(1),
		figure{Name: "longest wait for an ack when a node is killed", Unit: "ms", Weir: killed.longest}.below(4000),
	}, nil
}

type gap struct{ longest, failed float64 }

func (g *gap) add(more gap) {
	g.longest, g.failed = max(g.longest, more.longest), g.failed+more.failed
}

// gapWhile runs appenders while something is done, and a few seconds more.
func (c *cluster) gapWhile(ctx context.Context, do func() error) (g gap, err error) {
	const appenders = 12
	var (
		wg      sync.WaitGroup
		end     atomic.Bool
		longest [appenders]time.Duration
		failed  [appenders]int
	)
	for i := range appenders {
		var urls []string // the nodes, beginning with another one each
		for k := range clusterSize {
			urls = append(urls, "nats://"+c.nodes[(i+k)%clusterSize].nats)
		}
		nc, err := nats.Connect(strings.Join(urls, ","), nats.Token(clusterSecret), nats.DontRandomize(), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond), nats.PingInterval(time.Second))
		if err != nil {
			return g, err
		}
		defer nc.Close()
		svc := client.New(nc, client.Options{Timeout: 2 * time.Second})
		in := protocol.AppendInput{Records: batch(1, 200)}
		ref := protocol.StreamRef{Basin: basin, Stream: protocol.StreamName("gap-" + strconv.Itoa(i))}
		if _, err := svc.Append(ctx, ref, in); err != nil {
			return g, err
		}
		wg.Go(func() {
			for last := time.Now(); !end.Load(); {
				_, err := svc.Append(ctx, ref, in)
				longest[i] = max(longest[i], time.Since(last))
				if err != nil {
					failed[i]++
				} else {
					last = time.Now()
				}
			}
		})
	}
	time.Sleep(time.Second)
	err = do()
	time.Sleep(3 * time.Second)
	end.Store(true)
	wg.Wait()
	for i := range appenders {
		g.add(gap{float64(longest[i].Microseconds()) / 1e3, float64(failed[i])})
	}
	if err != nil {
		return g, fmt.Errorf("the fault: %w", err)
	}
	return g, ctx.Err()
}
