package natsapi_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/broker/internal/door"
	"github.com/weirstream/weir/broker/internal/natsapi"
	"github.com/weirstream/weir/protocol"
)

// oneReader is a client with a share of its own.
var oneReader = door.Client{Key: "a", Part: door.TokenPart}

// batches takes the frames that have come so far; it returns the batches among them, and where to acknowledge the last.
func (r *reader) batches() (n int, ack string) {
	r.t.Helper()
	for {
		if pending, _, err := r.sub.Pending(); err != nil || pending == 0 {
			return n, ack
		}
		if m := r.next(); m.Header.Get(protocol.HeaderFrame) == protocol.FrameBatch {
			n, ack = n+1, m.Reply
		}
	}
}

// TestSessionsOfOneClientShareABound: the sessions of a client that acknowledges nothing are sent no more than one bound, not a
// window each. Whatever it acknowledges makes room for as much.
func TestSessionsOfOneClientShareABound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, natsapi.Options{Reader: oneReader})
		const batch = 10 * 100 << 10
		e.fill(10, 100<<10)
		const sessions = 2 * door.UnackedBytes >> 20
		var readers []*reader
		for range sessions {
			readers = append(readers, e.reader(t, `{"seq_num":0}`, protocol.HeaderAccept, protocol.MediaProtobuf))
		}
		synctest.Wait()
		sent := 0
		const most = door.UnackedBytes/batch + 1
		for round := 1; sent < sessions; round++ {
			var acks []string
			for _, r := range readers {
				n, ack := r.batches()
				if sent += n; n > 0 {
					acks = append(acks, ack)
				}
			}
			if len(acks) == 0 || len(acks) > most {
				t.Fatalf("round %d: %d batches were sent without an acknowledgement, want 1 to %d", round, len(acks), most)
			}
			for _, ack := range acks {
				if err := e.nc.Publish(ack, nil); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
		}
		equal(t, "batches", sent, sessions)
	})
}

// TestASessionThatStallsWithinABatchGivesWay: a batch of several frames is held while its client acknowledges the first ones. A client that
// does not is cut when another reader needs the room.
func TestASessionThatStallsWithinABatchGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, natsapi.Options{Outbox: door.NewOutbox(2*protocol.MaxBatchBytes, nil)})
		e.fill(10, 100<<10)
		stalled := e.reader(t, `{"seq_num":0}`, protocol.HeaderMaxPayload, "150000", protocol.HeaderWindow, "1")
		stalled.expect(protocol.FrameOpen, 0)
		stalled.expect(protocol.FrameBatch, 1)
		synctest.Wait()
		began := time.Now()
		other := e.reader(t, `{"seq_num":0}`)
		other.expect(protocol.FrameOpen, 0)
		other.expect(protocol.FrameBatch, 1)
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("the other reader waited %v", took)
		}
		m := stalled.expect(protocol.FrameEnd, 2)
		equal(t, "code", failure(m).Code, protocol.CodeClientHangup)
	})
}

// TestUnaryReadsWaitForRoom: the records of unary reads are counted with those of sessions.
func TestUnaryReadsWaitForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := door.NewOutbox(2*protocol.MaxBatchBytes, nil)
		e := newEnv(t, natsapi.Options{Outbox: outbox})
		e.fill(1, 1)
		hold := outbox.Hold(door.Client{}, func() {})
		if err := hold.Reserve(t.Context()); err != nil {
			t.Fatal(err)
		}
		inbox := e.nc.NewInbox()
		sub := must[*nats.Subscription](t)(e.nc.SubscribeSync(inbox))
		if err := e.nc.PublishRequest("s2.v1.read.demo-basin.greetings", inbox, []byte(`{"seq_num":0}`)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if pending, _, _ := sub.Pending(); pending != 0 {
			t.Error("it read although there was no room")
		}
		hold.Drop()
		m := must[*nats.Msg](t)(sub.NextMsgWithContext(t.Context()))
		equal(t, "code", failure(m).Code, "")
	})
}
