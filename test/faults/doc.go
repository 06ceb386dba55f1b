// Package faults breaks what a broker stands on and checks what it promised: the disk, the store directory, the clock,
// the NATS server, its clients, and the broker itself in the middle of its work.
//
// Every test drives a real broker, in process or as the started command, and judges it by a [ledger]: a model of one
// stream that knows of every append whether it was acknowledged, refused with the promise that nothing was stored, or
// left open. Whatever happens, acknowledged batches are there once and whole at the place that was acknowledged, refused
// ones are not there, open ones are there at most once and whole, and seq_nums have no gap.
//
// Plain go test runs the suite small; go test ./test/faults -long, which is what make faults does, gives it more
// clients, more rounds, and the parts that must build programs of their own.
package faults
