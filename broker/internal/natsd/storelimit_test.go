package natsd

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/conf"
)

func TestStoreLimitCountsWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	empty, err := storeLimit(dir)
	if err != nil {
		t.Fatal(err)
	}
	free, ok := FreeBytes(dir)
	if !ok {
		return // Nothing is known here, and storeLimit says 0.
	}
	if empty <= 0 || empty > free {
		t.Errorf("limit %d of an empty store with %d bytes free", empty, free)
	}
	e := open(t, quiet(dir))
	storeOne(t, e, "S2_A")
	stop(t, e)
	used, err := treeSize(filepath.Join(dir, "jetstream"))
	if err != nil || used <= 0 {
		t.Errorf("the store takes %d bytes, %v", used, err)
	}
	if n, err := treeSize(filepath.Join(dir, "missing")); n != 0 || err != nil {
		t.Errorf("a missing directory takes %d bytes, %v", n, err)
	}
}

// TestReloadRaisesTheStoreLimit: at the limit writes are refused and nothing is lost, and a reload gives room.
func TestReloadRaisesTheStoreLimit(t *testing.T) {
	c := withNATS(t, quiet(t.TempDir()), "jetstream { max_file_store: 3MB }")
	e := open(t, c)
	defer stop(t, e)
	storeOne(t, e, "S2_A")
	nc, err := e.Storage("test")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	publish := func() error {
		_, err := js.Publish(ctx, "log.S2_A", make([]byte, 1<<20))
		return err
	}
	stored := 0
	for err = publish(); err == nil && stored < 10; err = publish() {
		stored++
	}
	var apiErr *jetstream.APIError
	if !errors.As(err, &apiErr) || stored == 0 {
		t.Fatalf("%d MiB were stored under a limit of 3 MB, then %v", stored, err)
	}
	write(t, c.NATS.ConfigFile, "debug: false")
	if err := e.Reload(); err != nil {
		t.Fatal(err)
	}
	if err := publish(); err != nil {
		t.Errorf("after the reload: %v", err)
	}
}

func TestListenAddresses(t *testing.T) {
	for listen, want := range map[string]struct {
		host string
		port int
		none bool
	}{
		"":               {none: true},
		"none":           {none: true},
		"127.0.0.1:4222": {host: "127.0.0.1", port: 4222},
		"[::1]:4223":     {host: "::1", port: 4223},
		":4224":          {host: "0.0.0.0", port: 4224},
		"127.0.0.1:0":    {host: "127.0.0.1", port: -1},
	} {
		c := conf.Default().WithMemory()
		c.NATS.Listen = listen
		o, err := natsOptions(c, t.TempDir())
		if err != nil {
			t.Errorf("%q: %v", listen, err)
			continue
		}
		if o.Host != want.host || o.Port != want.port || o.DontListen != want.none {
			t.Errorf("%q listens on %q %d %v, want %+v", listen, o.Host, o.Port, o.DontListen, want)
		}
	}
}
