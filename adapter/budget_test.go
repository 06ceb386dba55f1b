package adapter

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/weirstream/weir/protocol"
)

// A basin whose appends wait for room leaves room for the appends of another.
func TestABasinTakesHalfOfTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newAppendBudget(8 << 20)
		for range 4 {
			if err := b.acquire(t.Context(), "busy-basin", 1<<20); err != nil {
				t.Fatal(err)
			}
		}
		waiting, cancel := context.WithCancel(t.Context())
		more := make(chan error)
		go func() { more <- b.acquire(waiting, "busy-basin", 1<<20) }()
		synctest.Wait()
		if err := b.acquire(t.Context(), "quiet-basin", 1<<20); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := <-more; !errors.Is(err, context.Canceled) {
			t.Fatalf("the busy basin got more than its half: %v", err)
		}
		b.release("quiet-basin", 1<<20)
		for range 4 {
			b.release("busy-basin", 1<<20)
		}
		if err := b.acquire(t.Context(), "busy-basin", 4<<20); err != nil {
			t.Fatal(err)
		}
		b.release("busy-basin", 4<<20)
		for i := range 2 * idleBudgets {
			name := protocol.BasinName(fmt.Sprint("basin-", i))
			if err := b.acquire(t.Context(), name, 1); err != nil {
				t.Fatal(err)
			}
			b.release(name, 1)
		}
		if n := len(b.basins); n > idleBudgets+1 {
			t.Fatalf("%d basins are remembered", n)
		}
		if !b.all.TryAcquire(8 << 20) {
			t.Fatal("not all was given back")
		}
	})
}
