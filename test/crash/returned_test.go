package crash

import (
	"fmt"
	"testing"

	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/protocol"
)

// TestChunksOfDeletedStreamsDoNotStay: JetStream compacts a block while it recovers from a kill and loses its notes of some purged
// chunks with it, so that the recovery after the next kill finds them again. The broker removes them when it starts.
func TestChunksOfDeletedStreamsDoNotStay(t *testing.T) {
	const small = 20
	m := newMachine(t, t.TempDir())
	m.start()
	nc := m.connect(false)
	defer nc.Close()
	svc, ctx := client.New(nc, client.Options{}), t.Context()
	basin := protocol.BasinName("crash-returned")
	// One log, so that all chunks follow one another in a block of 8 MiB.
	if _, _, err := svc.CreateBasin(ctx, protocol.CreateBasinRequest{Basin: basin, DedicatedLogs: 1,
		Config: protocol.BasinConfig{CreateStreamOnAppend: true}}); err != nil {
		t.Fatal(err)
	}
	stream := func(name string) protocol.StreamRef {
		return protocol.StreamRef{Basin: basin, Stream: protocol.StreamName(name)}
	}
	appendTo := func(name string, bytes int) {
		t.Helper()
		if _, err := svc.Append(ctx, stream(name), protocol.AppendInput{Records: []protocol.Record{{Body: make([]byte, bytes)}}}); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(name string) {
		t.Helper()
		if err := svc.DeleteStream(ctx, stream(name)); err != nil {
			t.Fatal(err)
		}
		err := until(ctx, name+": expected a deleted stream to end up gone", func() (bool, error) {
			_, err := svc.GetStreamConfig(ctx, stream(name))
			return protocol.CodeOf(err) == protocol.CodeStreamNotFound, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	appendTo("kept", 10) // the block stays
	for i := range small {
		appendTo(fmt.Sprintf("small/%d", i), 10)
	}
	for range 5 {
		appendTo("large", 1e6) // more than half of the block
	}
	remove("large")
	for i := range small {
		remove(fmt.Sprintf("small/%d", i))
	}
	for range 5 {
		appendTo("kept", 1e6) // the rest of the block, and into the next
	}
	m.kill()
	m.start()
	m.kill()
	left, err := takeStock(t, m.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("JetStream has brought back the chunks of %d deleted streams", len(left.left))
	m.start()
	m.stop()
	if left, err = takeStock(t, m.dir); err != nil {
		t.Fatal(err)
	}
	if len(left.left) > 0 {
		t.Errorf("expected no chunks of deleted streams, found those of %d: %q", len(left.left), left.left)
	}
	if c, ok := left.records[stream("kept")]; !ok {
		t.Errorf("expected the stream that was not deleted, found %+v", c)
	}
}
