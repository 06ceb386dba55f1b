package lease

import (
	"cmp"
	"slices"
	"time"
)

// NodeStatus is what is known of a node.
type NodeStatus struct {
	Node        string
	Incarnation string
	State       State
	Draining    bool
	Self        bool
	Age         time.Duration // since its record has changed, as this node has seen it
	Info
}

// Claim is the owner of a log.
type Claim struct {
	Log string
	Owner
	Sure bool // it is this node and sure of it
}

// Status is what a node knows of itself.
type Status struct {
	Sure      bool          // of its lease
	Draining  bool          // it takes no logs that others can take
	LeaseAge  time.Duration // since the newest renewal that was stored was sent
	Held      int           // logs that it owns
	TakeOvers uint64        // logs that it has taken from nodes that had ended, or given to others then
}

// Nodes returns the nodes that have a record, by name.
func (r *Registry) Nodes() []NodeStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	nodes := make([]NodeStatus, 0, len(r.m.nodes))
	for name, n := range r.m.nodes {
		if n.rec.Incarnation != "" {
			nodes = append(nodes, NodeStatus{name, n.rec.Incarnation, n.rec.State, n.rec.Draining, name == r.config.Node, now - n.seen, n.rec.Info})
		}
	}
	slices.SortFunc(nodes, func(a, b NodeStatus) int { return cmp.Compare(a.Node, b.Node) })
	return nodes
}

// Claims returns the owners of the logs that have one, by log.
func (r *Registry) Claims() []Claim {
	r.mu.Lock()
	defer r.mu.Unlock()
	claims := make([]Claim, 0, len(r.m.claims))
	for log, c := range r.m.claims {
		if !c.absent {
			claims = append(claims, Claim{log, r.m.ownerOf(c), r.Sure(log, c.rec.Epoch)})
		}
	}
	slices.SortFunc(claims, func(a, b Claim) int { return cmp.Compare(a.Log, b.Log) })
	return claims
}

// Held returns the logs that this node owns, by name.
func (r *Registry) Held() (logs []string) {
	for _, c := range r.Claims() {
		if c.Mine {
			logs = append(logs, c.Log)
		}
	}
	return logs
}

// Status returns what this node knows of itself.
func (r *Registry) Status() Status {
	held := len(r.Held())
	r.mu.Lock()
	defer r.mu.Unlock()
	return Status{Sure: r.SureOfLease(), Draining: r.m.drains, LeaseAge: r.LeaseAge(), Held: held, TakeOvers: r.takeOvers}
}

// LeaseAge is how long ago the newest renewal that was stored was sent, or before the first how long ago the registry was opened. It takes no lock.
func (r *Registry) LeaseAge() time.Duration { return r.now() - moment(r.m.renewed.Load()) }
