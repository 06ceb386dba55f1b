// Package catalog keeps the contents of a deployment: its basins, streams, access tokens and default location.
//
// They lie in a JetStream key-value bucket, a key each, and in memory: basins and streams in a [View], ordered by name, and
// tokens in [Tokens]. Each key is changed by compare-and-set. A change is in memory once it is durable, so that an entry found
// there may be shown. Catalog.Change is the frame of every change: it runs alone for its key in this process, and
// again when another server was faster.
//
// An [Entry] is a stream in memory. There may be millions, so it is compact, and immutable: a change replaces it. The
// background tasks' memory of a stream is in its [CheckTime], which the entries of one incarnation share.
//
// The adapter learns of changes that it did not make itself through the [Listener].
package catalog
