package protocol

import "time"

// The methods below return a changed copy, so that a request reads as a sentence:
//
//	protocol.ReadRequest{Start: protocol.FromTail(10)}.WithCount(10).WithWait(time.Second)

// WithCount stops the read after n records.
func (r ReadRequest) WithCount(n uint64) ReadRequest { r.Count = &n; return r }

// WithBytes stops the read before it exceeds n metered bytes.
func (r ReadRequest) WithBytes(n uint64) ReadRequest { r.Bytes = &n; return r }

// WithUntil stops the read before the first record with a timestamp of at least ts.
func (r ReadRequest) WithUntil(ts uint64) ReadRequest { r.Until = &ts; return r }

// WithWait lets the read wait at the tail for d without a delivered batch; 0 ends it at the tail.
func (r ReadRequest) WithWait(d time.Duration) ReadRequest { r.Wait = &d; return r }

// MatchingSeqNum demands that the first record gets seq_num n.
func (in AppendInput) MatchingSeqNum(n uint64) AppendInput { in.MatchSeqNum = &n; return in }

// Fenced demands that the stream's fencing token is token.
func (in AppendInput) Fenced(token string) AppendInput { in.FencingToken = &token; return in }
