package protocol

// Durability names the failures that an acknowledged write survives (docs/durability.md).
type Durability string

// The durability classes.
const (
	// DurabilityGroup acknowledges after one sync of the store's file system that covers all appends written before
	// it began. Linux, embedded server, one replica.
	DurabilityGroup Durability = "group"
	// DurabilityAlways lets JetStream sync every write before it answers.
	DurabilityAlways Durability = "always"
	// DurabilityInterval acknowledges an append that JetStream has written; the disk follows at intervals. A killed process loses
	// nothing, a power cut can.
	DurabilityInterval Durability = "interval"
)
