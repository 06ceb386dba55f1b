package door

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

const mib = 1 << 20

func (u *Unacked) nothingLeft(t *testing.T) {
	t.Helper()
	if len(u.clients) != 0 {
		t.Errorf("%d clients are left", len(u.clients))
	}
}

// sessionsOf opens n sessions of a client, each of which sends as many frames of a megabyte as it may, and counts them.
func sessionsOf(ctx context.Context, u *Unacked, client Client, n, frames int, sent *atomic.Int64) (credits []*Credit) {
	for range n {
		c := u.Open(client)
		credits = append(credits, c)
		go func() {
			for range frames {
				if c.Take(ctx, mib) != nil {
					return
				}
				sent.Add(1)
			}
		}()
	}
	return credits
}

// TestUnackedOfOneClient: a client is sent no more than the bound, whatever the number of its sessions; what it does not acknowledge
// is forgotten slowly; and other clients, and the root token, do not notice.
func TestUnackedOfOneClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUnacked()
		a, b := Client{Key: "a", Part: TokenPart}, Client{Key: "b", Part: TokenPart}
		ctx, end := context.WithCancelCause(t.Context())
		var ofA, ofB, ofRoot, ofNobody atomic.Int64
		credits := sessionsOf(ctx, u, a, 1000, 1, &ofA)
		synctest.Wait()
		if n := ofA.Load(); n != UnackedBytes/mib {
			t.Errorf("%d MiB were sent at once, want %d", n, UnackedBytes/mib)
		}
		for range 10 {
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if n, want := ofA.Load(), int64(UnackedBytes+10*forgottenRate)/mib; n < want-2 || n > want {
			t.Errorf("%d MiB were sent in ten seconds, want %d", n, want)
		}
		credits = append(credits, sessionsOf(ctx, u, b, 1, UnackedBytes/mib, &ofB)...)
		credits = append(credits, sessionsOf(ctx, u, Client{Key: "root", Part: 1, Root: true}, 1, 500, &ofRoot)...)
		credits = append(credits, sessionsOf(ctx, u, Client{}, 1, 500, &ofNobody)...)
		synctest.Wait()
		if ofB.Load() != UnackedBytes/mib || ofRoot.Load() != 500 || ofNobody.Load() != 500 {
			t.Errorf("beside it %d, %d and %d were sent", ofB.Load(), ofRoot.Load(), ofNobody.Load())
		}
		end(errors.New("the test is over"))
		synctest.Wait()
		for _, c := range credits {
			c.Close()
		}
		u.nothingLeft(t)
	})
}

// TestUnackedGoesOnWithAcknowledgements: acknowledged bytes come back at once, to those that wait longest first, as do those of a
// session that ends and those that turned out to be fewer; no byte comes back twice.
func TestUnackedGoesOnWithAcknowledgements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUnacked()
		client := Client{Key: "a", Part: TokenPart}
		full := u.Open(client)
		if err := full.Take(t.Context(), UnackedBytes); err != nil {
			t.Fatal(err)
		}
		var order []string
		wait := func(name string) *Credit {
			c := u.Open(client)
			go func() {
				if c.Take(t.Context(), UnackedBytes) == nil {
					order = append(order, name)
				}
			}()
			synctest.Wait()
			return c
		}
		first, second, third := wait("first"), wait("second"), wait("third")
		if len(order) != 0 {
			t.Fatalf("%v did not wait", order)
		}
		full.Adjust(-UnackedBytes) // acknowledged
		synctest.Wait()
		full.Adjust(-UnackedBytes) // nothing is left to come back
		full.Close()
		synctest.Wait()
		if len(order) != 1 {
			t.Fatalf("%v went on after one acknowledgement", order)
		}
		first.Adjust(100 - UnackedBytes) // the frame has a hundred bytes
		synctest.Wait()
		second.Close()
		first.Close()
		synctest.Wait()
		if len(order) != 3 || order[0] != "first" || order[1] != "second" {
			t.Errorf("the order was %v", order)
		}

		// One that gives up while it waits takes nothing.
		why := errors.New("gone")
		ctx, end := context.WithCancelCause(t.Context())
		end(why)
		fourth := u.Open(client)
		if err := fourth.Take(ctx, 1); !errors.Is(err, why) {
			t.Errorf("waited until %v", err)
		}
		third.Close()
		if err := fourth.Take(ctx, 1); err != nil {
			t.Errorf("there is room: %v", err)
		}
		fourth.Close()
		u.nothingLeft(t)
	})
}
