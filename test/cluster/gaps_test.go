//go:build linux

package cluster

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// gaps are the longest times without an acknowledged append, by the kind of the stream. A stream that is full has none.
type gaps map[string]time.Duration

func (g gaps) String() string {
	text := ""
	for _, kind := range slices.Sorted(maps.Keys(g)) {
		text += fmt.Sprintf(", %s %.1f s", kind, g[kind].Seconds())
	}
	return text[min(2, len(text)):]
}

// and is the longest of both.
func (g gaps) and(other gaps) gaps {
	all := maps.Clone(other)
	for kind, gap := range g {
		all[kind] = max(all[kind], gap)
	}
	return all
}

// gaps are those of a load since its beginning.
func (l *load) gaps() gaps {
	longest := gaps{}
	for _, h := range l.streams {
		if l.kinds[h] != "conditional" || h.length() <= mostRecords {
			longest[l.kinds[h]] = max(longest[l.kinds[h]], h.longest())
		}
	}
	return longest
}

// summary prints the longest gaps of all rounds of a row.
func (c *cluster) summary(longest map[string]gaps) {
	for _, name := range slices.Sorted(maps.Keys(longest)) {
		c.t.Logf("longest gaps, %s, %s: %v", c.setting, name, longest[name])
	}
}
