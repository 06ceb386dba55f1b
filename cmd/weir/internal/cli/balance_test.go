package cli_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/cmd/weir/internal/cli"
	"github.com/weirstream/weir/protocol"
)

// movingLogs is a cluster whose logs go to the nodes that should own them one after the other, each after a time.
type movingLogs struct {
	protocol.ClusterService
	began time.Time
	after []time.Duration
	looks int
}

func (m *movingLogs) Cluster(context.Context) (info protocol.ClusterInfo, err error) {
	if m.looks++; m.looks%2 == 1 {
		return info, protocol.Errorf(protocol.CodeUnavailable, "leaders are elected")
	}
	info.Logs = []protocol.ClusterLog{{Name: "without an owner"}}
	for _, after := range m.after {
		l := protocol.ClusterLog{Name: "log", Owner: "a", Desired: "b"}
		if time.Since(m.began) >= after {
			l.Owner = "b"
		}
		info.Logs = append(info.Logs, l)
	}
	return info, nil
}

// weir cluster balance waits until each log is where it should be, and says how many are not.
func TestBalanceWaitsForTheLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if err := cli.AwaitBalanced(t.Context(), &movingLogs{began: time.Now(), after: []time.Duration{0, 3 * time.Second, 7 * time.Second}}); err != nil {
			t.Errorf("logs that move within 7 s: %v", err)
		}
		err := cli.AwaitBalanced(t.Context(), &movingLogs{began: time.Now(), after: []time.Duration{0, time.Second, time.Hour, time.Hour}})
		if protocol.CodeOf(err) != protocol.CodeRequestTimeout || !strings.Contains(err.Error(), "2 logs") {
			t.Errorf("two logs that do not move: %v", err)
		}
	})
}
