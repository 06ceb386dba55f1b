package deploy

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// program is the path of a program that the test needs.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		for _, dir := range []string{"/usr/sbin/", "../../bin/"} {
			if _, err := os.Stat(dir + name); err == nil {
				return dir + name
			}
		}
		if os.Getenv("WEIR_DEPLOY_ALL") != "" {
			t.Fatalf("%s is not installed", name)
		}
		t.Skipf("%s is not installed", name)
	}
	return path
}

// startBroker runs a broker with an HTTP port, on a directory.
func startBroker(t *testing.T) *broker.Broker {
	t.Helper()
	cfg := conf.Default().WithStoreDir(t.TempDir())
	cfg.NATS.Listen, cfg.HTTP.Listen, cfg.LameDuck = conf.ListenNone, "127.0.0.1:0", 0
	b, err := broker.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return b
}

// createStream makes a stream with some records in it.
func createStream(t *testing.T, b *broker.Broker, records int) protocol.StreamRef {
	t.Helper()
	svc, ref := b.Service(), protocol.StreamRef{Basin: "demo-basin", Stream: "greetings"}
	if _, _, err := svc.CreateBasin(t.Context(), protocol.CreateBasinRequest{Basin: ref.Basin}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := svc.CreateStream(t.Context(), ref.Basin, protocol.CreateStreamRequest{Stream: ref.Stream}); err != nil {
		t.Fatal(err)
	}
	for range records {
		if _, err := svc.Append(t.Context(), ref, protocol.AppendInput{Records: []protocol.Record{{Body: []byte("hello")}}}); err != nil {
			t.Fatal(err)
		}
	}
	return ref
}

func port(url string) string { return url[strings.LastIndexByte(url, ':')+1:] }
