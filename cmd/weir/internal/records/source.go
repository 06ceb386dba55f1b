package records

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/weirstream/weir/protocol"
)

const (
	// maxBody is the longest body that fits into one record (data plane 2.4: 8 bytes go with every record).
	maxBody = protocol.MaxBatchBytes - 8
	// maxJSONLine leaves room for the worst that JSON does to a record: six bytes for one.
	maxJSONLine = 6*protocol.MaxBatchBytes + 4096
)

// Source yields records to append, then io.EOF. Records own their memory. It is for one goroutine.
type Source interface {
	Next() (protocol.Record, error)
}

// InputError is a record that cannot be read or can never be stored. The records before it are good.
type InputError struct {
	// Where is the place of the record: "line 7", "file a.bin".
	Where string
	Err   error
}

func (e *InputError) Error() string { return e.Where + ": " + e.Err.Error() }

// Unwrap returns the record's fault.
func (e *InputError) Unwrap() error { return e.Err }

// Lines reads one record from each line of r. In [Text] the line is the body, without its "\n" or "\r\n", and an empty
// line is an empty record; in the JSON formats blank lines are skipped. A last line without "\n" counts.
func Lines(r io.Reader, f Format) Source {
	limit := maxBody
	if f.IsJSON() {
		limit = maxJSONLine
	}
	s := bufio.NewScanner(r)
	// The scanner counts the line end against its buffer, and needs a byte more to see that a line is too long.
	s.Buffer(make([]byte, 64<<10), limit+3)
	return &lines{scanner: s, format: f, limit: limit}
}

type lines struct {
	scanner *bufio.Scanner
	format  Format
	limit   int
	line    int
}

func (l *lines) Next() (protocol.Record, error) {
	for l.scanner.Scan() {
		l.line++
		text := l.scanner.Bytes()
		if len(text) > l.limit {
			return protocol.Record{}, l.tooLong()
		}
		if l.format.IsJSON() && len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		rec, err := l.record(text)
		if err == nil {
			err = checkRecord(rec)
		}
		if err != nil {
			return protocol.Record{}, &InputError{l.where(), err}
		}
		return rec, nil
	}
	switch err := l.scanner.Err(); {
	case err == nil:
		return protocol.Record{}, io.EOF
	case errors.Is(err, bufio.ErrTooLong):
		l.line++
		return protocol.Record{}, l.tooLong()
	default:
		return protocol.Record{}, fmt.Errorf("reading the input after line %d: %w", l.line, err)
	}
}

func (l *lines) record(text []byte) (protocol.Record, error) {
	if l.format.IsJSON() {
		return protocol.DecodeRecordJSON(text, l.format.wire())
	}
	return protocol.Record{Body: bytes.Clone(text)}, nil
}

func (l *lines) where() string { return fmt.Sprintf("line %d", l.line) }

func (l *lines) tooLong() error {
	return &InputError{l.where(), protocol.Errorf(protocol.CodeInvalid, "has more than %d bytes, the most that fits into a record", l.limit)}
}

// Files reads one record from each file, whose content is the body. It looks at all files first and refuses them
// together if one is missing or too large, so that a mistake appends nothing.
func Files(paths []string) (Source, error) {
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case err != nil:
			return nil, &InputError{"file " + path, errors.Unwrap(err)}
		case info.IsDir():
			return nil, &InputError{"file " + path, errors.New("is a directory")}
		case info.Size() > maxBody:
			return nil, &InputError{"file " + path, fileTooLong(info.Size())}
		}
	}
	return &files{paths: paths}, nil
}

type files struct{ paths []string }

func (f *files) Next() (protocol.Record, error) {
	if len(f.paths) == 0 {
		return protocol.Record{}, io.EOF
	}
	path := f.paths[0]
	f.paths = f.paths[1:]
	body, err := readUpTo(path, maxBody)
	if err != nil {
		return protocol.Record{}, &InputError{"file " + path, err}
	}
	return protocol.Record{Body: body}, nil
}

// readUpTo reads a file that may have grown, or be no regular file, without taking in more than limit bytes.
func readUpTo(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	defer file.Close()
	body, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(body)) > limit {
		err = fileTooLong(int64(len(body)))
	}
	return body, err
}

func fileTooLong(n int64) error {
	return protocol.Errorf(protocol.CodeInvalid, "has %d bytes or more, at most %d fit into a record", n, maxBody)
}

// checkRecord applies the rules that need no stream, so that one bad record does not spoil the batch it would be in.
func checkRecord(r protocol.Record) error {
	in := protocol.AppendInput{Records: []protocol.Record{r}}
	err := in.Validate()
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		// The line or file names the place.
		return protocol.Errorf(e.Code, "%s", strings.TrimLeft(strings.TrimPrefix(e.Message, "records[0]"), ":. "))
	}
	return err
}
