package door

import "github.com/weirstream/weir/protocol"

// Cut takes as many records from the start of b as room bytes can hold, measured by size, and returns those left over. A
// batch that is cut loses its tail, which the rest keeps: only with its last record is a reader caught up. needs is the size
// of part; if it is more than room, part is one record that does not fit.
func Cut(b protocol.ReadBatch, room int, size func(*protocol.ReadBatch) int) (part protocol.ReadBatch, rest protocol.Records, needs int) {
	part = b
	for {
		needs = size(&part)
		n := part.Records.Len()
		if needs <= room || n <= 1 {
			break
		}
		// Aim for the share that would fit if all records took the same.
		n = min(int(int64(n)*int64(room)/int64(needs)), n-1)
		taken, _ := b.Records.Take(protocol.Limit{Count: uint64(max(n, 1)), Bytes: protocol.NoLimit.Bytes})
		part = protocol.ReadBatch{Records: taken}
	}
	if part.Records.Len() < b.Records.Len() {
		rest = b.Records.From(part.Records.Last().SeqNum + 1)
	}
	return part, rest, needs
}
