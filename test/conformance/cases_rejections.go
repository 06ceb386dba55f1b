package conformance

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weirstream/weir/protocol"
)

// badBatch is an append that is refused with invalid by any stream.
type badBatch struct {
	row, name string
	recs      []protocol.Record
	conds     []Condition
}

// command makes a record whose only header has an empty name.
func command(name, body string) protocol.Record { return headed(body, "", name) }

// badBatches makes the batches of data plane A.1 that are refused.
func badBatches() []badBatch {
	bad := []badBatch{
		{"A.1/1", "unknown command", these(command("hi", "")), nil},
		{"A.1/2", "empty header name after another header", these(headed("", "boku", "hi", "", "hi")), nil},
		{"A.1/3", "command with a second header", these(headed("", "", "fence", "extra", "value")), nil},
		{"A.1/4", "envelope with an empty header name", these(command("value", "body")), nil},
		{"A.1/9", "fence token that is not UTF-8", these(command("fence", "\xff")), nil},
		{"A.1/22", "record of one byte more than 1 MiB", these(sized(protocol.MaxBatchBytes + 1)), nil},
		{"A.1/23", "batch of no records", nil, nil},
		{"A.1/25", "batch of 1001 records", numbered(0, protocol.MaxBatchRecords+1), nil},
		{"A.1/26", "two records of 600,000 metered bytes", these(sized(600_000), sized(600_000)), nil},
		{"A.1/28", "fencing_token of 37 bytes", text("a"), []Condition{holding(strings.Repeat("t", 37))}},
	}
	for _, n := range []int{37, 40, 49} {
		bad = append(bad, badBatch{"A.1/8", fmt.Sprintf("fence token of %d bytes", n),
			these(command("fence", strings.Repeat("t", n))), nil})
	}
	for _, n := range []int{0, 4, 9, 10} {
		bad = append(bad, badBatch{"A.1/12", fmt.Sprintf("trim payload of %d bytes", n),
			these(command("trim", strings.Repeat("\x00", n))), nil})
	}
	for _, name := range []string{"", "invalid", "Fence", "TRIM"} {
		bad = append(bad, badBatch{"A.1/13", fmt.Sprintf("%q is no command", name), these(command(name, "12345678")), nil})
	}
	return bad
}

// recordRejectionCases: data plane A.1, records that are refused.
var recordRejectionCases = rejectionCases()

func rejectionCases() []Case {
	var cases []Case
	for _, bad := range badBatches() {
		cases = append(cases, Case{Row: bad.row, Name: bad.name + " is refused", Run: func(t *testing.T, e *Env) {
			s := e.Stream()
			s.Append(text("before"))
			s.Refuses(protocol.CodeInvalid, bad.recs, bad.conds...)
			// A good record before the bad one does not help: the batch is refused whole.
			if n := len(bad.recs); n > 0 && n < protocol.MaxBatchRecords {
				s.Refuses(protocol.CodeInvalid, append(text("good"), bad.recs...), bad.conds...)
			}
		}})
	}
	return append(cases, Case{Row: "A.1/30", Name: "a refused batch creates no stream", Run: func(t *testing.T, e *Env) {
		b := e.Basin(createOnAppend)
		for _, bad := range badBatches() {
			_, err := b.Missing("stream").tryAppend(bad.recs, bad.conds...)
			e.fails(err, protocol.CodeInvalid)
		}
		b.Holds()
	}})
}
