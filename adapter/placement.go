package adapter

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/adapter/layout"
)

// LogPlacement says which servers of a cluster hold a log that basins share.
type LogPlacement struct {
	// Log is the name of its JetStream stream.
	Log string
	// Leader is the server that takes its appends; "" while none is elected.
	Leader string
	// Copies are those of the other servers, by their names.
	Copies []LogCopy
}

// LogCopy is the copy of a log at a server that does not lead it, as the leader sees it.
type LogCopy struct {
	Server string
	// Current says that the copy has everything that is acknowledged; Lag is how many writes it is behind.
	Current bool
	Lag     uint64
	// Offline says that the leader has heard nothing of the server lately.
	Offline bool
}

// LogPlacements lists where the logs are that basins share, by their names; none where JetStream runs on one server. The
// leaders are asked: a log whose leader does not answer is missing.
func (a *Adapter) LogPlacements(ctx context.Context) ([]LogPlacement, error) {
	var placements []LogPlacement
	list := a.js.ListStreams(ctx, jetstream.WithStreamListSubject(a.opts.Prefix+".log.>"))
	for s := range list.Info() {
		if id, ok := layout.ParseLog(a.opts.Prefix, s.Config.Name); !ok || id.Owner != "" || s.Cluster == nil || s.Cluster.Name == "" {
			continue
		}
		p := LogPlacement{Log: s.Config.Name, Leader: s.Cluster.Leader}
		for _, c := range s.Cluster.Replicas {
			p.Copies = append(p.Copies, LogCopy{Server: c.Name, Current: c.Current, Lag: c.Lag, Offline: c.Offline})
		}
		slices.SortFunc(p.Copies, func(a, b LogCopy) int { return strings.Compare(a.Server, b.Server) })
		placements = append(placements, p)
	}
	if err := list.Err(); err != nil {
		return nil, fmt.Errorf("list the logs: %w", err)
	}
	slices.SortFunc(placements, func(a, b LogPlacement) int { return strings.Compare(a.Log, b.Log) })
	return placements, nil
}
