// Package fence takes a log over from a writer that does not know yet that it is deposed, so that nothing which that writer has
// sent, or still sends, is ever stored behind the take-over (docs/adr/0019).
//
// A writer sends a message under the condition that the log's last sequence is the expected one, and has at most [InFlight]
// messages unanswered. So all that it can have under way expects a sequence less than InFlight behind one that it has seen
// acknowledged. A take-over stores a run of InFlight+1 messages, one atomic batch: behind the run, no message of the
// deposed writer finds the sequence that it expects, and before it they stand without a gap. It relies on JetStream's conditional publication
// and atomic batches, and on nothing else: no clock, no lease, no configuration change, and no server's answer about the stored messages.
package fence
