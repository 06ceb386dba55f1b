package broker

import "github.com/weirstream/weir/broker/internal/natsd"

// RepairReport lists the findings of [Repair], one line for each thing; some have further lines, indented.
type RepairReport struct {
	// Safe lists the faults that can be mended without losing a record. A start mends them by itself after a crash.
	Safe []string
	// Lost lists the data that cannot be read any more: which file, which messages, and which streams lose records from which
	// seq_num on.
	Lost []string
}

// RepairMode is the action of [Repair] on the faults that it finds.
type RepairMode uint8

// The modes of a repair.
const (
	// RepairLook changes nothing.
	RepairLook RepairMode = iota
	// RepairMend mends the safe faults.
	RepairMend
)

// Repair looks through the files of a store directory on which no broker runs. prefix is the subject prefix of the broker, "s2"
// by default. It reads every record.
func Repair(dir, prefix string, mode RepairMode) (RepairReport, error) {
	safe, lost, err := natsd.Repair(dir, prefix, mode == RepairMend)
	return RepairReport{Safe: safe, Lost: lost}, err
}

// StoreState is the result of [InspectStore].
type StoreState struct {
	// Streams is how many JetStream streams there are, and Bytes the size of all files of JetStream.
	Streams int
	Bytes   int64
	// Mode is the kind of broker that the directory belongs to; "" if that is not noted.
	Mode string
	// Stopped says that the last broker stopped in order. After a crash a start looks through the files.
	Stopped bool
	// Refuses lists the obstacles to a start, a running broker among them.
	Refuses []string
	// Mends lists the faults that the next start mends by itself, without losing a record.
	Mends []string
	// Lost is as in [RepairReport].
	Lost []string
}

// InspectStore looks at the files of a store directory, changes none, and reports the faults that a start would find there.
// If a broker runs on the directory, that is all. With deep it reads every record. Where there is no store yet, the state is
// empty. prefix is as in [Repair].
func InspectStore(dir, prefix string, deep bool) (StoreState, error) {
	s, err := natsd.Inspect(dir, prefix, deep)
	return StoreState(s), err
}
