package sessions

import (
	"context"

	"github.com/weirstream/weir/protocol"
)

// resolveStart turns the request's start into the seq_num of the first record to look at, given the durable tail
// (data plane 4.2). The result is at most tail.SeqNum.
func resolveStart(ctx context.Context, s Stream, req *protocol.ReadRequest, tail protocol.Position) (uint64, error) {
	next, beyond := tail.SeqNum, false
	//exhaustive:enforce
	switch req.Start.Kind {
	case protocol.StartTailOffset:
		next -= min(next, req.Start.Value)
	case protocol.StartSeqNum:
		next = min(next, req.Start.Value)
		beyond = req.Start.Value > tail.SeqNum
	case protocol.StartTimestamp:
		if req.Start.Value <= tail.Timestamp {
			found, err := s.SeekTimestamp(ctx, req.Start.Value, tail)
			if err != nil {
				return 0, err
			}
			// Without a surviving record this is the tail, and treated like a seq_num there.
			next = min(next, found)
		} else {
			beyond = true
		}
	default:
		return 0, protocol.Errorf(protocol.CodeInvalid, "start: unknown kind %d", req.Start.Kind)
	}
	if beyond && !req.Clamp || next == tail.SeqNum && !req.MayFollow() {
		return 0, protocol.Unwritten(tail)
	}
	return next, nil
}
