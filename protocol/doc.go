// Package protocol holds the words that every part of weir shares: names, records, batches, positions,
// configurations, limits, errors, and their JSON and protobuf encodings. Below it, package chunk encodes stored messages,
// package s2s the frames of S2's sessions, and package subject the subjects of NATS.
//
// It does no I/O, reads no clock and starts no goroutine. Everything in it is a value or a pure function, and it
// imports nothing of the project, so that a client, a door and the storage adapter mean the same thing by the same
// word.
//
// Numbers: a seq_num starts at 0 and is dense per stream. A timestamp is in milliseconds since the Unix epoch
// unless a client chose another unit (uncapped streams). Metered bytes are the size that limits count, see
// [Record.MeteredSize].
//
// Bytes: slices in values returned by this package may share memory with the input they were decoded from. Treat
// them as read-only.
package protocol
