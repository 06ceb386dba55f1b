package broker_test

import (
	"context"
	"errors"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// TestTheStorageIsOutOfReach: where nothing is checked, clients have an account with JetStream of their own, and neither see
// the streams behind weir nor reach their subjects, also not with a stream that republishes.
func TestTheStorageIsOutOfReach(t *testing.T) {
	cfg := conf.Default().WithStoreDir(t.TempDir())
	cfg.HTTP.Listen, cfg.NATS.Listen = "", "127.0.0.1:0"
	cfg.LameDuck = 0
	b, err := broker.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(context.Background())
	svc := b.Service()
	if _, _, err := svc.EnsureBasin(t.Context(), "test-basin", protocol.EnsureBasinRequest{Config: protocol.BasinConfig{CreateStreamOnAppend: true}}); err != nil {
		t.Fatal(err)
	}
	own, err := b.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	far, err := nats.Connect(b.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	for name, nc := range map[string]*nats.Conn{"near": own, "far": far} {
		if _, err := nc.RequestWithContext(t.Context(), "s2.v1.append.test-basin.s", []byte("hello")); err != nil {
			t.Fatalf("append: %v", err)
		}
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		const entry = "$KV.S2_CATALOG.b.test-basin"
		republish, err := js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{name + ".>"},
			RePublish: &jetstream.RePublish{Source: name + ".x", Destination: entry}})
		if err != nil {
			t.Fatalf("a stream of one's own: %v", err)
		}
		if _, err := js.Publish(t.Context(), name+".x", []byte("garbage")); err != nil {
			t.Fatalf("publish to it: %v", err)
		}
		if err := nc.Publish(entry, []byte("garbage")); err != nil {
			t.Fatal(err)
		}
		if info, err := republish.Info(t.Context()); err != nil || info.State.Msgs != 1 {
			t.Errorf("%+v, %v", info, err)
		}
		for _, stream := range []string{"KV_S2_CATALOG", "S2_LOG_express_0"} {
			if _, err := js.Stream(t.Context(), stream); !errors.Is(err, jetstream.ErrStreamNotFound) {
				t.Errorf("%s: looking at %s: %v", name, stream, err)
			}
			if err := js.DeleteStream(t.Context(), stream); !errors.Is(err, jetstream.ErrStreamNotFound) {
				t.Errorf("%s: deleting %s: %v", name, stream, err)
			}
		}
	}
	if _, err := svc.GetBasinConfig(t.Context(), "test-basin"); err != nil {
		t.Errorf("the catalog after garbage on its subject: %v", err)
	}
	if tail, err := svc.CheckTail(t.Context(), protocol.StreamRef{Basin: "test-basin", Stream: "s"}); err != nil || tail.SeqNum != 2 {
		t.Errorf("the stream: %v, %v", tail, err)
	}
}
