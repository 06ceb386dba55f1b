package natsd

import (
	"log/slog"
	"net"
	"sync"
	"time"
)

// refusals logs how many connections were refused, one line for many: a client that guesses tokens must not fill the disk.
type refusals struct {
	log *slog.Logger
	why string // follows "nats connections were refused: "

	mu     sync.Mutex // guards the fields below
	n      int        // refused since the last line
	from   net.Addr   // the last of them
	logged time.Time  // of the last line
}

const refusalPeriod = 10 * time.Second

func (r *refusals) add(from net.Addr) {
	r.mu.Lock()
	r.n++
	r.from = from
	r.mu.Unlock()
	r.tell(time.Now())
}

// tell writes a line if there is something to report and the last one is long enough ago.
func (r *refusals) tell(now time.Time) {
	r.mu.Lock()
	n, from := r.n, r.from
	if n == 0 || now.Sub(r.logged) < refusalPeriod {
		r.mu.Unlock()
		return
	}
	r.n, r.from, r.logged = 0, nil, now
	r.mu.Unlock()
	attrs := []any{slog.Int("count", n)}
	if from != nil {
		attrs = append(attrs, slog.String("last_from", from.String()))
	}
	r.log.Warn("nats connections were refused: "+r.why, attrs...) //nolint:sloglint // why is one of two constants
}
