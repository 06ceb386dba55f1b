// Command eventsourcing keeps the events of a bank account in a stream. Each command reads the events, decides, and appends its
// own event under the condition that nothing was appended in between: match_seq_num. Of two commands at the same time one is
// refused, reads again and decides again, so the balance never falls below zero.
//
// It prints:
//
//	deposited 100
//	withdrew 70
//	refused: 70 of 30
//	balance 30 after 2 events
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"sort"
	"strconv"
	"sync"
	"time"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

var account = protocol.StreamRef{Basin: "bank-basin", Stream: "account/42"}

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
	if _, _, err := svc.CreateBasin(ctx, protocol.CreateBasinRequest{Basin: account.Basin}); err != nil {
		return err
	}
	if _, _, err := svc.CreateStream(ctx, account.Basin, protocol.CreateStreamRequest{Stream: account.Stream}); err != nil {
		return err
	}
	if err := change(ctx, svc, 100); err != nil {
		return err
	}
	fmt.Fprintln(out, "deposited 100")

	// Two withdrawals at the same time, of which the balance allows one.
	var wait sync.WaitGroup
	results := make([]string, 2)
	for i := range results {
		wait.Go(func() {
			var short *insufficientError
			switch err := change(ctx, svc, -70); {
			case err == nil:
				results[i] = "withdrew 70"
			case errors.As(err, &short):
				results[i] = fmt.Sprintf("refused: %d of %d", short.wanted, short.balance)
			default:
				results[i] = err.Error()
			}
		})
	}
	wait.Wait()
	sort.Sort(sort.Reverse(sort.StringSlice(results)))
	for _, r := range results {
		fmt.Fprintln(out, r)
	}
	balance, events, err := replay(ctx, svc)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "balance %d after %d events\n", balance, events)
	return nil
}

type insufficientError struct{ wanted, balance int }

func (e *insufficientError) Error() string { return "the balance is too low" }

// change appends an event, unless the balance would fall below zero.
func change(ctx context.Context, svc protocol.Service, amount int) error {
	for {
		balance, next, err := replay(ctx, svc)
		if err != nil {
			return err
		}
		if balance+amount < 0 {
			return &insufficientError{wanted: -amount, balance: balance}
		}
		event := protocol.AppendInput{Records: []protocol.Record{{Body: strconv.AppendInt(nil, int64(amount), 10)}}}
		_, err = svc.Append(ctx, account, event.MatchingSeqNum(next))
		if protocol.CodeOf(err) == protocol.CodeConditionFailed {
			continue // another writer was first: decide again
		}
		return err
	}
}

// replay returns the state that the events make, and the seq_num of the next one.
func replay(ctx context.Context, svc protocol.Service) (balance int, next uint64, err error) {
	tail, err := svc.CheckTail(ctx, account)
	if err != nil {
		return 0, 0, err
	}
	for next < tail.SeqNum {
		batch, err := svc.Read(ctx, account, protocol.ReadRequest{Start: protocol.FromSeqNum(next)})
		if err != nil {
			return 0, 0, err
		}
		for rec := range batch.Records.All() {
			amount, err := strconv.Atoi(string(rec.Body))
			if err != nil {
				return 0, 0, err
			}
			balance += amount
			next = rec.SeqNum + 1
		}
	}
	return balance, next, nil
}
