package broker_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/protocol"
)

func TestStorageClassesOfTheConfiguration(t *testing.T) {
	c := onDisk(t.TempDir())
	c.Logs = 1
	c.StorageStandard.Compression = "s2"
	c.StorageStandard.Logs = 1
	b := start(t, c)
	defer closeBroker(t, b)
	ensureBasin(t, b.Service())
	class := protocol.StorageStandard
	ref := protocol.StreamRef{Basin: "test-basin", Stream: "safe"}
	if _, _, err := b.Service().CreateStream(t.Context(), ref.Basin, protocol.CreateStreamRequest{
		Stream: ref.Stream, Config: protocol.StreamConfig{StorageClass: &class}}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Service().Append(t.Context(), ref, input("x")); err != nil {
		t.Fatal(err)
	}
	nc, err := b.StorageConn()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), "S2_LOG_standard_0")
	if err != nil {
		t.Fatal(err)
	}
	if got := s.CachedInfo().Config; got.Compression != jetstream.S2Compression || got.Metadata["weir.class"] != "standard" {
		t.Fatalf("%+v", got)
	}
}

var lossCode = regexp.MustCompile(`accept_loss ([0-9a-f]{12})`)

func TestLostRecordsRefuseTheStartUntilTheyAreAccepted(t *testing.T) {
	c := onDisk(t.TempDir())
	c.Logs = 1
	b := start(t, c)
	ensureBasin(t, b.Service())
	for range 20 {
		appendTo(t, b.Service(), "record")
	}
	closeBroker(t, b)
	msgs := filepath.Join(c.StoreDir, "jetstream", "WEIR", "streams", "S2_LOG_express_0", "msgs")
	blocks, err := filepath.Glob(filepath.Join(msgs, "*.blk"))
	if err != nil || len(blocks) != 1 {
		t.Fatalf("%v, %v", blocks, err)
	}
	data, err := os.ReadFile(blocks[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 0x10
	if err := os.WriteFile(blocks[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(msgs, "index.db")); err != nil { // as after a crash
		t.Fatal(err)
	}
	_, err = broker.Start(t.Context(), c)
	if err == nil || !lossCode.MatchString(err.Error()) {
		t.Fatalf("the start said %v", err)
	}
	c.AcceptLoss = lossCode.FindStringSubmatch(err.Error())[1]
	b = start(t, c)
	defer closeBroker(t, b)
	appendTo(t, b.Service(), "new")
}
