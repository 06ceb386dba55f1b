package door

import (
	"context"
	"testing"

	"github.com/weirstream/weir/protocol"
)

func refused(t *testing.T, what string, err error, want protocol.Code) {
	t.Helper()
	if protocol.CodeOf(err) != want {
		t.Errorf("%s: %v, want code %s", what, err, want)
	}
}

func TestEverythingIsGivenBack(t *testing.T) {
	d := New(Limits{Requests: 2, Bytes: 10, Sessions: 1})
	if err := d.Request(100); err != nil {
		t.Fatalf("a single request passes whatever its size: %v", err)
	}
	refused(t, "beyond the bytes", d.Request(1), protocol.CodeRateLimited)
	d.RequestDone(100)
	refused(t, "growing beyond the bytes", d.Grow(11), protocol.CodeRateLimited)
	if err := d.Grow(10); err != nil {
		t.Fatal(err)
	}
	d.Shrink(10)
	for range 2 {
		if err := d.Request(0); err != nil {
			t.Fatal(err)
		}
	}
	refused(t, "beyond the requests", d.Request(0), protocol.CodeRateLimited)
	d.RequestDone(0)
	if err := d.Session(); err != nil {
		t.Fatal(err)
	}
	refused(t, "beyond the sessions", d.Session(), protocol.CodeRateLimited)
	d.Drain(ErrDraining())
	d.Drain(ErrDraining())
	refused(t, "a request while draining", d.Request(1), protocol.CodeServerDraining)
	refused(t, "a session while draining", d.Session(), protocol.CodeServerDraining)
	given, up := context.WithCancel(t.Context())
	up()
	for _, done := range []func(){d.SessionDone, func() { d.RequestDone(0) }} {
		if d.Wait(given) == nil {
			t.Error("idle with something left")
		}
		done()
	}
	if err := d.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestBudget: doors that share a budget hold no more together, and give back what they took.
func TestBudget(t *testing.T) {
	b := NewBudget(100, 2)
	door := func() *Limiter { return New(Limits{Requests: 10, Bytes: 80, Sessions: 10, Budget: b}) }
	one, two := door(), door()
	if err := one.Request(70); err != nil {
		t.Fatal(err)
	}
	refused(t, "a request beyond the bytes of all", two.Request(40), protocol.CodeRateLimited)
	refused(t, "an input beyond the bytes of all", two.Grow(40), protocol.CodeRateLimited)
	if err := two.Grow(30); err != nil {
		t.Error(err)
	}
	two.Shrink(30)
	one.RequestDone(70)
	if err := two.Request(80); err != nil {
		t.Error(err)
	}
	two.RequestDone(80)

	for _, d := range []*Limiter{one, two} {
		if err := d.Session(); err != nil {
			t.Fatal(err)
		}
	}
	refused(t, "a session beyond those of all", one.Session(), protocol.CodeRateLimited)
	two.SessionDone()
	if err := one.Session(); err != nil {
		t.Error(err)
	}
	one.SessionDone()
	one.SessionDone()
	if bytes, sessions := b.bytes.Load(), b.sessions.Load(); bytes != 0 || sessions != 0 {
		t.Errorf("%d bytes and %d sessions were not given back", bytes, sessions)
	}
}
