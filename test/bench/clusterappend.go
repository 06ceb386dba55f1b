package main

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/protocol"
)

const clusterAppenders = 64

// clusterAppend compares 64 appenders, one record of 200 B at a time, through all three nodes, to as many publishers on three NATS servers
// that sync every write. Either has one log. The servers and their clients are in this process, connections between the servers over TCP.
func clusterAppend(ctx context.Context, e *env) ([]figure, error) {
	span := time.Duration(float64(5*time.Second) * max(0.2, e.scale))
	var figures []figure
	for _, streams := range []int{1, clusterAppenders} {
		weir := func() (float64, error) {
			all, stop, err := e.brokersHere(ctx)
			if err != nil {
				return 0, err
			}
			defer stop()
			return allAtOnce(span, func(i int) (func() error, error) {
				return appender(ctx, all[i%clusterSize].Service(), protocol.StreamName("s"+strconv.Itoa(i%streams)))
			})
		}
		base := func() (float64, error) {
			all, stop, err := e.serversHere(ctx)
			if err != nil {
				return 0, err
			}
			defer stop()
			return publishAll(ctx, all, span, streams)
		}
		w, b, err := e.turns(weir, base)
		if err != nil {
			return nil, err
		}
		figures = append(figures, figure{Name: fmt.Sprintf("cluster of three: %d appenders x %d streams, 200 B, always / raw R3 sync_always", clusterAppenders, streams),
			Unit: "appends/s", Weir: w, Baseline: b}.atLeast(3))
	}
	return figures, nil
}

// clusterAppendTCP is clusterAppend with a process for each server, and one for the clients.
func clusterAppendTCP(ctx context.Context, e *env) ([]figure, error) {
	span := time.Duration(float64(5*time.Second) * max(0.2, e.scale))
	var figures []figure
	for _, streams := range []int{1, clusterAppenders} {
		weir := func() (float64, error) {
			c, err := e.weirCluster(ctx, 1)
			if err != nil {
				return 0, err
			}
			defer c.kill()
			all, stop, err := c.clients(ctx)
			if err != nil {
				return 0, err
			}
			defer stop()
			return allAtOnce(span, func(i int) (func() error, error) {
				return appender(ctx, all[i%clusterSize], protocol.StreamName("s"+strconv.Itoa(i%streams)))
			})
		}
		base := func() (float64, error) {
			c, err := e.natsCluster(ctx)
			if err != nil {
				return 0, err
			}
			defer c.kill()
			var all []*nats.Conn
			for _, n := range c.nodes {
				nc, err := nats.Connect("nats://"+n.nats, nats.IgnoreDiscoveredServers(), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
				if err != nil {
					return 0, err
				}
				defer nc.Close()
				all = append(all, nc)
			}
			return publishAll(ctx, all, span, streams)
		}
		w, b, err := e.turns(weir, base)
		if err != nil {
			return nil, err
		}
		figures = append(figures, figure{Name: fmt.Sprintf("three processes: %d appenders x %d streams, 200 B, always / raw R3 sync_always", clusterAppenders, streams),
			Unit: "appends/s", Weir: w, Baseline: b, Ratio: w / b})
	}
	return figures, nil
}

// publishAll is the baseline: publishers spread over three servers.
func publishAll(ctx context.Context, conns []*nats.Conn, span time.Duration, subjects int) (float64, error) {
	var all []jetstream.JetStream
	for _, nc := range conns {
		js, err := jetstream.New(nc)
		if err != nil {
			return 0, err
		}
		all = append(all, js)
	}
	ready, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		attempt, cancel := context.WithTimeout(ready, 2*time.Second)
		_, err := all[0].CreateStream(attempt, jetstream.StreamConfig{Name: "many", Subjects: []string{"many.>"}, AllowDirect: true, Replicas: clusterSize})
		cancel()
		if err == nil {
			break
		}
		if ready.Err() != nil {
			return 0, err
		}
		time.Sleep(100 * time.Millisecond) // the servers have no leader yet
	}
	body := bytes.Repeat([]byte("x"), 200)
	return allAtOnce(span, func(i int) (func() error, error) {
		op := func() error {
			_, err := all[i%clusterSize].Publish(ctx, "many."+strconv.Itoa(i%subjects), body)
			return err
		}
		return op, op()
	})
}

// allAtOnce is together, where the workers are made before.
func allAtOnce(span time.Duration, worker func(i int) (func() error, error)) (float64, error) {
	var ops [clusterAppenders]func() error
	for i := range ops {
		var err error
		if ops[i], err = worker(i); err != nil {
			return 0, err
		}
	}
	return together(span, clusterAppenders, func(i int) (func() error, error) { return ops[i], nil })
}

// appender appends a record of 200 B to a stream, which exists then.
func appender(ctx context.Context, svc protocol.Service, stream protocol.StreamName) (func() error, error) {
	ref := protocol.StreamRef{Basin: basin, Stream: stream}
	in := protocol.AppendInput{Records: batch(1, 200)}
	op := func() error { _, err := svc.Append(ctx, ref, in); return err }
	return op, op()
}

// clusterForward compares appends through a node that does not own the log to those through its owner: one at a time, and 64 at once.
func clusterForward(ctx context.Context, e *env) ([]figure, error) {
	c, all, end, err := e.servingCluster(ctx, 1)
	if err != nil {
		return nil, err
	}
	defer end()
	if _, err := appender(ctx, all[0], "one"); err != nil {
		return nil, err
	}
	owner, err := c.owner(ctx, all[0])
	if err != nil {
		return nil, err
	}
	through := []int{owner, (owner + 1) % clusterSize}

	var took [2][]time.Duration
	var ops [2]func() error
	for k, node := range through {
		if ops[k], err = appender(ctx, all[node], "one"); err != nil {
			return nil, err
		}
	}
	for range e.scaled(2000, 200) {
		for k, op := range ops {
			began := time.Now()
			if err := op(); err != nil {
				return nil, err
			}
			took[k] = append(took[k], time.Since(began))
		}
	}
	span := time.Duration(float64(3*time.Second) * max(0.2, e.scale))
	var rates [2][]float64
	for range e.rounds {
		for k, node := range through {
			rate, err := allAtOnce(span, func(i int) (func() error, error) {
				return appender(ctx, all[node], protocol.StreamName("s"+strconv.Itoa(i)))
			})
			if err != nil {
				return nil, err
			}
			rates[k] = append(rates[k], rate)
		}
	}
	now, err := c.owner(ctx, all[0])
	if err != nil {
		return nil, err
	}
	if now != owner {
		return nil, fmt.Errorf("the owner changed from node %d to node %d meanwhile", owner, now)
	}
	own, other := quantile(took[0], 0.5), quantile(took[1], 0.5)
	return []figure{
		{Name: "append of 200 B, always, through another node / through the owner, median", Unit: "us", Weir: other, Baseline: own, Ratio: other / own},
		figure{Name: "... the difference", Unit: "us", Weir: other - own}.below(500),
		figure{Name: "64 appenders x 64 streams, 200 B, always, through another node / through the owner", Unit: "appends/s",
			Weir: median(rates[1]), Baseline: median(rates[0])}.atLeast(0.7),
	}, nil
}

// clusterFollow compares the time from an append to a follower on another node to that to a follower on the owner; one record at a time.
func clusterFollow(ctx context.Context, e *env) ([]figure, error) {
	c, all, end, err := e.servingCluster(ctx, 1)
	if err != nil {
		return nil, err
	}
	defer end()
	if _, err := appender(ctx, all[0], "follow"); err != nil {
		return nil, err
	}
	owner, err := c.owner(ctx, all[0])
	if err != nil {
		return nil, err
	}
	op, err := appender(ctx, all[owner], "follow")
	if err != nil {
		return nil, err
	}
	var got [2]chan time.Time
	for k, node := range []int{owner, (owner + 1) % clusterSize} {
		s, err := all[node].OpenReadSession(ctx, protocol.StreamRef{Basin: basin, Stream: "follow"}, protocol.ReadRequest{Start: protocol.FromTail(0)})
		if err != nil {
			return nil, err
		}
		defer s.Close()
		got[k] = make(chan time.Time, 16)
		go func() {
			for {
				b, err := s.Next(ctx)
				if err != nil {
					close(got[k])
					return
				}
				if b.Records.Len() > 0 {
					got[k] <- time.Now()
				}
			}
		}()
	}
	var took [2][]time.Duration
	failed := make(chan error, 1)
	for i := range e.scaled(2000, 200) {
		began := time.Now()
		go func() { failed <- op() }()
		for k := range got {
			at, ok := <-got[k]
			if !ok {
				return nil, fmt.Errorf("a follower ended")
			}
			if i > 0 {
				took[k] = append(took[k], at.Sub(began))
			}
		}
		if err := <-failed; err != nil {
			return nil, err
		}
	}
	return []figure{figure{Name: "append to follower on another node / on the owner, always, median", Unit: "us",
		Weir: quantile(took[1], 0.5), Baseline: quantile(took[0], 0.5)}.atMost(2)}, nil
}
