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

// Without accounts everybody shares the storage's account: they may look at it, use S2 and JetStream, and not write into
// the logs or the catalog.
func TestStrangersMayLookButNotWriteIntoTheStorage(t *testing.T) {
	cfg := conf.Default().WithStoreDir(t.TempDir())
	cfg.NATS.Listen = "127.0.0.1:0"
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
	refused := make(chan error, 8)
	nc, err := nats.Connect(b.ClientURL(), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.RequestWithContext(t.Context(), "s2.v1.append.test-basin.s", []byte("hello")); err != nil {
		t.Fatalf("append: %v", err)
	}
	for _, subject := range []string{"s2.log.express.0.test-basin.0.anything", "$KV.S2_CATALOG.b.test-basin"} {
		if err := nc.Publish(subject, []byte("garbage")); err != nil {
			t.Fatal(err)
		}
		if err := <-refused; !errors.Is(err, nats.ErrPermissionViolation) {
			t.Fatalf("publish to %s: %v", subject, err)
		}
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "mine", Subjects: []string{"mine.>"}}); err != nil {
		t.Fatalf("a stream of one's own: %v", err)
	}
	if _, err := js.Publish(t.Context(), "mine.x", []byte("x")); err != nil {
		t.Fatalf("publish to it: %v", err)
	}
	if _, err := js.Stream(t.Context(), "KV_S2_CATALOG"); err != nil {
		t.Fatalf("look at the catalog: %v", err)
	}
}
