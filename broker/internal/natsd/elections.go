package natsd

import (
	"errors"
	"sync"
	"time"
	_ "unsafe" // for the names below
)

// The times of elections in nats-server, which none of its options sets. By default a server waits
// for 4 to 9 s without a heartbeat before it stands for election, and a leader that is cut off believes for 10 s that it leads. They are the
// whole process's. Where a version of nats-server has other names the variables below are weir's own and 0.

//go:linkname minElectionTimeout github.com/nats-io/nats-server/v2/server.minElectionTimeout
var minElectionTimeout time.Duration

//go:linkname maxElectionTimeout github.com/nats-io/nats-server/v2/server.maxElectionTimeout
var maxElectionTimeout time.Duration

//go:linkname hbInterval github.com/nats-io/nats-server/v2/server.hbInterval
var hbInterval time.Duration

//go:linkname lostQuorumInterval github.com/nats-io/nats-server/v2/server.lostQuorumInterval
var lostQuorumInterval time.Duration

// electQuickly lets the servers of this process elect leaders after 1 to 2 s. It must be called before the first of them starts.
var electQuickly = sync.OnceValue(func() error {
	if minElectionTimeout == 0 || maxElectionTimeout == 0 || hbInterval == 0 || lostQuorumInterval == 0 {
		return errors.New("this version of nats-server keeps the times of elections elsewhere; set cluster.failover to stock")
	}
	minElectionTimeout, maxElectionTimeout = time.Second, 2*time.Second
	hbInterval, lostQuorumInterval = 250*time.Millisecond, 4*time.Second
	return nil
})
