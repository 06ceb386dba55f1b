package catalog

import (
	"context"
	"errors"
	"testing"
)

func TestKeyLocks(t *testing.T) {
	var k keyLocks
	unlock, err := k.lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if other, err := k.lock(t.Context(), "b"); err != nil {
		t.Fatal(err)
	} else {
		other()
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := k.lock(gone, "a"); !errors.Is(err, context.Canceled) {
		t.Fatalf("a waiter that gives up: %v", err)
	}
	holders, total := 0, 0
	done := make(chan struct{})
	for range 50 {
		go func() {
			defer func() { done <- struct{}{} }()
			unlock, err := k.lock(t.Context(), "a")
			if err != nil {
				t.Error(err)
				return
			}
			if holders++; holders != 1 {
				t.Error("held twice")
			}
			holders--
			total++
			unlock()
		}()
	}
	unlock()
	for range 50 {
		<-done
	}
	if total != 50 || len(k.locks) != 0 {
		t.Fatalf("%d turns, %d locks are left", total, len(k.locks))
	}
}
