// Command migrate copies a JetStream stream into a weir stream: subjects become headers, timestamps stay, and each message is
// copied once, also when the copy is interrupted and run again. Each record has the sequence of its message in a header; a
// further run reads the last one and goes on behind it.
//
// It prints:
//
//	copied 3 messages
//	copied 2 messages
//	0 orders.new one
//	1 orders.new two
//	2 orders.paid one
//	3 orders.new three
//	4 orders.paid three
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

const sequenceHeader = "jetstream-sequence"

var orders = protocol.StreamRef{Basin: "shop-basin", Stream: "orders"}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer) (err error) {
	// The broker's own NATS server stands for the one that has the JetStream stream.
	cfg := conf.Default().WithMemory()
	cfg.NATS.Listen, cfg.HTTP.Listen = conf.ListenNone, conf.ListenNone
	b, err := broker.Start(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() {
		if closing := b.Close(ctx); err == nil {
			err = closing
		}
	}()
	nc, err := b.Connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	source, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}, Storage: jetstream.MemoryStorage})
	if err != nil {
		return err
	}
	publish := func(messages ...[2]string) error {
		for _, m := range messages {
			if _, err := js.Publish(ctx, m[0], []byte(m[1])); err != nil {
				return err
			}
		}
		return nil
	}
	svc := client.New(nc, client.Options{})
	if _, _, err := svc.CreateBasin(ctx, protocol.CreateBasinRequest{
		Basin: orders.Basin, Config: protocol.BasinConfig{CreateStreamOnAppend: true, CreateStreamOnRead: true},
	}); err != nil {
		return err
	}

	if err := publish([2]string{"orders.new", "one"}, [2]string{"orders.new", "two"}, [2]string{"orders.paid", "one"}); err != nil {
		return err
	}
	for range 2 {
		n, err := copyStream(ctx, source, svc)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "copied %d messages\n", n)
		if n == 3 {
			if err := publish([2]string{"orders.new", "three"}, [2]string{"orders.paid", "three"}); err != nil {
				return err
			}
		}
	}
	for rec, err := range svc.Records(ctx, orders, protocol.ReadRequest{Start: protocol.FromSeqNum(0)}.WithWait(0)) {
		if err != nil {
			return err
		}
		fmt.Fprintln(out, rec.SeqNum, string(rec.Headers[0].Value), string(rec.Body))
	}
	return nil
}

// copyStream copies the messages behind the last one that was copied, and returns how many messages that were.
func copyStream(ctx context.Context, source jetstream.Stream, svc protocol.Service) (copied int, err error) {
	next, sequence, err := whereToGoOn(ctx, svc)
	if err != nil {
		return 0, err
	}
	info, err := source.Info(ctx)
	if err != nil {
		return 0, err
	}
	for ; sequence <= info.State.LastSeq; sequence++ {
		msg, err := source.GetMsg(ctx, sequence)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue // deleted there
		} else if err != nil {
			return copied, err
		}
		timestamp := uint64(msg.Time.UnixMilli())
		in := protocol.AppendInput{Records: []protocol.Record{{
			Timestamp: &timestamp,
			Headers: []protocol.Header{
				{Name: []byte("subject"), Value: []byte(msg.Subject)},
				{Name: []byte(sequenceHeader), Value: strconv.AppendUint(nil, msg.Sequence, 10)},
			},
			Body: msg.Data,
		}}}
		// Under the condition, a second copy at the same time cannot put a message in twice.
		ack, err := svc.Append(ctx, orders, in.MatchingSeqNum(next))
		if err != nil {
			return copied, err
		}
		next = ack.End.SeqNum
		copied++
	}
	return copied, nil
}

// whereToGoOn returns the seq_num of the next record and the sequence of the next message.
func whereToGoOn(ctx context.Context, svc protocol.Service) (next, sequence uint64, err error) {
	tail, err := svc.CheckTail(ctx, orders)
	if err != nil || tail.SeqNum == 0 {
		return 0, 1, err
	}
	batch, err := svc.Read(ctx, orders, protocol.ReadRequest{Start: protocol.FromTail(1)})
	if err != nil {
		return 0, 0, err
	}
	for rec := range batch.Records.All() {
		for _, h := range rec.Headers {
			if string(h.Name) == sequenceHeader {
				sequence, err = strconv.ParseUint(string(h.Value), 10, 64)
			}
		}
	}
	return tail.SeqNum, sequence + 1, err
}
