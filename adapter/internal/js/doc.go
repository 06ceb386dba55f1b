// Package js is weir's own JetStream client beside the client library: requests that the library does not make or that
// cost less when made directly, and the answers to them. It knows nothing of chunks and streams.
//
// A [Getter] makes direct gets over one connection: one message at a time ([Getter.One]) or many in a [Batch]. [Call] makes a
// request of the management API, which the leader of a JetStream stream answers.
package js

// Seq is a JetStream sequence: from 1, one numbering for a JetStream stream, with gaps. 0 stands for none. It is never a
// seq_num of a weir stream.
type Seq uint64
