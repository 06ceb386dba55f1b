package faults

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/protocol"
)

// stray is how many goroutines may come and go that are not the sessions': those of the server's housekeeping. Each test opens
// more sessions than that.
const stray = 5

// inBubble is how many goroutines belong to the test's bubble. Those of brokers and servers that earlier tests have stopped may still
// come and go beside it.
func inBubble(t *testing.T) int {
	t.Helper()
	all := make([]byte, 1<<20)
	for n := runtime.Stack(all, true); ; n = runtime.Stack(all, true) {
		if n < len(all) {
			all = all[:n]
			break
		}
		all = make([]byte, 2*len(all))
	}
	head, _, _ := bytes.Cut(all, []byte("\n")) // of this goroutine: goroutine 7 [running, synctest bubble 3]:
	_, bubble, ok := bytes.Cut(head, []byte(", synctest bubble "))
	if !ok {
		t.Fatalf("%s is in no bubble", head)
	}
	return bytes.Count(all, append([]byte(", synctest bubble "), bubble...))
}

// TestFaultReaderNeverAcknowledges: the session sends its window full and no more, gives its client the time that the
// door promises, and ends with a reason.
func TestFaultReaderNeverAcknowledges(t *testing.T) {
	for name, head := range map[string]nats.Header{
		"the window that it is given": nil,
		"a small window":              {protocol.HeaderWindow: {"10000"}},
		"a greedy window":             {protocol.HeaderWindow: {"18446744073709551615"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, inMemory())
				l := newLedger(t, b.Service(), "slow-basin", "s")
				for range 48 {
					l.mustAppend(t, b.Service(), 4, 64<<10)
				}
				began := time.Now()
				r := openRaw(t, b.conn(), l.ref, `{"seq_num":0}`, head)
				got, frames := 0, 0
				var end *nats.Msg
				for end == nil {
					if m := r.next(t); m.Header.Get(protocol.HeaderFrame) == protocol.FrameEnd {
						end = m
					} else {
						got += len(m.Data)
						frames++
					}
				}
				if code := codeOfAnswer(end); code != protocol.CodeClientHangup {
					t.Errorf("ended with %q", code)
				}
				if took := time.Since(began); took != 30*time.Second {
					t.Errorf("ended after %v", took)
				}
				// The largest window, and one batch beyond it, in base64 and with all that JSON adds.
				if most := 4<<20 + 3<<20; got > most || frames == 0 {
					t.Errorf("%d bytes in %d frames were sent and never acknowledged", got, frames)
				}
				l.verify(t, b.Service())
				b.stop()
			})
		})
	}
}

// TestFaultReaderVanishes: a follower whose client has gone is noticed by the heartbeats that nobody acknowledges.
func TestFaultReaderVanishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, inMemory())
		l := newLedger(t, b.Service(), "slow-basin", "s")
		l.mustAppend(t, b.Service(), 1, 10)
		warmUp(t, b, l)
		before := inBubble(t)
		for i := range 10 {
			synctest.Wait()
			without := inBubble(t)
			nc, err := b.Connect()
			must(t, err)
			must(t, nc.FlushWithContext(timeout(t, time.Minute)))
			synctest.Wait()
			perConn := inBubble(t) - without
			r := openRaw(t, nc, l.ref, `{"tail_offset":0}`, nil)
			r.next(t) // the first heartbeat
			if i%2 == 0 {
				nc.Close() // gone with its connection
			} else {
				must(t, r.sub.Unsubscribe()) // gone, and its connection lives on
				defer nc.Close()
				before += perConn
			}
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if after := inBubble(t); after > before+stray {
			t.Errorf("%d goroutines, %d before", after, before)
		}
		b.stop()
	})
}

// warmUp makes one round through everything that starts goroutines for good.
func warmUp(t *testing.T, b *instance, l *ledger) {
	t.Helper()
	nc, err := b.Connect()
	must(t, err)
	r := openRaw(t, nc, l.ref, `{"seq_num":0,"count":1}`, nil)
	r.drainToEnd(t)
	nc.Close()
	synctest.Wait()
}

// openAppend opens an append session and returns the subject of its messages.
func openAppend(t testing.TB, nc *nats.Conn, ref protocol.StreamRef) string {
	t.Helper()
	answer := ask(t, nc, &nats.Msg{Subject: subjects.Records("append", ref), Header: nats.Header{protocol.HeaderSession: {protocol.SessionAppend}}})
	opened, err := protocol.DecodeJSON[struct {
		Subject string `json:"subject"`
	}](answer.Data)
	must(t, err)
	return opened.Subject
}

// sendInput sends one input of an append session.
func sendInput(t testing.TB, nc *nats.Conn, subject, inbox string, n int, in protocol.AppendInput) {
	t.Helper()
	must(t, nc.PublishMsg(&nats.Msg{Subject: subject, Reply: inbox, Data: protocol.MarshalAppendInput(&in), Header: nats.Header{
		protocol.HeaderContentType: {protocol.MediaProtobuf}, protocol.HeaderSeq: {strconv.Itoa(n)},
	}}))
}

// TestFaultAppenderVanishes: what a vanished appender has sent is stored, each input whole; its session ends by itself.
func TestFaultAppenderVanishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, inMemory())
		l := newLedger(t, b.Service(), "slow-basin", "s")
		l.mustAppend(t, b.Service(), 1, 10)
		warmUp(t, b, l)
		before := inBubble(t)
		for k := range 20 {
			nc, err := b.Connect()
			must(t, err)
			subject := openAppend(t, nc, l.ref)
			for n := range 10 {
				_, in := l.begin(k%5+1, 1000)
				sendInput(t, nc, subject, nc.NewInbox(), n+1, in)
			}
			if k%2 == 0 {
				_, in := l.begin(1, 10)
				sendInput(t, nc, subject, nc.NewInbox(), 99, in) // a gap: this one must not be stored
			}
			must(t, nc.FlushWithContext(timeout(t, time.Minute)))
			nc.Close()
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if after := inBubble(t); after > before+stray {
			t.Errorf("%d goroutines, %d before", after, before)
		}
		if tail := l.verify(t, b.Service()); tail.SeqNum != 1+10*4*(1+2+3+4+5) {
			t.Errorf("the tail is %v", tail)
		}
		b.stop()
	})
}

// TestFaultSessionsAreDropped opens very many sessions of both kinds and lets go of them: nothing of them stays.
func TestFaultSessionsAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, inMemory())
		var ledgers []*ledger
		for i := range 10 {
			ledgers = append(ledgers, newLedger(t, b.Service(), "slow-basin", fmt.Sprintf("s%d", i)))
			ledgers[i].mustAppend(t, b.Service(), 3, 100)
		}
		warmUp(t, b, ledgers[0])
		goroutines, heap := inBubble(t), heapInUse()
		n := scale(1500, 8000) // of each kind; the door takes 16384 at a time
		nc, err := b.Connect()
		must(t, err)
		inbox := nc.NewInbox()
		sub, err := nc.Subscribe(inbox+".*", func(*nats.Msg) {})
		must(t, err)
		for i := range n {
			l := ledgers[i%len(ledgers)]
			must(t, nc.PublishMsg(&nats.Msg{Subject: subjects.Records("read", l.ref), Reply: inbox + ".r", Data: []byte(`{"tail_offset":1}`),
				Header: nats.Header{protocol.HeaderSession: {protocol.SessionRead}}}))
			openAppend(t, nc, l.ref)
		}
		must(t, nc.FlushWithContext(timeout(t, time.Minute)))
		synctest.Wait()
		if open := inBubble(t); open < goroutines+2*n {
			t.Errorf("%d goroutines serve %d sessions", open-goroutines, 2*n)
		}
		must(t, sub.Unsubscribe())
		nc.Close()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if after := inBubble(t); after > goroutines+stray {
			t.Errorf("%d goroutines, %d before", after, goroutines)
		}
		if after := heapInUse(); after > heap+16<<20 {
			t.Errorf("%d bytes of heap, %d before", after, heap)
		}
		for _, l := range ledgers {
			l.mustAppend(t, b.Service(), 1, 10)
			l.verify(t, b.Service())
		}
		b.stop()
	})
}

func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestFaultFollowersInProcessAreDropped does the same through the service itself.
func TestFaultFollowersInProcessAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, inMemory())
		l := newLedger(t, b.Service(), "slow-basin", "s")
		l.mustAppend(t, b.Service(), 1, 10)
		warmUp(t, b, l)
		goroutines := inBubble(t)
		for range scale(1000, 10000) {
			r, err := b.Service().OpenReadSession(t.Context(), l.ref, protocol.ReadRequest{})
			must(t, err)
			_, err = r.Next(t.Context())
			must(t, err)
			a, err := b.Service().OpenAppendSession(t.Context(), l.ref)
			must(t, err)
			_, in := l.begin(1, 10)
			must(t, a.Submit(t.Context(), in))
			must(t, r.Close())
			must(t, a.Close())
			if _, err := r.Next(t.Context()); err == nil || err == io.EOF {
				t.Fatalf("a closed session goes on with %v", err)
			}
		}
		synctest.Wait()
		if after := inBubble(t); after > goroutines+stray {
			t.Errorf("%d goroutines, %d before", after, goroutines)
		}
		l.verify(t, b.Service())
		b.stop()
	})
}
