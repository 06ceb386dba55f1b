// Package storefiles reads the files that JetStream keeps of its streams, and mends the faults that a crash can leave in
// them, while no NATS server runs on them (docs/durability.md, docs/adr/0012).
//
// JetStream keeps a directory for each stream:
//
//	meta.inf   the description: JSON of its configuration and the time of its creation
//	meta.sum   the description's checksum, as hexadecimal text
//	msgs/      N.blk the records, in blocks that are numbered from 1; index.db a copy of its state about them, which may be old
//	obs/       the consumers
//
// The formats are those of nats-server 2.15. A store that the server encrypts has a meta.key too; its contents are left alone.
package storefiles
