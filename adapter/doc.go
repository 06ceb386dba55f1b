// Package adapter gives JetStream the semantics of S2: it is the storage of weir. It is a part of the broker, with no
// promise of a stable API; programs use packages broker, client and protocol.
//
// A log is one JetStream stream that holds the records of many weir streams, each under a subject of its own. A chunk
// is one message: consecutive records of one stream and the stream's state after them. So the last message on a
// subject is the stream's checkpoint, a batch is stored whole or not at all, and there is no other index to keep in
// step (docs/adr/0001, docs/adr/0002).
//
// # Parts
//
//   - [Adapter] owns the connections, the catalog, the registry of logs and the background tasks.
//   - log is one log in use: its sequencer, its publisher and the streams of it that are loaded.
//   - sequencer decides appends: it checks conditions, assigns seq_nums and timestamps, packs appends that wait together
//     into chunks, publishes them pipelined with the expected last sequence of the whole log, and answers in order once
//     they are durable. It reports to the rest through the interface upkeep.
//   - stream is one loaded stream: its state, its durable tail and the ring of recent batches for followers (live), and the
//     sparse index of its chunks.
//   - janitor gives space back, emptyReaper deletes streams that have been empty for long enough, sizes measures the stored
//     bytes.
//   - internal/catalog holds basins, streams and tokens: in a key-value bucket, and in the view in memory.
//   - internal/js makes requests of JetStream, internal/durable makes writes durable, internal/recordcipher encrypts.
//
// # Goroutines
//
// Every goroutine has an owner that waits for its end.
//
//   - one sequencer for each log (sequencer.run): begun by openLog, ended and awaited by log.close.
//   - one publisher for each log (publisher.run): begun by openLog, ended by its sequencer, awaited by Adapter.closeAll.
//   - one committer (durable.Committer): begun by Open, ended and awaited by Adapter.closeAll.
//   - the janitor, the sizes and the empty reaper, one each; a watch for each publishing connection; the watch of a shared
//     catalog; the opening of logs and the loading of streams: all begin by Adapter.tasks or logs.spawn, end with
//     Adapter.ctx and are awaited by Adapter.Close.
//   - workers of the empty reaper and of backups: end before the call that begins them returns.
//
// # Locks
//
// A lock is held for a short time and never across I/O, with the exception of the first two, which order changes of the
// catalog. When two are held at once, they are taken in this order:
//
//  1. View.Provisioning of one basin
//  2. Catalog.keys, one key
//  3. bulk.mu
//  4. restoredLog.mu
//  5. logs.mu
//  6. janitor.mu
//  7. log.mu
//  8. catalog.View.mu, catalog.Tokens.mu
//  9. live.mu, index.mu, inbox.mu, emptyReaper.mu, sizes.mu, Committer.mu, Watermarks.mu, Getter.mu: nothing is locked while
//     one of these is held
//
// # Numbers
//
// JetStream sequences ([js.Seq], from 1, one numbering for a log) and seq_nums (uint64, from 0, dense for a stream) never
// mix.
package adapter
