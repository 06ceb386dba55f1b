package declare

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/weirstream/weir/protocol"
)

// reader walks one JSON text and goes on behind what is wrong with it, so that everything is told at once. Only a text
// that is not JSON, repeated member names included, ends it: then its methods return an error.
type reader struct {
	dec      *jsontext.Decoder
	problems []string
}

func newReader(data []byte) *reader {
	return &reader{dec: jsontext.NewDecoder(bytes.NewReader(data))}
}

// problem records something that is wrong.
func (r *reader) problem(format string, args ...any) {
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

// bad records that the value read last is wrong.
func (r *reader) bad(format string, args ...any) {
	r.problem("%s: %s", r.path(), fmt.Sprintf(format, args...))
}

// path spells where the value read last stands, as in basins[0].streams[2].config.
func (r *reader) path() string {
	var b strings.Builder
	for tok := range r.dec.StackPointer().Tokens() {
		if _, err := strconv.ParseUint(tok, 10, 64); err == nil {
			b.WriteString("[" + tok + "]")
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(protocol.Clip(tok))
	}
	if b.Len() == 0 {
		return "the file"
	}
	return b.String()
}

// object reads an object. member reads the value of a member, or returns unknown without reading it; the names of those
// are refused if strict.
func (r *reader) object(strict bool, member func(name string) error) error {
	if r.dec.PeekKind() != '{' {
		return r.mismatch("an object")
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return syntax(err)
	}
	for r.dec.PeekKind() != '}' {
		name, err := r.dec.ReadToken()
		if err != nil {
			return syntax(err)
		}
		text := name.String()
		err = member(text)
		if errors.Is(err, errUnknown) {
			if err = r.skip(); strict && err == nil {
				r.bad("there is no such field")
			}
		}
		if err != nil {
			return err
		}
	}
	_, err := r.dec.ReadToken()
	return syntax(err)
}

// errUnknown is what the reader of a member returns that does not know it.
var errUnknown = errors.New("unknown member")

// array reads an array; element reads each value.
func (r *reader) array(element func() error) error {
	if r.dec.PeekKind() != '[' {
		return r.mismatch("an array")
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return syntax(err)
	}
	for r.dec.PeekKind() != ']' {
		if err := element(); err != nil {
			return err
		}
	}
	_, err := r.dec.ReadToken()
	return syntax(err)
}

// orNull reads null, or else what read reads: where a spec allows null it means what absence means.
func (r *reader) orNull(read func() error) error {
	if r.dec.PeekKind() == 'n' {
		_, err := r.dec.ReadToken()
		return syntax(err)
	}
	return read()
}

// text reads a string and hands it to use, whose error is recorded.
func (r *reader) text(use func(string) error) error {
	if r.dec.PeekKind() != '"' {
		return r.mismatch("a string")
	}
	tok, err := r.dec.ReadToken()
	if err != nil {
		return syntax(err)
	}
	if err := use(tok.String()); err != nil {
		r.bad("%v", err)
	}
	return nil
}

// boolean reads true or false.
func (r *reader) boolean(dst *bool) error {
	if k := r.dec.PeekKind(); k != 't' && k != 'f' {
		return r.mismatch("true or false")
	}
	tok, err := r.dec.ReadToken()
	if err != nil {
		return syntax(err)
	}
	*dst = tok.Bool()
	return nil
}

// integer reads a whole number from 0 to most.
func (r *reader) integer(dst *int, most int) error {
	if r.dec.PeekKind() != '0' {
		return r.mismatch("a whole number")
	}
	tok, err := r.dec.ReadToken()
	if err != nil {
		return syntax(err)
	}
	n, err := strconv.Atoi(tok.String())
	if err != nil || n < 0 || n > most {
		r.bad("%s is not a whole number from 0 to %d", protocol.Clip(tok.String()), most)
		return nil //nolint:nilerr // r.bad keeps it, and the reader goes on to report every problem
	}
	*dst = n
	return nil
}

// skip passes over a value.
func (r *reader) skip() error { return syntax(r.dec.SkipValue()) }

// mismatch passes over a value and records that it has the wrong type.
func (r *reader) mismatch(want string) error {
	kind := r.dec.PeekKind()
	if err := r.skip(); err != nil {
		return err
	}
	r.bad("%s is needed here, not %s", want, kindName(kind))
	return nil
}

// end checks that nothing follows.
func (r *reader) end() error {
	switch _, err := r.dec.ReadToken(); {
	case err == nil:
		return errors.New("invalid JSON: data after the value")
	case errors.Is(err, io.EOF):
		return nil
	default:
		return syntax(err)
	}
}

func kindName(k jsontext.Kind) string {
	switch k {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case 'n':
		return "null"
	}
	return "true or false"
}

// syntax says that the text is not JSON; nil if err is.
func syntax(err error) error {
	var s *jsontext.SyntacticError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &s) && s.Err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		place := fmt.Sprintf("byte %d", s.ByteOffset)
		if s.JSONPointer != "" {
			place += ", " + protocol.Clip(string(s.JSONPointer))
		}
		return fmt.Errorf("invalid JSON at %s: %s", place, strings.TrimPrefix(s.Err.Error(), "jsontext: "))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("invalid JSON: the text ends too early")
	}
	return fmt.Errorf("invalid JSON: %w", err)
}
