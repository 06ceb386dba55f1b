package natsd

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/nats-io/nats-server/v2/server"
)

// syncRewrites makes JetStream sync the files that it rewrites of a stream, and nothing else: descriptions and compacted
// blocks are on disk before they take the place of the old files.
//
// JetStream has this mode for streams whose messages are synced by another process, and has it on for the streams of a
// Raft group. Its configuration cannot turn it on for a single server: there it syncs every message, or renames an unsynced
// copy over a block, so that a power cut leaves an empty file where acknowledged records were (docs/adr/0012, docs/upstream).
// weir's committer is that process, so the mode is right, and the switch is set where it is.
//
// The names and types on the way are checked, and so a server that has moved the switch makes the start fail.
func syncRewrites(srv *server.Server, account, stream string) error {
	acc, err := srv.LookupAccount(account)
	if err != nil {
		return fmt.Errorf("look up the account %s: %w", account, err)
	}
	var w walker
	jsa := w.pointer(reflect.ValueOf(acc), "js")
	mu := walkTo[sync.RWMutex](&w, jsa, "mu")
	if w.err != nil {
		return w.err
	}
	mu.RLock()
	mset := w.entry(jsa, "streams", stream)
	mu.RUnlock()
	sync := walkTo[atomic.Bool](&w, w.pointer(mset, "store"), "syncOnFlush")
	if w.err != nil {
		return w.err
	}
	sync.Store(true)
	return nil
}

// walker follows fields by their names. Behind its first error it does nothing.
type walker struct{ err error }

func (w *walker) fail(v reflect.Value, field string) reflect.Value {
	if w.err == nil {
		what := "nothing"
		if v.IsValid() {
			what = v.Type().String()
		}
		w.err = fmt.Errorf("this version of the NATS server is not one that weir knows: there is no %s in %s, so that what JetStream rewrites cannot be synced; "+
			"build weir with the version that its go.mod names", field, what)
	}
	return reflect.Value{}
}

func (w *walker) field(v reflect.Value, name string) reflect.Value {
	if w.err != nil || v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return w.fail(v, name)
	}
	f := v.Elem().FieldByName(name)
	if !f.IsValid() {
		return w.fail(v, name)
	}
	return f
}

// pointer is the pointer in a field, or in the interface that is in it.
func (w *walker) pointer(v reflect.Value, name string) reflect.Value {
	f := w.field(v, name)
	if f.IsValid() && f.Kind() == reflect.Interface {
		f = f.Elem()
	}
	if !f.IsValid() || f.Kind() != reflect.Pointer {
		return w.fail(v, name)
	}
	return f
}

func (w *walker) entry(v reflect.Value, name, key string) reflect.Value {
	f := w.field(v, name)
	if !f.IsValid() || f.Kind() != reflect.Map || f.Type().Key().Kind() != reflect.String {
		return w.fail(v, name)
	}
	e := f.MapIndex(reflect.ValueOf(strings.Clone(key)))
	if !e.IsValid() {
		if w.err == nil {
			w.err = fmt.Errorf("JetStream has no stream %s", key)
		}
		return reflect.Value{}
	}
	return e
}

// walkTo is the address of a field of type T.
func walkTo[T any](w *walker, v reflect.Value, name string) *T {
	f := w.field(v, name)
	if !f.IsValid() || f.Type() != reflect.TypeFor[T]() {
		w.fail(v, name)
		return nil
	}
	return (*T)(unsafe.Pointer(f.UnsafeAddr())) //nolint:gosec // docs/adr/0012 has the reason
}
