package records

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/weirstream/weir/protocol"
)

// Writer writes records, one a line. It buffers; Flush after each batch. It is for one goroutine.
type Writer struct {
	out      *bufio.Writer
	commands io.Writer
	format   Format
	line     []byte
}

// NewWriter writes to out; in [Text] it describes command records on commands instead.
func NewWriter(out, commands io.Writer, f Format) *Writer {
	return &Writer{out: bufio.NewWriterSize(out, 64<<10), commands: commands, format: f}
}

// Write writes the records of a batch.
func (w *Writer) Write(batch protocol.Records) error {
	for rec := range batch.All() {
		if err := w.record(&rec); err != nil {
			return err
		}
	}
	return nil
}

func (w *Writer) record(rec *protocol.SequencedRecord) error {
	switch {
	case w.format.IsJSON():
		w.line = append(rec.AppendJSON(w.line[:0], w.format.wire()), '\n')
	case rec.IsCommand():
		// Records that were read before must stand before it where both outputs are one terminal.
		if err := w.out.Flush(); err != nil {
			return err
		}
		_, err := fmt.Fprintf(w.commands, "%s // %s\n", describe(rec), Position(protocol.Position{SeqNum: rec.SeqNum, Timestamp: rec.Timestamp}))
		return err
	default:
		w.line = append(append(w.line[:0], rec.Body...), '\n')
	}
	_, err := w.out.Write(w.line)
	return err
}

// Flush hands everything written to the output.
func (w *Writer) Flush() error { return w.out.Flush() }

func describe(rec *protocol.SequencedRecord) string {
	switch kind := rec.Command(); {
	case kind == protocol.FenceCommand:
		return fmt.Sprintf("new fencing token %q", rec.Body)
	case kind == protocol.TrimCommand && len(rec.Body) == 8:
		return fmt.Sprintf("trim to %d", binary.BigEndian.Uint64(rec.Body))
	case kind == protocol.CloseCommand:
		return "close"
	}
	return fmt.Sprintf("unknown command %q", rec.Headers[0].Value)
}

// Position writes a position as S2's CLI does: seq_num @ timestamp.
func Position(p protocol.Position) string { return fmt.Sprintf("%d @ %d", p.SeqNum, p.Timestamp) }
