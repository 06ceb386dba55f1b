// Package faults breaks the things that a broker depends on and checks its promises. It breaks the disk, the store
// directory, the clock, the NATS server, its clients, and the broker itself in the middle of its work.
//
// Every test drives a real broker, in process or as the started command, and checks it by a [ledger]: a model of one
// stream that knows of every append whether it was acknowledged, refused with the promise that nothing was stored, or
// left open. In every case, acknowledged batches are there once and whole at the place that was acknowledged, refused
// ones are not there, open ones are there at most once and whole, and seq_nums have no gap.
//
// Plain go test runs the suite small; go test ./test/faults -long, the command of make faults, gives it more
// clients, more rounds, and the parts that must build programs of their own.
package faults
