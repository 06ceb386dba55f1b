package door

import "github.com/weirstream/weir/protocol"

// Container describes the message in which a door's batches travel.
type Container struct {
	Room int                           // bytes that it holds
	Size func(*protocol.ReadBatch) int // bytes that a batch takes in it
	// Limit ends the message about a record that does not fit: "the record with seq_num 7 takes 9 bytes, but ".
	Limit func() string
}

// Fit takes as many records from the start of b as the container holds, and returns those left over. A batch that is cut
// loses its tail, which the rest keeps: only with its last record is a reader caught up.
// The error has code invalid: not even one record fits.
func (c Container) Fit(b protocol.ReadBatch) (part protocol.ReadBatch, rest protocol.Records, err error) {
	part = b
	for {
		needs := c.Size(&part)
		n := part.Records.Len()
		if needs <= c.Room {
			break
		}
		if n <= 1 {
			return part, rest, protocol.Errorf(protocol.CodeInvalid, "the record with seq_num %d takes %d bytes, but %s",
				b.Records.First().SeqNum, needs, c.Limit())
		}
		// Aim for the share that would fit if all records took the same.
		n = min(int(int64(n)*int64(c.Room)/int64(needs)), n-1)
		taken, _ := b.Records.Take(protocol.Limit{Count: uint64(max(n, 1)), Bytes: protocol.NoLimit.Bytes})
		part = protocol.ReadBatch{Records: taken}
	}
	if part.Records.Len() < b.Records.Len() {
		rest = b.Records.From(part.Records.Last().SeqNum + 1)
	}
	return part, rest, nil
}
