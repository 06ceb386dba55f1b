package lease

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/weirstream/weir/adapter/layout"
)

// desired is the node that should own a log; "" if there is none. Nodes that see the same live nodes agree on it. The logs of a group go to the live nodes in
// turn, in the order of a hash of group and node, so that the numbers of logs of two nodes differ by one at most. The logs of a draining node go to the
// others in turn, and no other log moves. The node in not is left out.
func (m *machine) desired(now moment, log, not string) string {
	group, index := m.place(log)
	type candidate struct {
		name   string
		score  uint64
		drains bool
	}
	var nodes []candidate
	for name, n := range m.nodes {
		if n.rec.State == Live && name != not && (name == m.self || !m.silent(now, n)) {
			nodes = append(nodes, candidate{name, hash(name, group), n.rec.Draining})
		}
	}
	if len(nodes) == 0 {
		return ""
	}
	slices.SortFunc(nodes, func(a, b candidate) int { return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.name, b.name)) })
	turn := nodes[index%len(nodes)]
	others := slices.DeleteFunc(slices.Clone(nodes), func(n candidate) bool { return n.drains })
	if !turn.drains || len(others) == 0 {
		return turn.name
	}
	return others[index/len(nodes)%len(others)].name
}

// placeOf is the group of a log, those of its class or of the basin that has it for itself, and its index in it.
func placeOf(prefix, log string) (group string, index int) {
	l, ok := layout.ParseLog(prefix, log)
	if !ok {
		return log, 0
	}
	index, l.Index = l.Index, 0
	return l.Stream(prefix), index
}

func hash(node, group string) uint64 {
	sum := sha256.Sum256([]byte(node + "\x00" + group))
	return binary.BigEndian.Uint64(sum[:])
}
