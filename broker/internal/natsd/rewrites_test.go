package natsd

import (
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The switch is where syncRewrites looks for it, and belongs to the stream that it was asked for. Whether it keeps records
// safe is what test/powercut checks.
func TestSyncRewrites(t *testing.T) {
	srv, err := server.NewServer(&server.Options{JetStream: true, StoreDir: t.TempDir(), DontListen: true, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	defer srv.WaitForShutdown()
	defer srv.Shutdown()
	if !srv.ReadyForConnections(time.Minute) {
		t.Fatal("the server is not ready")
	}
	nc, err := nats.Connect("", nats.InProcessServer(srv))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ONE", "OTHER"} {
		if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{name}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := syncRewrites(srv, globalAccount, "ONE"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"ONE": true, "OTHER": false} {
		acc, err := srv.LookupAccount(globalAccount)
		if err != nil {
			t.Fatal(err)
		}
		var w walker
		store := w.pointer(w.entry(w.pointer(reflect.ValueOf(acc), "js"), "streams", name), "store")
		onFlush, always := walkTo[atomic.Bool](&w, store, "syncOnFlush"), walkTo[atomic.Bool](&w, store, "syncAlways")
		if w.err != nil {
			t.Fatal(w.err)
		}
		if onFlush.Load() != want || always.Load() {
			t.Errorf("%s: rewrites are synced: %v, every message: %v", name, onFlush.Load(), always.Load())
		}
	}
	if err := syncRewrites(srv, globalAccount, "NONE"); err == nil {
		t.Error("a stream that is not there was found")
	}
	var w walker
	if w.field(reflect.ValueOf(srv), "no such field"); w.err == nil {
		t.Error("a field that is not there was found")
	}
}
