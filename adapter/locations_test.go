package adapter

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/weirstream/weir/adapter/internal/catalog"

	"github.com/weirstream/weir/protocol"
)

func in(names ...protocol.LocationName) func(*Options) {
	return func(o *Options) { o.Locations = names }
}

func (h *harness) wantDefaultLocation(want protocol.LocationName) {
	h.t.Helper()
	if got, err := h.DefaultLocation(h.t.Context()); err != nil || got.Name != want || !got.IsPrivate {
		h.t.Fatalf("the default location is %+v, %v, want %s", got, err, want)
	}
}

func (h *harness) wantLocation(basin protocol.BasinName, want protocol.LocationName) {
	h.t.Helper()
	page, err := h.ListBasins(h.t.Context(), protocol.ListRequest{Prefix: string(basin)})
	if err != nil || len(page.Basins) != 1 || page.Basins[0].Location != want {
		h.t.Fatalf("%+v, %v, want it in %s", page, err, want)
	}
}

// TestDefaultLocationSurvives: control plane section 7, the default is persistent state of the account.
func TestDefaultLocationSurvives(t *testing.T) {
	h := newHarness(t, in("a", "b"))
	h.wantDefaultLocation("a")
	old := h.basin("basin-in-a", protocol.BasinConfig{})
	if _, err := h.SetDefaultLocation(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	h.basin("basin-in-b", protocol.BasinConfig{})
	h.reopen()
	h.wantDefaultLocation("b")
	h.wantLocation(old, "a")
	h.wantLocation("basin-in-b", "b")

	h.opts.Locations = []protocol.LocationName{"c", "a"} // the operator took b away
	h.reopen()
	h.wantDefaultLocation("c")
	h.wantLocation("basin-in-b", "b")
	if _, result, err := h.EnsureBasin(t.Context(), "basin-in-b", protocol.EnsureBasinRequest{Location: "b"}); err != nil || result != protocol.ProvisionNoop {
		t.Fatalf("ensure where it lives: %s, %v", result, err)
	}
	if _, _, err := h.CreateBasin(t.Context(), protocol.CreateBasinRequest{Basin: "new-in-b", Location: "b"}); protocol.CodeOf(err) != protocol.CodeInvalid {
		t.Fatalf("create where nobody lives any more: %v", err)
	}
}

// TestAnInitialDefaultThatWasSetStays although the configuration puts another location first later.
func TestAnInitialDefaultThatWasSetStays(t *testing.T) {
	h := newHarness(t, in("a", "b"))
	if _, err := h.SetDefaultLocation(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	h.opts.Locations = []protocol.LocationName{"b", "a"}
	h.reopen()
	h.wantDefaultLocation("a")
}

// TestBasinsOfOlderVersions: what was stored without a location is in the first one, and its idempotency key still holds.
func TestBasinsOfOlderVersions(t *testing.T) {
	h := newHarness(t)
	token := "token"
	key, err := requestKey(&token, protocol.BasinConfig{})
	if err != nil {
		t.Fatal(err)
	}
	old := catalog.BasinRecord{Name: "old-basin", CreatedAt: time.Now().UTC(), Key: key}
	value, err := json.Marshal(old)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.catalog.Bucket().Create(t.Context(), catalog.BasinKey(old.Name), value); err != nil {
		t.Fatal(err)
	}
	h.reopen()
	h.wantLocation(old.Name, protocol.DefaultLocationName)
	info, result, err := h.CreateBasin(t.Context(), protocol.CreateBasinRequest{Basin: old.Name, RequestToken: &token})
	if err != nil || result != protocol.ProvisionNoop || info.Location != protocol.DefaultLocationName {
		t.Fatalf("repeat: %+v, %s, %v", info, result, err)
	}
}

// TestTwoServersShareTheDefaultLocation: one follows what the other sets, and both may set at once.
func TestTwoServersShareTheDefaultLocation(t *testing.T) {
	h := newHarness(t, in("a", "b"), func(o *Options) { o.Shared = true })
	other := &harness{t: t, srv: h.srv, dir: h.dir, opts: h.opts}
	other.open()
	defer other.Adapter.Close(t.Context())
	for range 10 {
		for _, name := range []protocol.LocationName{"b", "a"} {
			setting := make(chan error, 2)
			for _, server := range []*harness{h, other} {
				go func() {
					_, err := server.SetDefaultLocation(t.Context(), name)
					setting <- err
				}()
			}
			for range 2 {
				if err := <-setting; err != nil {
					t.Fatal(err)
				}
			}
			h.wantDefaultLocation(name)
			other.wantDefaultLocation(name)
		}
	}
	if _, err := h.SetDefaultLocation(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other server follows", func() bool {
		got, err := other.DefaultLocation(t.Context())
		return err == nil && got.Name == "b"
	})
}
