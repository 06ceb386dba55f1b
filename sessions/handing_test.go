package sessions

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// The context of an input ends with the call only as long as the call lasts, and with the session always, whether somebody has waited for
// it during the call or not.
func TestContextOfAnInput(t *testing.T) {
	for _, waited := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			ended := func(h *handing) bool {
				done := h.Done()
				synctest.Wait()
				select {
				case <-done:
					return true
				default:
					return false
				}
			}
			input := func() (h *handing, endLife, endCall context.CancelFunc) {
				life, endLife := context.WithCancel(t.Context())
				call, endCall := context.WithCancel(t.Context())
				h = &handing{Context: life, call: call}
				if waited && ended(h) {
					t.Fatal("ended from the beginning")
				}
				return h, endLife, endCall
			}

			h, endLife, endCall := input()
			if endCall(); !ended(h) || !errors.Is(h.Err(), context.Canceled) {
				t.Errorf("the call has ended: %v", h.Err())
			}
			h.release()
			endLife()

			h, endLife, endCall = input()
			h.callReturned()
			if endCall(); ended(h) || h.Err() != nil {
				t.Errorf("the call has returned and then ended: %v", h.Err())
			}
			if endLife(); !ended(h) || !errors.Is(h.Err(), context.Canceled) {
				t.Errorf("the session has ended: %v", h.Err())
			}
			h.release()

			h, endLife, endCall = input()
			if endCall(); !ended(h) {
				t.Error("the call has ended")
			}
			h.callReturned()
			if h.Err() == nil {
				t.Error("the call has ended and then returned: no error, although what waited for it was woken")
			}
			h.release()
			endLife()

			h, endLife, endCall = input()
			if endLife(); !ended(h) || !errors.Is(h.Err(), context.Canceled) {
				t.Errorf("the session has ended during the call: %v", h.Err())
			}
			h.callReturned()
			h.release()
			endCall()
		})
	}
}
