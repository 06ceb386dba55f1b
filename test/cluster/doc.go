// Package cluster runs three nodes, each in a network namespace of its own, breaks nodes and the network between them under load, and checks what
// was promised. A node is a broker of a cluster, or a stock nats-server with a broker that keeps nothing.
//
// The clients run in a fourth namespace, which holds the bridge. They know all nodes, speak HTTP and NATS, and append, read, check
// the tail and follow, by single requests and in sessions. Every fault is a row of a table. After it, in every stream, each
// acknowledged append is there once and at its place, nothing refused is there, an append without an answer is there whole and
// once or not at all, all nodes and followers show the same, and Porcupine finds the answers of the streams with conditional
// appends linearizable.
//
// The suite needs Linux, root, ip and iptables. It runs where CLUSTER_ROUNDS is set: make test-cluster, make cluster-faults.
package cluster
