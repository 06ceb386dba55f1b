package lease

import (
	"slices"
	"strings"

	"github.com/weirstream/weir/protocol"
)

// wish is the request that a live node gives its logs away, or does not do so any more. The last node that could take logs is not to drain: it
// would keep its logs, and no node would want requests.
func (m *machine) wish(node string, draining bool) (wishRecord, error) {
	var live []string
	others := false // one of them can take logs
	for name, n := range m.nodes {
		if n.rec.State == Live {
			live = append(live, name)
			others = others || name != node && !n.rec.Draining
		}
	}
	switch {
	case !slices.Contains(live, node):
		slices.Sort(live)
		return wishRecord{}, protocol.Errorf(protocol.CodeInvalid, "node: %q is not a live node of the cluster; these are %s", node, strings.Join(live, ", "))
	case draining && !others:
		return wishRecord{}, protocol.Errorf(protocol.CodeInvalid, "node: no other live node could take the logs of %q: it is alone, or the others drain as well", node)
	}
	return wishRecord{m.nodes[node].rec.Incarnation, draining}, nil
}
