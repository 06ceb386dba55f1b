package broker

import "github.com/weirstream/weir/broker/internal/natsd"

// RepairReport is what [Repair] has found, one line for each thing; some have further lines, indented.
type RepairReport struct {
	// Safe is what can be mended without losing a record. A start does it by itself after a crash.
	Safe []string
	// Lost is what cannot be read any more: which file, which messages, and which streams lose records from which seq_num on.
	Lost []string
}

// RepairMode is what [Repair] does with what it finds.
type RepairMode uint8

// The modes of a repair.
const (
	// RepairLook changes nothing.
	RepairLook RepairMode = iota
	// RepairMend does what is safe.
	RepairMend
)

// Repair looks through the files of a store directory on which no broker runs. prefix is the subject prefix of the broker, "s2"
// by default. It reads every record.
func Repair(dir, prefix string, mode RepairMode) (RepairReport, error) {
	safe, lost, err := natsd.Repair(dir, prefix, mode == RepairMend)
	return RepairReport{Safe: safe, Lost: lost}, err
}
