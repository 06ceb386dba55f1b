package adapter

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/adapter/internal/catalog"
	"github.com/weirstream/weir/protocol"
)

func (h *harness) expiringStream(x protocol.Expiry) protocol.StreamRef {
	h.t.Helper()
	return h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{Expiry: &x, RetentionPolicy: &protocol.RetentionPolicy{}})
}

// use opens a stream for reading and closes it again.
func (h *harness) use(ref protocol.StreamRef, use Use) {
	h.t.Helper()
	s, err := h.OpenStream(h.t.Context(), ref, use, protocol.StreamConfig{})
	if err != nil {
		h.t.Fatal(err)
	}
	s.Close()
}

func inSecs(n int) uint64 { return catalog.Millis(time.Now()) + uint64(n)*1000 }

func TestExpiry(t *testing.T) {
	bubble(t, "at a time, however it is used", func(t *testing.T, h *harness) {
		ref := h.expiringStream(protocol.Expiry{At: inSecs(1000)})
		h.mustAppend(ref, body("x"))
		h.wantKept(ref, 900)
		s := h.handle(ref)
		defer s.Close()
		h.wantDeleted(ref, 34)
	})
	bubble(t, "idle since it was created", func(t *testing.T, h *harness) {
		ref := h.expiringStream(protocol.Expiry{IdleSecs: 1000})
		h.wantKept(ref, 900)
		h.wantDeleted(ref, 34)
	})
	bubble(t, "idle since an append, and since a read", func(t *testing.T, h *harness) {
		ref := h.expiringStream(protocol.Expiry{IdleSecs: 1000})
		for range 3 {
			time.Sleep(900 * time.Second)
			h.mustAppend(ref, body("x"))
			time.Sleep(900 * time.Second)
			h.use(ref, ForRead)
		}
		h.wantKept(ref, 900)
		h.wantDeleted(ref, 100)
	})
	bubble(t, "a look at the tail is no use", func(t *testing.T, h *harness) {
		ref := h.expiringStream(protocol.Expiry{IdleSecs: 1000})
		time.Sleep(900 * time.Second)
		h.use(ref, ForTail)
		h.wantDeleted(ref, 100)
	})
	bubble(t, "an open handle is a use", func(t *testing.T, h *harness) {
		ref := h.expiringStream(protocol.Expiry{IdleSecs: 1000})
		s, err := h.OpenStream(t.Context(), ref, ForRead, protocol.StreamConfig{})
		if err != nil {
			t.Fatal(err)
		}
		h.wantKept(ref, 10_000)
		s.Close()
		h.wantKept(ref, 800)
		h.wantDeleted(ref, 200)
	})
	bubble(t, "who comes too late finds it deleted", func(t *testing.T, h *harness) {
		b := h.basin("test-basin", protocol.BasinConfig{})
		for _, name := range []string{"idle", "at"} {
			x := protocol.Expiry{IdleSecs: 5}
			if name == "at" {
				x = protocol.Expiry{At: inSecs(5)}
			}
			ref := h.stream(b, name, protocol.StreamConfig{Expiry: &x})
			h.mustAppend(ref, body("x"))
			time.Sleep(4900 * time.Millisecond)
			h.use(ref, ForTail)
			time.Sleep(200 * time.Millisecond)
			_, err := h.OpenStream(t.Context(), ref, ForRead, protocol.StreamConfig{})
			if code := protocol.CodeOf(err); code != protocol.CodeStreamDeletionPending && code != protocol.CodeStreamNotFound {
				t.Errorf("%+v: %v", x, err)
			}
			synctest.Wait()
			time.Sleep(time.Second)
			if _, err := h.GetStreamConfig(t.Context(), ref); protocol.CodeOf(err) != protocol.CodeStreamNotFound {
				t.Errorf("%+v: %v", x, err)
			}
		}
	})
	bubble(t, "reconfigured: idle time counts from then on, and can be taken away", func(t *testing.T, h *harness) {
		ref := h.expiringStream(protocol.Expiry{})
		time.Sleep(2000 * time.Second)
		set := func(p protocol.Patch[protocol.Expiry]) error {
			_, err := h.ReconfigureStream(t.Context(), ref, protocol.StreamReconfiguration{Expiry: p})
			return err
		}
		if err := set(protocol.Set(protocol.Expiry{IdleSecs: 1000})); err != nil {
			t.Fatal(err)
		}
		h.wantKept(ref, 900)
		if err := set(protocol.Unset[protocol.Expiry]()); err != nil {
			t.Fatal(err)
		}
		h.wantKept(ref, 5000)
		if err := set(protocol.Set(protocol.Expiry{At: catalog.Millis(time.Now())})); protocol.CodeOf(err) != protocol.CodeInvalid || !strings.Contains(err.Error(), "expiry.at") {
			t.Errorf("a time that is past: %v", err)
		}
		if err := set(protocol.Set(protocol.Expiry{IdleSecs: 60, At: inSecs(1e6)})); err != nil {
			t.Fatal(err)
		}
		h.wantDeleted(ref, 60)
	})
	bubble(t, "beside delete-on-empty the earlier counts", func(t *testing.T, h *harness) {
		min := uint64(60)
		b := h.basin("test-basin", protocol.BasinConfig{})
		late := h.stream(b, "late", protocol.StreamConfig{Expiry: &protocol.Expiry{IdleSecs: 1e6}, DeleteOnEmptyMinAge: &min, RetentionPolicy: &protocol.RetentionPolicy{}})
		soon := h.stream(b, "soon", protocol.StreamConfig{Expiry: &protocol.Expiry{IdleSecs: 200}, DeleteOnEmptyMinAge: &min, RetentionPolicy: &protocol.RetentionPolicy{}})
		h.wantKept(late, 200)
		h.wantDeleted(soon, 0)
		h.wantDeleted(late, 460)
	})
}

// TestExpirySurvivesRestarts: reads are noted before a stream is unloaded, and where a crash may have lost one the stream stays
// somewhat longer.
func TestExpirySurvivesRestarts(t *testing.T) {
	bubble(t, "a read that was noted", func(t *testing.T, h *harness) {
		ref := h.expiringStream(protocol.Expiry{IdleSecs: 8000})
		h.mustAppend(ref, body("x"))
		time.Sleep(7000 * time.Second)
		h.use(ref, ForRead)
		read := time.Now()
		time.Sleep(2 * unloadAfter)
		synctest.Wait()
		h.reopen()
		e, _, _ := h.catalog.View.Stream(ref)
		if got := e.Used(); got != catalog.Millis(read) {
			t.Errorf("noted %d, want %d", got, catalog.Millis(read))
		}
		h.wantKept(ref, 8000-200-66)
		h.wantDeleted(ref, 1000+60+200) // an eighth for what a crash could have lost
	})
	bubble(t, "an open reader is noted now and then", func(t *testing.T, h *harness) {
		ref := h.expiringStream(protocol.Expiry{IdleSecs: 8000})
		s, err := h.OpenStream(t.Context(), ref, ForRead, protocol.StreamConfig{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		time.Sleep(7500 * time.Second)
		synctest.Wait()
		e, _, _ := h.catalog.View.Stream(ref)
		if got, now := e.Used(), catalog.Millis(time.Now()); got > now || now-got > 1020_000 {
			t.Errorf("noted %d at %d", got, now)
		}
		h.reopen()
		h.wantKept(ref, 7000)
	})
	bubble(t, "many without a look", func(t *testing.T, h *harness) {
		ref := h.expiringStream(protocol.Expiry{IdleSecs: 1e6})
		h.mustAppend(ref, body("x"))
		h.reopen()
		h.reaper.mu.Lock()
		defer h.reaper.mu.Unlock()
		if n := len(h.reaper.queue); n != 1 || h.reaper.queue[0].at < catalog.Seconds(time.Now())+900_000 {
			t.Errorf("%d streams are queued: %+v", n, h.reaper.queue)
		}
	})
}

func TestExpiryOfDefaults(t *testing.T) {
	bubble(t, "a basin's default", func(t *testing.T, h *harness) {
		at := protocol.BasinConfig{DefaultStreamConfig: protocol.StreamConfig{Expiry: &protocol.Expiry{At: inSecs(100)}}}
		if _, _, err := h.CreateBasin(t.Context(), protocol.CreateBasinRequest{Basin: "test-basin", Config: at}); protocol.CodeOf(err) != protocol.CodeInvalid || !strings.Contains(err.Error(), "default_stream_config.expiry.at") {
			t.Errorf("create: %v", err)
		}
		b := h.basin("test-basin", protocol.BasinConfig{DefaultStreamConfig: protocol.StreamConfig{Expiry: &protocol.Expiry{IdleSecs: 100}}})
		if _, _, err := h.EnsureBasin(t.Context(), b, protocol.EnsureBasinRequest{Config: at}); protocol.CodeOf(err) != protocol.CodeInvalid {
			t.Errorf("ensure: %v", err)
		}
		if _, err := h.ReconfigureBasin(t.Context(), b, protocol.BasinReconfiguration{DefaultStreamConfig: protocol.Set(protocol.StreamReconfiguration{Expiry: protocol.Set(protocol.Expiry{At: 1})})}); protocol.CodeOf(err) != protocol.CodeInvalid {
			t.Errorf("reconfigure: %v", err)
		}
		short, long := h.stream(b, "short", protocol.StreamConfig{}), h.stream(b, "long", protocol.StreamConfig{Expiry: &protocol.Expiry{}})
		h.wantDeleted(short, 100)
		h.wantKept(long, 1000)
	})
}
