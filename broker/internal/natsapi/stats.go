package natsapi

import (
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/protocol"
)

// endpointStats counts the work that the micro framework cannot see, because its own figures cover only the admission of a
// request.
type endpointStats struct {
	served   atomic.Uint64
	errors   atomic.Uint64
	refused  atomic.Uint64
	inflight atomic.Int64
	busy     atomic.Int64 // nanoseconds
	last     atomic.Pointer[protocol.Error]
}

// statsData is the data of an endpoint that "nats micro stats" shows.
type statsData struct {
	Served   uint64        `json:"served"`    // requests answered, with failures
	Errors   uint64        `json:"errors"`    // requests that failed
	Refused  uint64        `json:"refused"`   // requests for which there was no room
	Inflight int64         `json:"inflight"`  // requests being served
	Busy     time.Duration `json:"busy_ns"`   // time spent on the served ones, waiting included, in nanoseconds
	LastCode protocol.Code `json:"last_code"` // code of the last failure
}

func (s *endpointStats) snapshot() statsData {
	data := statsData{
		Served: s.served.Load(), Errors: s.errors.Load(), Refused: s.refused.Load(),
		Inflight: s.inflight.Load(), Busy: time.Duration(s.busy.Load()),
	}
	if e := s.last.Load(); e != nil {
		data.LastCode = e.Code
	}
	return data
}

func (s *endpointStats) done(took time.Duration, err *protocol.Error) {
	s.inflight.Add(-1)
	s.served.Add(1)
	s.busy.Add(int64(took))
	if err != nil {
		s.errors.Add(1)
		s.last.Store(err)
	}
}
