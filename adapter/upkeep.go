package adapter

import "github.com/weirstream/weir/protocol"

// upkeep receives a sequencer's reports on its chunks. The methods return at once: they are called by the sequencer's goroutine
// for every chunk.
type upkeep interface {
	// owned says that this node has begun to own a log.
	owned(l *log)
	// stored says that so many more chunks are stored.
	stored(chunks uint64)
	// changed says that a stream has a new durable chunk.
	changed(st *stream)
	// armed says that a durable append may delete the stream one day, if nothing follows it; s is the state after it.
	armed(st *stream, s state)
	// trimmed says that a stream's durable trim point has moved.
	trimmed(st *stream)
	// answered gives the bytes of an append back to the budget.
	answered(basin protocol.BasinName, cost int64)
}

var _ upkeep = (*Adapter)(nil)

func (a *Adapter) owned(l *log) { a.renewals.begin(l) }

func (a *Adapter) stored(chunks uint64) { a.unsynced.Add(chunks) }

func (a *Adapter) changed(st *stream) {
	if st.durable.trim != 0 {
		st.checks.MarkPart()
	}
	if st.log.mine() {
		a.sizes.touch(st.ref, st.id, st.checks, st.durable.total)
	}
}

func (a *Adapter) armed(st *stream, s state) { a.reaper.appended(st, s) }
func (a *Adapter) trimmed(st *stream)        { a.janitor.trim(st) }
func (a *Adapter) answered(basin protocol.BasinName, cost int64) {
	a.budget.release(basin, cost)
}
