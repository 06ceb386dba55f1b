package records

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/weirstream/weir/protocol"
)

func readAll(s Source) (bodies []string, err error) {
	for {
		r, err := s.Next()
		if errors.Is(err, io.EOF) {
			return bodies, nil
		}
		if err != nil {
			return bodies, err
		}
		bodies = append(bodies, string(r.Body))
	}
}

// TestLongestLine: a body of exactly the limit passes, with either line end; one byte more does not.
func TestLongestLine(t *testing.T) {
	fits := strings.Repeat("x", maxBody)
	for _, end := range []string{"", "\n", "\r\n"} {
		got, err := readAll(Lines(strings.NewReader("a\n"+fits+end), Text))
		if err != nil || len(got) != 2 || got[1] != fits {
			t.Errorf("end %q: %d records, %v", end, len(got), err)
		}
		_, err = readAll(Lines(strings.NewReader("a\n"+fits+"y"+end), Text))
		var where *InputError
		if !errors.As(err, &where) || where.Where != "line 2" || !errors.Is(err, &protocol.Error{Code: protocol.CodeInvalid}) {
			t.Errorf("end %q: %v", end, err)
		}
	}
}

// TestLongestJSONLine: the largest record written with the longest escapes is read.
func TestLongestJSONLine(t *testing.T) {
	line := `{"body":"` + strings.Repeat(`\u0001`, maxBody) + `"}`
	got, err := readAll(Lines(strings.NewReader(line), JSON))
	if err != nil || len(got) != 1 || got[0] != strings.Repeat("\x01", maxBody) {
		t.Errorf("%d records, %v", len(got), err)
	}
}

func TestInputThatBreaks(t *testing.T) {
	in := io.MultiReader(strings.NewReader("a\nb\n"), iotest.ErrReader(errors.New("pulled the plug")))
	got, err := readAll(Lines(in, Text))
	if len(got) != 2 || err == nil || err.Error() != "reading the input after line 2: pulled the plug" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestFormats(t *testing.T) {
	for name, want := range map[string]Format{"": Text, "text": Text, "json": JSON, "raw": JSON, "json-base64": JSONBase64, "base64": JSONBase64, "json-binsafe": JSONBase64} {
		if got, err := ParseFormat(name); got != want || err != nil {
			t.Errorf("%q: %q, %v", name, got, err)
		}
	}
	if _, err := ParseFormat("JSON"); err == nil || !strings.Contains(err.Error(), "allowed are text, json and json-base64") {
		t.Error(err)
	}
}

// TestTextWritesBytesAsTheyAre: and a command in between keeps its place.
func TestTextWritesBytesAsTheyAre(t *testing.T) {
	fence := protocol.FenceRecord("tok")
	var both bytes.Buffer
	w := NewWriter(&both, &both, Text)
	err := w.Write(protocol.RecordsOf(
		protocol.SequencedRecord{SeqNum: 0, Timestamp: 1, Body: []byte("\xff\x00")},
		protocol.SequencedRecord{SeqNum: 1, Timestamp: 2, Headers: fence.Headers, Body: fence.Body},
		protocol.SequencedRecord{SeqNum: 2, Timestamp: 3, Headers: []protocol.Header{{Value: []byte("later")}}},
		protocol.SequencedRecord{SeqNum: 3, Timestamp: 4},
	))
	if err := errors.Join(err, w.Flush()); err != nil {
		t.Fatal(err)
	}
	if want := "\xff\x00\nnew fencing token \"tok\" // 1 @ 2\nunknown command \"later\" // 2 @ 3\n\n"; both.String() != want {
		t.Errorf("%q", both.String())
	}
}

// FuzzLines: any input ends, with records that are valid or a failure that names a line.
func FuzzLines(f *testing.F) {
	f.Add([]byte("a\nb"), uint8(0))
	f.Add([]byte(`{"body":"x","headers":[["a","b"]]}`), uint8(1))
	f.Add([]byte(`{"body":"eA=="}`), uint8(2))
	f.Fuzz(func(t *testing.T, data []byte, which uint8) {
		format := []Format{Text, JSON, JSONBase64}[which%3]
		s := Lines(bytes.NewReader(data), format)
		for {
			r, err := s.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if _, ok := errors.AsType[*InputError](err); ok {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			in := protocol.AppendInput{Records: []protocol.Record{r}}
			if err := in.Validate(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
