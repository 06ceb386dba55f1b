package natsapi

import (
	"testing"

	"github.com/weirstream/weir/protocol"
)

// TestBudget: doors that share a budget hold no more together, and give back what they took.
func TestBudget(t *testing.T) {
	b := NewBudget(100, 2)
	door := func() *admission { return &admission{maxRequests: 10, maxBytes: 80, maxSessions: 10, budget: b} }
	one, two := door(), door()
	if err := one.request(70); err != nil {
		t.Fatal(err)
	}
	if err := two.request(40); protocol.CodeOf(asError(err)) != protocol.CodeRateLimited {
		t.Errorf("a request beyond the bytes of all: %v", err)
	}
	if two.input(40) {
		t.Error("an input beyond the bytes of all was taken")
	}
	if !two.input(30) {
		t.Error("an input that fits was refused")
	}
	two.inputDone(30)
	one.requestDone(70)
	if err := two.request(80); err != nil {
		t.Error(err)
	}
	two.requestDone(80)

	for _, a := range []*admission{one, two} {
		if err := a.session(); err != nil {
			t.Fatal(err)
		}
	}
	if err := one.session(); protocol.CodeOf(asError(err)) != protocol.CodeRateLimited {
		t.Errorf("a session beyond those of all: %v", err)
	}
	two.sessionDone()
	if err := one.session(); err != nil {
		t.Error(err)
	}
	one.sessionDone()
	one.sessionDone()
	if bytes, sessions := b.bytes.Load(), b.sessions.Load(); bytes != 0 || sessions != 0 {
		t.Errorf("%d bytes and %d sessions were not given back", bytes, sessions)
	}
}

// asError keeps a nil pointer from becoming an error.
func asError(e *protocol.Error) error {
	if e == nil {
		return nil
	}
	return e
}
