package catalog

import (
	"sync"

	"github.com/tidwall/btree"

	"github.com/weirstream/weir/protocol"
)

// streamTree is the streams of a basin by name. It holds pointers only: the names are in the entries. The zero value is empty.
type streamTree struct {
	tree *btree.BTreeG[*Entry] // nil: empty
}

// pivots are entries that only a name is put into, to look for it.
var pivots = sync.Pool{New: func() any { return new(Entry) }}

func pivot(name string) *Entry {
	p := pivots.Get().(*Entry) //nolint:forcetypeassert // the pool holds nothing else
	p.Name = protocol.StreamName(name)
	return p
}

func (t *streamTree) get(name string) *Entry {
	if t.tree == nil {
		return nil
	}
	p := pivot(name)
	e, _ := t.tree.Get(p)
	pivots.Put(p)
	return e
}

// set stores an entry and returns the one that had its name, or nil.
func (t *streamTree) set(e *Entry) (old *Entry) {
	if t.tree == nil {
		t.tree = btree.NewBTreeGOptions(func(a, b *Entry) bool { return a.Name < b.Name }, btree.Options{NoLocks: true})
	}
	old, _ = t.tree.Load(e) // as Set, and leaves the nodes full when the names come in order
	return old
}

func (t *streamTree) remove(name string) {
	if t.tree == nil {
		return
	}
	p := pivot(name)
	t.tree.Delete(p)
	pivots.Put(p)
}

func (t *streamTree) len() int {
	if t.tree == nil {
		return 0
	}
	return t.tree.Len()
}

func (t *streamTree) all() []*Entry {
	if t.tree == nil {
		return nil
	}
	return t.tree.Items()
}

// Ascend visits the entries in the order of their names, from the first that is not below from, while visit returns true.
func (t *streamTree) Ascend(from string, visit func(name string, e *Entry) bool) {
	if t.tree == nil {
		return
	}
	p := pivot(from)
	t.tree.Ascend(p, func(e *Entry) bool { return visit(string(e.Name), e) })
	pivots.Put(p)
}

// Scan visits all entries.
func (t *streamTree) Scan(visit func(name string, e *Entry) bool) {
	if t.tree != nil {
		t.tree.Scan(func(e *Entry) bool { return visit(string(e.Name), e) })
	}
}
