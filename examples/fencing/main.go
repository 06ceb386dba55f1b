// Command fencing lets one leader at a time write to a stream. A new leader sets a fencing token of its own, and every
// append names it. A former leader that does not know of the change yet is refused: nothing that it sends is stored.
//
// It prints:
//
//	leader-1 wrote "a"
//	leader-2 wrote "b"
//	leader-1 was refused: the token is "leader-2"
//	the stream holds: a b
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

var journal = protocol.StreamRef{Basin: "leader-basin", Stream: "journal"}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer) (err error) {
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
	svc := b.Service()
	if _, _, err := svc.CreateBasin(ctx, protocol.CreateBasinRequest{
		Basin: journal.Basin, Config: protocol.BasinConfig{CreateStreamOnAppend: true},
	}); err != nil {
		return err
	}
	for _, step := range []struct {
		leader, body string
		elected      bool
	}{{"leader-1", "a", true}, {"leader-2", "b", true}, {"leader-1", "c", false}} {
		if step.elected {
			if err := lead(ctx, svc, step.leader); err != nil {
				return err
			}
		}
		in := protocol.AppendInput{Records: []protocol.Record{{Body: []byte(step.body)}}}
		_, err := svc.Append(ctx, journal, in.Fenced(step.leader))
		var refused *protocol.Error
		switch {
		case err == nil:
			fmt.Fprintf(out, "%s wrote %q\n", step.leader, step.body)
		case errors.As(err, &refused) && refused.FencingTokenMismatch != nil:
			fmt.Fprintf(out, "%s was refused: the token is %q\n", step.leader, *refused.FencingTokenMismatch)
		default:
			return err
		}
	}
	batch, err := svc.Read(ctx, journal, protocol.ReadRequest{Start: protocol.FromSeqNum(0)})
	if err != nil {
		return err
	}
	var bodies []string
	for rec := range batch.Records.All() {
		if !rec.IsCommand() {
			bodies = append(bodies, string(rec.Body))
		}
	}
	fmt.Fprintln(out, "the stream holds:", strings.Join(bodies, " "))
	return nil
}

// lead makes name the leader: its token replaces the one before. An election elsewhere, such as a lease, chooses the leader.
func lead(ctx context.Context, svc protocol.Service, name string) error {
	_, err := svc.Append(ctx, journal, protocol.AppendInput{Records: []protocol.Record{protocol.FenceRecord(name)}})
	return err
}
