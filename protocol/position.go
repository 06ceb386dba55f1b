package protocol

import "strconv"

// Position is a place in a stream. In a tail or the end of an ack, SeqNum is the seq_num that the next record will
// get and Timestamp that of the last record; {0, 0} is the tail of a stream that never had a record.
type Position struct {
	SeqNum    uint64 `json:"seq_num"`   // dense, from 0
	Timestamp uint64 `json:"timestamp"` // milliseconds since the epoch, unless clients give others
}

func (p Position) String() string {
	return "{" + strconv.FormatUint(p.SeqNum, 10) + ", " + strconv.FormatUint(p.Timestamp, 10) + "}"
}

// StreamTail is where a stream ends, for now or for good.
type StreamTail struct {
	Position
	// Closed says that no record will follow.
	Closed bool
}
