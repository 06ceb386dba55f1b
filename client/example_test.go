package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

var orders = protocol.StreamRef{Basin: "demo-basin", Stream: "orders"}

// exampleBroker starts a broker in memory with a NATS port, and makes a basin whose streams are made by appends.
func exampleBroker(ctx context.Context) (url string, stop func()) {
	cfg := conf.Default().WithMemory()
	cfg.NATS.Listen = "127.0.0.1:0"
	b, err := broker.Start(ctx, cfg)
	if err != nil {
		log.Fatal(err)
	}
	if _, _, err := b.Service().CreateBasin(ctx, protocol.CreateBasinRequest{
		Basin: orders.Basin, Config: protocol.BasinConfig{CreateStreamOnAppend: true},
	}); err != nil {
		log.Fatal(err)
	}
	return b.ClientURL(), func() {
		if err := b.Close(ctx); err != nil {
			log.Print(err)
		}
	}
}

func inputOf(bodies ...string) (in protocol.AppendInput) {
	for _, body := range bodies {
		in.Records = append(in.Records, protocol.Record{Body: []byte(body)})
	}
	return in
}

// Connect, append, read.
func ExampleDial() {
	ctx := context.Background()
	url, stop := exampleBroker(ctx)
	defer stop()

	c, err := client.Dial(url)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ack, err := c.Append(ctx, orders, inputOf("first", "second"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("stored", ack.Start.SeqNum, "to", ack.End.SeqNum-1)
	batch, err := c.Read(ctx, orders, protocol.ReadRequest{Start: protocol.FromTail(1)})
	if err != nil {
		log.Fatal(err)
	}
	for rec := range batch.Records.All() {
		fmt.Println(rec.SeqNum, string(rec.Body))
	}
	// Output:
	// stored 0 to 1
	// 1 second
}

// Two writers want the next seq_num; one gets it, the other learns where the stream stands.
func ExampleClient_Append() {
	ctx := context.Background()
	url, stop := exampleBroker(ctx)
	defer stop()
	c, err := client.Dial(url)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	next := uint64(0)
	for _, writer := range []string{"a", "b"} {
		in := inputOf("written by " + writer)
		in.MatchSeqNum = &next
		_, err := c.Append(ctx, orders, in)
		var failed *protocol.Error
		switch {
		case err == nil:
			fmt.Println(writer, "has it")
		case errors.As(err, &failed) && failed.SeqNumMismatch != nil:
			fmt.Println(writer, "is late; the next seq_num is", *failed.SeqNumMismatch)
		default:
			log.Fatal(err) // whether it is stored is not known, unless the code says so
		}
	}
	// Output:
	// a has it
	// b is late; the next seq_num is 1
}

// A pipeline: inputs leave without waiting for the acks of those before, and are stored in their order.
func ExampleClient_OpenAppendSession() {
	ctx := context.Background()
	url, stop := exampleBroker(ctx)
	defer stop()
	c, err := client.Dial(url)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	session, err := c.OpenAppendSession(ctx, orders)
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	for _, body := range []string{"one", "two", "three"} {
		if err := session.Submit(ctx, inputOf(body)); err != nil {
			break // Recv has the reason
		}
	}
	if err := session.CloseSend(); err != nil {
		log.Fatal(err)
	}
	for {
		ack, err := session.Recv(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("durable up to", ack.End.SeqNum)
	}
	// Output:
	// durable up to 1
	// durable up to 2
	// durable up to 3
}

// Follow a stream: what is stored, and what comes, until the loop is left.
func ExampleClient_Records() {
	ctx := context.Background()
	url, stop := exampleBroker(ctx)
	defer stop()
	c, err := client.Dial(url)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Append(ctx, orders, inputOf("stored before")); err != nil {
		log.Fatal(err)
	}
	appended := make(chan error, 1)
	go func() {
		_, err := c.Append(ctx, orders, inputOf("comes while it is followed"))
		appended <- err
	}()
	for rec, err := range c.Records(ctx, orders, protocol.ReadRequest{Start: protocol.FromSeqNum(0)}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(rec.SeqNum, string(rec.Body))
		if rec.SeqNum == 1 {
			break
		}
	}
	if err := <-appended; err != nil {
		log.Fatal(err)
	}
	// Output:
	// 0 stored before
	// 1 comes while it is followed
}

// Over a connection of the program's own, with options of both. Refusals makes what NATS does not let the user publish fail at once.
func ExampleNew() {
	ctx := context.Background()
	url, stop := exampleBroker(ctx)
	defer stop()

	refusals := client.NewRefusals(nil)
	nc, err := nats.Connect(url, nats.Name("orders"), nats.ErrorHandler(refusals.HandleError))
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	c := client.New(nc, client.Options{Refusals: refusals, AccessToken: os.Getenv("S2_ACCESS_TOKEN")})
	_, err = c.CheckTail(ctx, orders)
	fmt.Println(protocol.CodeOf(err))
	// Output: stream_not_found
}
