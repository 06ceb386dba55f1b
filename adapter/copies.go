package adapter

import (
	"context"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Copies says where the copies of JetStream streams are.
type Copies struct {
	On       int    // streams that have a copy on the node in question, or are to have one
	Missing  int    // streams of which a copy is missing or behind, or whose copies are being moved
	Waits    string // the reason why one of these waits, in JetStream's words
	Headless int    // those of Missing that have no leader, and so perhaps no copy any more
	// Stranded are the streams without a leader that have a copy on the node in question, perhaps the only whole one.
	Stranded []string
}

// listTime bounds one look at all streams. JetStream does not answer while it elects a leader.
const listTime = 5 * time.Second

// Copies looks for the copies of the storage on a node, and for streams that have not all copies that nodes many can have.
func (a *Adapter) Copies(ctx context.Context, node string, nodes int) (Copies, error) {
	return CopiesIn(ctx, a.js, node, nodes)
}

// CopiesIn is [Adapter.Copies] for the streams of an account.
func CopiesIn(ctx context.Context, js jetstream.JetStream, node string, nodes int) (c Copies, err error) {
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	missing := map[string]bool{} // streams without a leader are not listed
	names := js.StreamNames(ctx)
	for name := range names.Name() {
		missing[name] = true
	}
	if err := names.Err(); err != nil {
		return c, err
	}
	list := js.ListStreams(ctx)
	for s := range list.Info() {
		delete(missing, s.Config.Name)
		on, whole := copiesOf(s, node, nodes)
		if on {
			c.On++
		}
		if strandedOn(s, node) {
			c.Stranded = append(c.Stranded, s.Config.Name)
		}
		if !whole {
			c.Missing++
			if d := s.Cluster; d != nil && d.Desired != nil && d.Desired.Status != nil {
				c.Waits = d.Desired.Status.Description
			}
		}
	}
	if err := list.Err(); err != nil {
		return c, err
	}
	if len(missing) > 0 {
		c.Headless = len(missing)
		c.Missing += len(missing)
		c.Waits = "electing a leader"
	}
	return c, nil
}

// copiesOf reports whether a stream has, or is to have, a copy on a node, and whether all copies that nodes many can have are in place.
func copiesOf(s *jetstream.StreamInfo, node string, nodes int) (on, whole bool) {
	if s.Cluster == nil || s.Cluster.Leader == "" {
		return false, false
	}
	on, whole = s.Cluster.Leader == node, s.Cluster.Desired == nil && 1+len(s.Cluster.Replicas) >= min(s.Config.Replicas, nodes)
	for _, r := range s.Cluster.Replicas {
		on = on || r.Name == node
		whole = whole && r.Current && !r.Offline
	}
	if d := s.Cluster.Desired; d != nil {
		on = on || slices.ContainsFunc(d.Replicas, func(r *jetstream.DesiredPeerInfo) bool { return r.Name == node })
	}
	return on, whole
}

// strandedOn reports whether a stream that has no leader has a copy on a node.
func strandedOn(s *jetstream.StreamInfo, node string) bool {
	return s.Cluster != nil && s.Cluster.Leader == "" && slices.ContainsFunc(s.Cluster.Replicas, func(r *jetstream.PeerInfo) bool { return r.Name == node })
}

// ForgetNode removes the records of a node that has stopped for good. What it owned goes to others.
func (a *Adapter) ForgetNode(ctx context.Context, node string) error {
	if a.registry == nil {
		return errNoCluster
	}
	return a.registry.ForgetNode(ctx, node)
}
