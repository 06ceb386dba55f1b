package backup_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/weirstream/weir/backup"
	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// A program with a broker inside it backs the store up, checks the backup and restores it into another broker.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "weir-backup-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	dir = filepath.Join(dir, "monday")

	source, closeSource := embedded(ctx)
	defer closeSource()
	if _, _, err := source.CreateBasin(ctx, protocol.CreateBasinRequest{
		Basin: "demo-basin", Config: protocol.BasinConfig{CreateStreamOnAppend: true},
	}); err != nil {
		log.Fatal(err)
	}
	orders := protocol.StreamRef{Basin: "demo-basin", Stream: "orders"}
	if _, err := source.Append(ctx, orders, protocol.AppendInput{Records: []protocol.Record{{Body: []byte("first")}}}); err != nil {
		log.Fatal(err)
	}

	if _, err := backup.Save(ctx, source, dir, backup.SaveOptions{}); err != nil {
		log.Fatal(err)
	}
	if _, err := backup.Verify(ctx, dir, nil); err != nil {
		log.Fatal(err)
	}

	target, closeTarget := embedded(ctx)
	defer closeTarget()
	if _, err := backup.Restore(ctx, target, dir, backup.RestoreOptions{}); err != nil {
		log.Fatal(err)
	}
	batch, err := target.Read(ctx, orders, protocol.ReadRequest{Start: protocol.FromSeqNum(0)})
	if err != nil {
		log.Fatal(err)
	}
	for rec := range batch.Records.All() {
		fmt.Println(rec.SeqNum, string(rec.Body))
	}
	// Output: 0 first
}

// embedded starts a broker in memory and connects to it within the process.
func embedded(ctx context.Context) (*client.Client, func()) {
	cfg := conf.Default().WithMemory()
	cfg.NATS.Listen, cfg.HTTP.Listen = "", ""
	b, err := broker.Start(ctx, cfg)
	if err != nil {
		log.Fatal(err)
	}
	nc, err := b.Connect()
	if err != nil {
		log.Fatal(err)
	}
	return client.New(nc, client.Options{}), func() {
		nc.Close()
		if err := b.Close(ctx); err != nil {
			log.Print(err)
		}
	}
}
