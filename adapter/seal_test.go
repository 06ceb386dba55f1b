package adapter

import (
	"testing"

	"github.com/weirstream/weir/protocol"
)

// The janitor may ask for a seal, and a second server for a second end, while an append is on its way: the answer hangs
// on that append's chunk, and is no batch of it.
func TestSealBehindAnAppendInFlightIsNoBatchForFollowers(t *testing.T) {
	h := newHarness(t)
	ref := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	s := h.handle(ref)
	defer s.Close()
	feed, _, err := s.Follow(t.Context(), 0)
	if err != nil || feed == nil {
		t.Fatalf("follow: %v", err)
	}
	defer feed.Close()
	gate := make(chan error)
	swapSync(h.Adapter, (&gatedSync{gate}).sync)
	out := submit(t, s.Appender(), protocol.AppendInput{Records: []protocol.Record{body("x")}})
	sealed := make(chan error, 1)
	if err := s.st.post(&request{ctx: t.Context(), st: s.st, kind: sealRequest,
		done: func(_ protocol.AppendAck, err error) { sealed <- err }}); err != nil {
		t.Fatal(err)
	}
	for done := false; !done; {
		select {
		case gate <- nil:
		case err := <-sealed:
			if err != nil {
				t.Fatal(err)
			}
			done = true
		}
	}
	if got := <-out; got.err != nil {
		t.Fatal(got.err)
	}
	b, _, err := feed.Poll()
	if err != nil || b.Records.Len() != 1 || b.Tail.SeqNum != 1 {
		t.Fatalf("the follower got %d records with tail %v: %v", b.Records.Len(), b.Tail, err)
	}
	if b, _, err := feed.Poll(); err != nil || b.Records.Len() != 0 {
		t.Fatalf("the follower got another batch of %d records: %v", b.Records.Len(), err)
	}
}
