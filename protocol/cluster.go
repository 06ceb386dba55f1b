package protocol

import "context"

// ClusterService shows and moves the owners of the logs, where several brokers share a store (docs/operations.md). It is for the account's owner alone.
// Where a broker has its store alone, all calls fail with code invalid.
type ClusterService interface {
	// Cluster returns the nodes and the owners of the logs, as the node that answers knows them. Codes: invalid.
	Cluster(ctx context.Context) (ClusterInfo, error)
	// DrainNode asks a node to give its logs to the others and to take none, or with Undo to take some again. It returns when the node is asked. A node that
	// starts again does not drain any more. Codes: invalid, if there is no such live node; unavailable.
	DrainNode(ctx context.Context, req DrainNodeRequest) error
	// BalanceCluster asks all nodes to give the logs away that other nodes should own. It returns when they are asked. Codes: invalid, unavailable.
	BalanceCluster(ctx context.Context) error
	// RemoveNode takes a node out of the cluster for good. It does the next step and returns what is left to do: call it again until it is done, on any
	// node. Codes: invalid, if the node is alive and does not drain, if it has ended otherwise than in order, or if fewer nodes than copies would be
	// left (see Force); unavailable; not_implemented, where the NATS servers are not weir's own.
	RemoveNode(ctx context.Context, req RemoveNodeRequest) (RemoveNodeProgress, error)
}

// ClusterInfo is a cluster as one of its nodes knows it.
type ClusterInfo struct {
	Node  string        `json:"node"`  // the one that answers
	Nodes []ClusterNode `json:"nodes"` // ascending by name
	Logs  []ClusterLog  `json:"logs"`  // ascending by name
}

// ClusterNode is a node of a cluster.
type ClusterNode struct {
	Name string `json:"name"` // unique among the nodes
	// State is "live"; "joining", for some seconds after it was killed and started; "dead", when the others have missed its sign of life; or "left".
	State     string            `json:"state"`
	Draining  bool              `json:"draining,omitempty"`
	Version   string            `json:"version,omitempty"`
	Addresses map[string]string `json:"addresses,omitempty"` // by kind, such as "http"
	// LeaseAge is how long ago its newest sign of life was seen, in milliseconds.
	LeaseAge int64 `json:"lease_age_ms"`
	Logs     int   `json:"logs"` // how many it owns
}

// ClusterLog is a log with its owner.
type ClusterLog struct {
	Name string `json:"name"` // of the JetStream stream
	// Owner is the node that orders its appends, Epoch how often that has changed. "" and 0: the log was not used yet.
	Owner string `json:"owner,omitempty"`
	Epoch uint64 `json:"epoch,omitempty"`
	// Desired is the node that should own it, as far as the node knows that answers: a balance gives the log to it. "": there is no owner.
	Desired string `json:"desired,omitempty"`
	// Leader is the NATS server that leads its copies; "": none does, or it is not known.
	Leader string `json:"leader,omitempty"`
}

// DrainNodeRequest names a node that is to drain.
type DrainNodeRequest struct {
	Node string `json:"node"`           // its name
	Undo bool   `json:"undo,omitempty"` // it is not to drain any more
}

// RemoveNodeRequest names a node that is to leave the cluster for good.
type RemoveNodeRequest struct {
	Node string `json:"node"` // its name
	// Force removes a node that has not stopped in order, since its machine or disk is lost, and one without which there are fewer nodes than copies.
	Force bool `json:"force,omitempty"`
}

// RemoveNodeState says what a removal waits for.
type RemoveNodeState string

// The states of a removal, in their order.
const (
	RemovalMoves   RemoveNodeState = "moving"  // copies are made on other nodes
	RemovalStops   RemoveNodeState = "stop"    // the node has no copies any more, and is to be stopped
	RemovalDone    RemoveNodeState = "done"    // the node counts no more, and all copies are in place
	RemovalUnknown RemoveNodeState = "unknown" // the cluster has no such node
)

// RemoveNodeProgress is what is left of a removal.
type RemoveNodeProgress struct {
	// State is what the removal waits for.
	State RemoveNodeState `json:"state"`
	// Streams is how many JetStream streams have not all their copies in place yet, on other nodes.
	Streams int `json:"streams,omitempty"`
	// Waits is what one of them waits for, in JetStream's words.
	Waits string `json:"waits,omitempty"`
	// Nodes are those of the cluster.
	Nodes []string `json:"nodes,omitempty"`
}
