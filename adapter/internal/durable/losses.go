package durable

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/weirstream/weir/adapter/internal/js"
)

// Loss is a log that ends before the place up to which its records were acknowledged.
type Loss struct {
	Log  string // name of the JetStream stream
	Last js.Seq // where it ends
	Mark js.Seq // its watermark: where it ended when it was last synced
	// Streams are streams of the log, each with the seq_num from which on it may have lost records; More are not listed.
	Streams []string
	More    int
}

// Losses is the error of a start that finds records missing.
type Losses []Loss

func (l Losses) sort() {
	slices.SortFunc(l, func(a, b Loss) int { return strings.Compare(a.Log, b.Log) })
}

// Code stands for exactly these losses, so that accepting them accepts no others.
func (l Losses) Code() string {
	h := sha256.New()
	for _, x := range l {
		fmt.Fprintf(h, "%s %d %d\n", x.Log, x.Last, x.Mark)
	}
	return hex.EncodeToString(h.Sum(nil)[:6])
}

func (l Losses) Error() string {
	var b strings.Builder
	b.WriteString("the store has lost records that were acknowledged: ")
	for i, x := range l {
		switch {
		case i == 8:
			fmt.Fprintf(&b, "; and %d more", len(l)-i)
		case i > 8:
			continue
		case i > 0:
			b.WriteString("; ")
		}
		if i < 8 {
			fmt.Fprintf(&b, "%s ends at message %d and had reached %d", x.Log, x.Last, x.Mark)
			if len(x.Streams) > 0 {
				fmt.Fprintf(&b, " (in one or more of %s", strings.Join(x.Streams, ", "))
				if x.More > 0 {
					fmt.Fprintf(&b, " and %d more streams", x.More)
				}
				b.WriteString(")")
			}
		}
	}
	b.WriteString(". Its newest file was damaged, changed or replaced since; weir repair reports more. Restore the store from a backup, or, to give up " +
		"these records and no others, start once with accept_loss " + l.Code())
	return b.String()
}
