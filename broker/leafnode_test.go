package broker_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/test/freeport"
)

// TestAnswersThroughALeafNode: answers and batches of sessions fit what a leaf node takes, so that none cuts its link: by what the Go
// client says, and for other clients by what is assumed.
func TestAnswersThroughALeafNode(t *testing.T) {
	free, err := freeport.Addresses(1)
	if err != nil {
		t.Fatal(err)
	}
	at := free[0]
	cfg := onDisk(t.TempDir())
	cfg.NATS.Listen = "127.0.0.1:0"
	cfg.NATS.ConfigFile = filepath.Join(t.TempDir(), "nats.conf")
	text := fmt.Sprintf("accounts { APP { users: [ { user: app, password: secret } ] } }\nleafnodes { listen: %q }\n", at)
	if err := os.WriteFile(cfg.NATS.ConfigFile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	b := start(t, cfg)
	defer closeBroker(t, b)
	ensureBasin(t, b.Service())
	const records = 8
	ref := protocol.StreamRef{Basin: events.Basin, Stream: "large"}
	for range records {
		in := protocol.AppendInput{Records: []protocol.Record{{Body: make([]byte, 400<<10)}}}
		if _, err := b.Service().Append(t.Context(), ref, in); err != nil {
			t.Fatal(err)
		}
	}

	for _, payload := range []int32{0, 640 << 10} { // 0: the server's own default, 1 MiB
		t.Run(fmt.Sprint(payload), func(t *testing.T) {
			leaf, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true, MaxPayload: payload,
				LeafNode: server.LeafNodeOpts{Remotes: []*server.RemoteLeafOpts{{URLs: []*url.URL{{Scheme: "nats-leaf", Host: at, User: url.UserPassword("app", "secret")}}}}}})
			if err != nil {
				t.Fatal(err)
			}
			leaf.Start()
			defer func() { leaf.Shutdown(); leaf.WaitForShutdown() }()
			link := func() uint64 {
				t.Helper()
				for began := time.Now(); time.Since(began) < 2*time.Minute; time.Sleep(10 * time.Millisecond) {
					if z, err := leaf.Leafz(nil); err == nil && len(z.Leafs) == 1 {
						return z.Leafs[0].ID
					}
				}
				t.Fatal("the leaf node has no link")
				return 0
			}
			before := link()
			nc, err := nats.Connect(leaf.ClientURL())
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			svc := client.New(nc, client.Options{})
			eventually(t, "the leaf node knows where the door is", func() bool {
				_, err := svc.CheckTail(t.Context(), ref)
				return err == nil
			})

			if payload == 0 { // a client that says nothing
				m, err := nc.RequestMsg(&nats.Msg{Subject: "s2.v1.read." + string(ref.Basin) + ".large", Data: []byte(`{"seq_num":0}`),
					Header: nats.Header{protocol.HeaderAccept: {protocol.MediaProtobuf}}}, time.Minute)
				if err != nil {
					t.Fatal(err)
				}
				batch, err := protocol.UnmarshalReadBatch(m.Data)
				if err != nil || batch.Records.Len() == 0 || len(m.Data) > 1<<20 {
					t.Errorf("%d records in %d bytes, %v", batch.Records.Len(), len(m.Data), err)
				}
			}
			batch, err := svc.Read(t.Context(), ref, protocol.ReadRequest{Start: protocol.FromSeqNum(0)})
			if err != nil || batch.Records.Len() == 0 {
				t.Errorf("a read: %d records, %v", batch.Records.Len(), err)
			}
			s, err := svc.OpenReadSession(t.Context(), ref, protocol.ReadRequest{Start: protocol.FromSeqNum(0)})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			for n := 0; n < records; {
				batch, err := s.Next(t.Context())
				if err != nil {
					t.Fatalf("a session, after %d records: %v", n, err)
				}
				n += batch.Records.Len()
			}
			if after := link(); after != before {
				t.Errorf("the link was cut: it is connection %d, and was %d", after, before)
			}
		})
	}
}
