package broker_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/protocol"
)

// TestStartReadsTheCatalogsFiles: after streams were made, changed and deleted, a start finds in the files of the catalog what
// JetStream has.
func TestStartReadsTheCatalogsFiles(t *testing.T) {
	dir := t.TempDir()
	b := start(t, onDisk(dir))
	svc := b.Service()
	ensureBasin(t, svc)
	name := func(i int) protocol.StreamName { return protocol.StreamName(fmt.Sprintf("stream-%03d", i)) }
	for i := range 100 {
		ref := protocol.StreamRef{Basin: events.Basin, Stream: name(i)}
		if _, _, err := svc.EnsureStream(t.Context(), ref, protocol.StreamConfig{}); err != nil {
			t.Fatal(err)
		}
		switch i % 4 {
		case 1:
			uncapped := true
			if _, _, err := svc.EnsureStream(t.Context(), ref, protocol.StreamConfig{Uncapped: &uncapped}); err != nil {
				t.Fatal(err)
			}
		case 2:
			if err := svc.DeleteStream(t.Context(), ref); err != nil {
				t.Fatal(err)
			}
		}
	}
	closeBroker(t, b)
	for range 2 { // the first start may go on with the deletions
		var log syncLog // the server may still say something when it has stopped
		b, err := broker.Start(t.Context(), onDisk(dir), broker.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			config, err := b.Service().GetStreamConfig(t.Context(), protocol.StreamRef{Basin: events.Basin, Stream: name(i)})
			if deleted := i%4 == 2; deleted != (err != nil) || !deleted && config.Uncapped != (i%4 == 1) {
				t.Errorf("stream %d: %v, %v", i, config, err)
			}
		}
		closeBroker(t, b)
		if !strings.Contains(log.String(), "from_files=true") {
			t.Errorf("the files were not used:\n%s", log.String())
		}
	}
}
