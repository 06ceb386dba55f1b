package catalog

import (
	"strings"

	"github.com/weirstream/weir/protocol"
)

// Where other servers write to the catalog, the entries of a basin's streams may come before that of the basin: a basin's entry that was written again comes with
// its newest value, behind them. They wait here, and are in the view once the basin is.

// earlyLocked returns the basin that has the entries which came before that of a basin.
func (v *View) earlyLocked(name protocol.BasinName) *basinView {
	b := v.early[name]
	if b == nil {
		b = &basinView{name: protocol.BasinName(strings.Clone(string(name)))}
		v.waitLocked(b)
	}
	return b
}

// waitLocked lets a basin wait for its entry.
func (v *View) waitLocked(b *basinView) {
	if v.early == nil {
		v.early = map[protocol.BasinName]*basinView{}
	}
	v.early[b.name] = b
}

// succeedLocked lets those entries of a basin wait that are newer than its removal: they are of another basin of its name, whose entry has not come.
func (v *View) succeedLocked(b *basinView, removed uint64) {
	next := &basinView{name: b.name, created: b.created}
	b.streams.Scan(func(_ string, e *Entry) bool {
		if e.Revision > removed {
			next.streams.set(e)
			next.useLocked(e)
			next.bytes += e.Checks.Size.bytes
			*next.part(e.Log()) += e.Checks.Size.bytes
		}
		return true
	})
	for _, u := range b.uses {
		if u.hold != nil && u.hold.Revision > removed {
			next.holdLocked(u.hold)
		}
	}
	if !next.isEmpty() {
		v.waitLocked(next)
	}
}

func (b *basinView) isEmpty() bool { return b.streams.len() == 0 && len(b.uses) == 0 }

// removeEarly forgets a stream's entry that was removed at a revision, if it waits.
func (v *View) removeEarly(ref protocol.StreamRef, revision uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	b := v.early[ref.Basin]
	if b == nil {
		return
	}
	if e := b.streams.get(string(ref.Stream)); e != nil && e.Revision < revision {
		b.streams.remove(string(ref.Stream))
		b.forgetSizeLocked(e)
		b.disuseLocked(e)
		v.tidyLocked(b)
	}
}

// tidyLocked forgets a basin that waits and has nothing.
func (v *View) tidyLocked(b *basinView) {
	if b.isEmpty() && v.early[b.name] == b {
		delete(v.early, b.name)
	}
}
