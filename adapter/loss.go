package adapter

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// loss is a log that ends before the place up to which its records were acknowledged.
type loss struct {
	log  string // name of the JetStream stream
	last jsSeq  // where it ends
	mark jsSeq  // where it ended when it was last synced
}

// losses is the error of a start that finds records missing.
type losses []loss

func (l losses) sort() {
	slices.SortFunc(l, func(a, b loss) int { return strings.Compare(a.log, b.log) })
}

// code stands for exactly these losses, so that accepting them accepts no others.
func (l losses) code() string {
	h := sha256.New()
	for _, x := range l {
		fmt.Fprintf(h, "%s %d %d\n", x.log, x.last, x.mark)
	}
	return hex.EncodeToString(h.Sum(nil)[:6])
}

func (l losses) Error() string {
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
			fmt.Fprintf(&b, "%s ends at message %d and had reached %d", x.log, x.last, x.mark)
		}
	}
	b.WriteString(". Its newest file was damaged, changed or replaced since. Restore the store from a backup, or, to give these records up, " +
		"start once with accept_loss " + l.code())
	return b.String()
}
