// Package adapter gives JetStream the semantics of S2: it is the storage of weir.
//
// A log is one JetStream stream that holds the records of many weir streams, each under a subject of its own. A chunk
// is one message: consecutive records of one stream and the stream's state after them. So the last message on a
// subject is the stream's checkpoint, a batch is stored whole or not at all, and there is no other index to keep in
// step (docs/adr/0001, docs/adr/0002).
//
// Who owns what:
//
//   - [Adapter] owns the connections, the catalog and one log handle for each log in use.
//   - The sequencer of a log is one goroutine. It alone decides appends: it checks conditions, assigns seq_nums and
//     timestamps, packs appends that wait together into chunks, publishes them pipelined with the expected last
//     sequence of the whole log, and answers in order once they are durable.
//   - The committer is one goroutine. It makes what JetStream has written durable with one syncfs for all that wait.
//   - The durable tail of a stream and its ring of recent batches are behind a short lock, for readers.
//   - The janitor is one goroutine. It gives space back: trimmed and expired chunks, deleted streams and basins.
//
// JetStream sequences ([js.Seq], from 1, one numbering for a log) and seq_nums (uint64, from 0, dense for a stream) never
// mix.
package adapter
