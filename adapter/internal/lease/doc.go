// Package lease decides which node of a cluster owns a log. It keeps node records and claims in a replicated JetStream key-value bucket:
//
//	n.<node>   {incarnation, state, beat, ...}     the node's record, rewritten every [Beat] by its node
//	o.<log>    {node, incarnation, epoch}          the claim of a log, written when its owner changes
//	w.<node>   {incarnation, draining}             what an operator asks of the node
//	balance                                        written when an operator asks all nodes to balance the logs
//
// Every write is conditional on the revision that the writer has seen. What follows relies on these conditions and on clocks that run at
// nearly the same rate; nowhere are the times of two machines compared, and no answer to a read is believed.
//
//   - A node is sure of its lease until [SureFor] after it sent the newest renewal that was stored.
//   - A node whose record has not changed for [Term] on another node's monotonic clock is declared dead by that node: the record is replaced by a
//     dead one, on the condition that it is still the one that was seen. So a renewal that the observer has not seen prevents the declaration, and
//     after a declaration no renewal is stored. The declared node has not been sure since Term-SureFor before.
//   - A dead incarnation stays dead. The node comes back under a new one, and has to claim its logs again.
//   - A claim of a live incarnation is changed by its owner alone, which stops being sure of the log before it sends the change. A claim of a dead
//     one may be changed by every node. The epoch grows by one or more with each change.
//   - A process that finds the record of another process of its name alive writes its own incarnation, marked as joining, and waits for Term
//     before it is live. The older process cannot renew then, and its logs stay with it until its lease has surely ended.
//
// So at any moment at most one node is sure of a log ([Registry.Sure]). A node that was paused between the question and the answer does no harm,
// as long as the answer was computed before the question.
//
// The state machine (machine.go) has no I/O and is given the time; [Registry] carries out the requests that it asks for.
package lease
