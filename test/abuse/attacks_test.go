package abuse

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/protocol"
)

// settle is how long an attack is left to itself before the broker is looked at.
const settle = 2 * time.Second

// TestAcksThatNobodyTakes: an append session whose client opens no window for the acks sends inputs as fast as it can. What an
// input holds is given back when it is stored, and the inputs and acks that wait are few.
func TestAcksThatNobodyTakes(t *testing.T) {
	for _, mode := range []string{"token", "open"} {
		t.Run(mode, func(t *testing.T) {
			root, token := "", ""
			if mode == "token" {
				root = rootToken
			}
			v := start(t, root)
			if root != "" {
				token = v.issue(t, "appender", protocol.OpAppend)
			}
			input := frame(8)
			for range scaled(64) {
				c := v.dial(t, 0)
				for range 16 {
					stream := c.request("POST", "/v1/streams/acks/records", token, true, "content-type", "s2s/proto")
					var batch []byte
					for range 1024 {
						batch = append(batch, input...)
					}
					c.data(stream, batch)
				}
			}
			time.Sleep(settle)
			v.holds(t)
		})
	}
}

// TestAnswersThatNobodyTakes: reads over connections whose streams have no window hold their slots for a time, and no more
// than the share of one client; everybody else is served, the root token in any case.
func TestAnswersThatNobodyTakes(t *testing.T) {
	v := start(t, rootToken)
	for range 8 {
		v.append(t, "big", 1<<20-100)
	}
	reader := v.issue(t, "reader", protocol.OpRead)
	other := v.issue(t, "other", protocol.OpCheckTail)
	var conns []*conn
	for range 5 {
		c := v.dial(t, 0)
		conns = append(conns, c)
		for range 1000 {
			c.request("GET", "/v1/streams/big/records?seq_num=0&count=1", reader, false)
		}
	}
	time.Sleep(settle)
	if _, err := v.service(other).CheckTail(t.Context(), ref("big")); err != nil {
		t.Errorf("another token is refused: %v", err)
	}
	v.holds(t)
	if !full() {
		return
	}
	// The streams end by themselves: a client that opens no window does not keep them.
	time.Sleep(100 * time.Second)
	for i, c := range conns {
		c.c.Close()
		if n := c.ended.Load(); n < 1000 {
			t.Errorf("connection %d: %d of 1000 streams have ended", i, n)
		}
	}
	if _, err := v.service(reader).CheckTail(t.Context(), ref("big")); protocol.CodeOf(err) != protocol.CodePermissionDenied {
		t.Errorf("the attacker's own token, after its streams were cut: %v", err)
	}
	time.Sleep(25 * time.Second)
	if now := v.resident(t, "VmRSS"); now-v.idle > 128<<20 {
		t.Errorf("%d MiB are resident half a minute after the peak, %d were before", now>>20, v.idle>>20)
	}
}

// TestHalfFrames: sessions that announce a frame of 2 MiB and send most of it hold no more memory than one client may.
func TestHalfFrames(t *testing.T) {
	v := start(t, rootToken)
	token := v.issue(t, "appender", protocol.OpAppend)
	part := frame(1 << 20)[:1<<20-1000]
	var attackers sync.WaitGroup
	for range scaled(64) {
		c := v.dial(t, 0)
		attackers.Go(func() {
			for range 16 {
				stream := c.request("POST", "/v1/streams/half/records", token, true, "content-type", "s2s/proto")
				if !c.data(stream, part) {
					break
				}
			}
		})
	}
	attackers.Wait()
	time.Sleep(settle)
	v.holds(t)
}

// TestStalledEvents: readers of server-sent events that take nothing, of stored records and of live ones.
func TestStalledEvents(t *testing.T) {
	v := start(t, rootToken)
	token := v.issue(t, "reader", protocol.OpRead)
	for range 4 {
		v.append(t, "events", 1<<20-100)
	}
	sessions := scaled(2000)
	for _, from := range []string{"seq_num=0", "tail_offset=0"} {
		for range (sessions + 999) / 1000 {
			c := v.dial(t, 0)
			for range min(sessions, 1000) {
				c.request("GET", "/v1/streams/events/records?clamp=true&"+from, token, false, "accept", "text/event-stream")
			}
		}
	}
	time.Sleep(settle)
	for range 4 {
		v.append(t, "events", 1<<20-100)
		v.healthy(t) // the metrics answer while a large record is encoded for all of them
	}
	v.holds(t)
}

// TestReadersThatDoNotAcknowledge: read sessions of one token over NATS whose client acknowledges nothing. All of them together
// get the bytes that one client may leave unacknowledged, and then few.
func TestReadersThatDoNotAcknowledge(t *testing.T) {
	v := start(t, rootToken)
	token := v.issue(t, "reader", protocol.OpRead)
	for range 8 {
		v.append(t, "acks", 1<<20-100)
	}
	nc, err := nats.Connect(v.url, nats.Token(token), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	var got atomic.Int64
	sub, err := nc.Subscribe(nats.NewInbox(), func(m *nats.Msg) { got.Add(int64(len(m.Data))) })
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for range scaled(4096) {
		m := &nats.Msg{Subject: "s2.v1.read." + string(basin) + ".acks", Reply: sub.Subject, Data: []byte(`{"seq_num":0}`),
			Header: nats.Header{protocol.HeaderSession: {protocol.SessionRead}, protocol.HeaderAccept: {protocol.MediaProtobuf}}}
		if err := nc.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	time.Sleep(settle)
	v.holds(t)
	// docs/limits.md: 32 MiB, and then 8 MiB a second; and the batches that were fetched when the bound was reached.
	if n, most := got.Load(), int64((32+time.Since(began).Seconds()*8+8)*(1<<20)); n > most {
		t.Errorf("%d MiB were sent without an acknowledgement, at most %d are allowed by now", n>>20, most>>20)
	} else if n == 0 {
		t.Error("nothing was sent")
	}
}

// TestRefusalsThatNobodyTakes: answers that take no slot of a client, such as probes, files and refusals, over connections
// whose streams have no window.
func TestRefusalsThatNobodyTakes(t *testing.T) {
	v := start(t, rootToken)
	reader := v.issue(t, "reader", protocol.OpRead)
	for _, ask := range []struct{ path, token string }{
		{"/health", ""}, {"/metrics", ""}, {"/openapi.json", ""}, {"/dashboard", ""}, {"/nothing", ""},
		{"/v1/basins", "no-such-token"}, {"/v1/basins", reader}, {"/v1/streams/missing/records?seq_num=0", reader},
	} {
		for range scaled(8) {
			c := v.dial(t, 0)
			for range 1000 {
				c.request("GET", ask.path, ask.token, false)
			}
		}
	}
	time.Sleep(settle)
	v.holds(t)
}
