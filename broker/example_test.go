package broker_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// A program with a broker inside it: records go in and out by function calls, and over a NATS connection that never
// leaves the process.
func ExampleStart() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "weir-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	cfg := conf.Default().WithStoreDir(dir)
	cfg.NATS.Listen, cfg.HTTP.Listen = "", "" // No port: only this program can connect.
	b, err := broker.Start(ctx, cfg)
	if err != nil {
		log.Fatal(err)
	}
	defer func() {
		if err := b.Close(ctx); err != nil {
			log.Print(err)
		}
	}()

	svc := b.Service()
	basin := protocol.CreateBasinRequest{Basin: "demo-basin", Config: protocol.BasinConfig{CreateStreamOnAppend: true}}
	if _, _, err := svc.CreateBasin(ctx, basin); err != nil {
		log.Fatal(err)
	}
	greetings := protocol.StreamRef{Basin: "demo-basin", Stream: "greetings"}
	ack, err := svc.Append(ctx, greetings, protocol.AppendInput{Records: []protocol.Record{
		{Body: []byte("hello")},
		{Body: []byte("world")},
	}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("next seq_num:", ack.End.SeqNum)

	batch, err := svc.Read(ctx, greetings, protocol.ReadRequest{Start: protocol.FromSeqNum(0)})
	if err != nil {
		log.Fatal(err)
	}
	for rec := range batch.Records.All() {
		fmt.Println(rec.SeqNum, string(rec.Body))
	}

	nc, err := b.Connect()
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.RequestWithContext(ctx, "s2.v1.append.demo-basin.greetings", []byte("over NATS")); err != nil {
		log.Fatal(err)
	}
	tail, err := svc.CheckTail(ctx, greetings)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("tail:", tail.SeqNum)

	// Output:
	// next seq_num: 2
	// 0 hello
	// 1 world
	// tail: 3
}
