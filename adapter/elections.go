package adapter

import (
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/adapter/internal/js"
)

// leaderElected is the subject, with the name of the JetStream stream behind it, on which a server says that a stream has a
// new leader.
const leaderElected = "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED."

// followElections wakes the sequencer of a log when its JetStream stream has got a new leader: an unanswered publication to the
// leader before may be lost, and the log can be read again.
func (a *Adapter) followElections() error {
	if !js.MayLose(a.manage) {
		return nil
	}
	_, err := a.manage.Subscribe(leaderElected+"*", func(m *nats.Msg) {
		if l := a.logs.opened(strings.TrimPrefix(m.Subject, leaderElected)); l != nil {
			l.seq.in.postResumed()
			if l.own != nil {
				l.own.led()
			}
		}
	})
	return err // the subscription ends with its connection
}
