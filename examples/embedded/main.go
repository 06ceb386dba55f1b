// Command embedded runs a broker inside a program. One goroutine appends measurements, another follows them. No port is
// opened, and the records are in a directory.
//
// It prints:
//
//	0 temperature 20.0
//	1 temperature 20.5
//	2 temperature 21.0
//	the stream has 3 records
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

var measurements = protocol.StreamRef{Basin: "sensor-basin", Stream: "kitchen/temperature"}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "weir-embedded-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	cfg := conf.Default().WithStoreDir(dir)
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

	svc := b.Service()
	if _, _, err := svc.CreateBasin(ctx, protocol.CreateBasinRequest{Basin: measurements.Basin}); err != nil {
		return err
	}
	if _, _, err := svc.CreateStream(ctx, measurements.Basin, protocol.CreateStreamRequest{Stream: measurements.Stream}); err != nil {
		return err
	}
	group, both := errgroup.WithContext(ctx)
	group.Go(func() error { return measure(both, svc) })
	group.Go(func() error { return show(both, svc, out) })
	if err := group.Wait(); err != nil {
		return err
	}
	tail, err := svc.CheckTail(ctx, measurements)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "the stream has %d records\n", tail.SeqNum)
	return nil
}

func measure(ctx context.Context, svc protocol.Service) error {
	for i := range 3 {
		body := fmt.Appendf(nil, "temperature %.1f", 20+float64(i)/2)
		// The append is on disk when it returns.
		if _, err := svc.Append(ctx, measurements, protocol.AppendInput{Records: []protocol.Record{{Body: body}}}); err != nil {
			return err
		}
	}
	return nil
}

// show reads from the beginning and follows until it has seen three records.
func show(ctx context.Context, svc protocol.Service, out io.Writer) error {
	session, err := svc.OpenReadSession(ctx, measurements, protocol.ReadRequest{Start: protocol.FromSeqNum(0)}.WithCount(3).WithWait(time.Minute))
	if err != nil {
		return err
	}
	defer session.Close()
	for {
		batch, err := session.Next(ctx)
		if err == io.EOF { //nolint:errorlint // the contract says io.EOF itself
			return nil
		} else if err != nil {
			return err
		}
		for rec := range batch.Records.All() {
			fmt.Fprintln(out, rec.SeqNum, string(rec.Body))
		}
	}
}
