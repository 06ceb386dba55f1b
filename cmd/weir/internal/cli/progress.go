package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/weirstream/weir/cmd/weir/internal/bench"
)

// progressLine shows how far a bench is: one line that is drawn over again on a terminal, a line a second elsewhere.
type progressLine struct {
	out      io.Writer
	terminal bool
	options  bench.Options

	shown time.Duration
	last  bench.Progress
	width int
}

// progressLine returns nil where it would not be read: with --json, unless standard error is a terminal.
func (a *app) progressLine(o bench.Options) *progressLine {
	terminal := a.env.Terminal(a.env.Stderr)
	if a.json && !terminal {
		return nil
	}
	return &progressLine{out: a.env.Stderr, terminal: terminal, options: o}
}

func (l *progressLine) show(p bench.Progress) {
	every := time.Second
	if l.terminal {
		every = 200 * time.Millisecond
	}
	if p.Elapsed-l.shown < every {
		return
	}
	count := func(p bench.Progress) uint64 {
		if p.Phase == "append" {
			return p.Acked
		}
		return p.Read
	}
	var rate float64
	if p.Phase == l.last.Phase && count(p) >= count(l.last) || l.shown == 0 {
		rate = float64(count(p)-count(l.last)) / (p.Elapsed - l.shown).Seconds()
	}
	text := fmt.Sprintf("%5.1fs  %-8s  %d records acknowledged, %d read, %.0f records/s, %.1f MiB/s",
		p.Elapsed.Seconds(), p.Phase, p.Acked, p.Read, rate, rate*float64(l.options.RecordSize)/(1<<20))
	l.shown, l.last = p.Elapsed, p
	if !l.terminal {
		fmt.Fprintln(l.out, text)
		return
	}
	fmt.Fprintf(l.out, "\r%-*s", l.width, text)
	l.width = len(text)
}

// clear takes the line away, so that the report stands alone.
func (l *progressLine) clear() {
	if l.terminal && l.width > 0 {
		fmt.Fprintf(l.out, "\r%s\r", strings.Repeat(" ", l.width))
	}
}
