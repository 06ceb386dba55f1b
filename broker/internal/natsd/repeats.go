package natsd

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"
)

const (
	// repeatEvery is how often a line is logged that the NATS server repeats.
	repeatEvery = time.Minute
	// maxRepeats is how many different lines are remembered for that.
	maxRepeats = 256
)

// nodeLine begins a line about a connection between nodes.
var nodeLine = regexp.MustCompile(`^(\S+):\d+ - rid:\d+ - `)

// dialLine begins a line about a connection to a node that could not be made, behind which comes the reason.
const dialLine = "Error trying to connect to route (attempt %v): "

// waitLine comes every two seconds while a node waits for the others.
const waitLine = "Waiting for routing to be established..."

// port is the part of an address that each connection has for itself.
var port = regexp.MustCompile(`:\d+\b`)

// repeats finds the lines about connections between nodes that are there already: nodes try for ever, several times a second, to connect to one that
// is not there, that they refuse, or that refuses them.
type repeats struct {
	mu    sync.Mutex
	lines map[string]*repeated // by what stays the same when the line is repeated
}

// repeated is a line that was logged.
type repeated struct {
	at   time.Time
	more int // how often the server has said it since
}

// is reports whether a line was logged less than repeatEvery ago. If it was not, more is how often it was left out since it was logged before.
func (r *repeats) is(format string, v []any) (again bool, more int) {
	var key string
	if rest, ok := strings.CutPrefix(format, dialLine); ok && len(v) > 0 {
		key = fmt.Sprintf(rest, v[1:]...)
	} else if at := nodeLine.FindStringSubmatchIndex(format); at != nil {
		key = format[at[2]:at[3]] + " " + fmt.Sprintf(format[at[1]:], v...)
	} else if len(v) == 1 && v[0] == waitLine {
		key = waitLine
	} else {
		return false, 0
	}
	key = port.ReplaceAllString(key, "")
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	line := r.lines[key]
	if line != nil && now.Sub(line.at) < repeatEvery {
		line.more++
		return true, 0
	}
	if line == nil {
		if r.lines == nil {
			r.lines = map[string]*repeated{}
		}
		if len(r.lines) >= maxRepeats && !r.forget(now) {
			return true, 0 // so many different ones come from a port scan, and not from the nodes of a cluster
		}
		line = &repeated{}
		r.lines[key] = line
	}
	more, line.at, line.more = line.more, now, 0
	return false, more
}

// forget drops the lines that may be logged again, and reports whether there were any.
func (r *repeats) forget(now time.Time) (dropped bool) {
	for key, line := range r.lines {
		if now.Sub(line.at) >= repeatEvery {
			delete(r.lines, key)
			dropped = true
		}
	}
	return dropped
}
