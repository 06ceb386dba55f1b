package broker

import (
	"context"
	"log/slog"
	"time"
)

// handOver prepares the stop of a node of a cluster that goes on: its logs go to the others while it serves everything, as for an operator's drain, and
// then its clients do. So none of their requests fails. Where no other node could serve them it returns at once.
func (b *Broker) handOver(ctx context.Context) {
	if b.cfg.LameDuck <= 0 || b.ad == nil || b.http == nil || b.storeDead() || !b.ad.OthersServe() {
		return
	}
	began := time.Now()
	// The doors need their part of the time as well.
	giving, cancel := context.WithTimeout(ctx, handOverPart(ctx))
	defer cancel()
	b.ad.HandOver(giving)
	given := time.Since(began)
	b.http.leave()
	b.doors.Leave(giving)
	b.awaitClients(ctx)
	b.log.Info("the node has given its logs to the others and told its clients to leave", slog.Duration("logs", given), slog.Duration("took", time.Since(began)))
}

// handOverPart is half of the time that the stop has.
func handOverPart(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return minDrain
	}
	return time.Until(deadline) / 2
}

// awaitClients returns when no client is connected any more, at the latest after leaveTime. What they had sent before arrives meanwhile.
func (b *Broker) awaitClients(ctx context.Context) {
	const step = 20 * time.Millisecond
	t := time.NewTicker(step)
	defer t.Stop()
	over := time.NewTimer(moment(ctx, time.Now()))
	defer over.Stop()
	for clients := 1; clients > 0; {
		select {
		case <-t.C:
			clients = b.http.connections() + b.doors.Remaining()
		case <-over.C:
			return
		case <-ctx.Done():
			return
		}
	}
}
