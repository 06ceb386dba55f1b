package strictjson

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Reader walks one JSON text strictly (control plane 2.9): names are matched exactly, duplicate names, wrong types,
// fractions, integers out of range, invalid UTF-8 and anything after the value are refused with the path of the offending value.
type Reader struct {
	// Root is how the outermost value is called in messages.
	Root string

	dec     *jsontext.Decoder
	name    []byte     // scratch for member names
	invalid *RuleError // the first rule that a well-formed value broke
	collect bool       // into problems
	// problems are those values that were refused, if they are collected.
	problems []error
}

// ValueError says that a value has the wrong type or is out of range.
type ValueError struct{ Path, Reason string }

func (e *ValueError) Error() string { return e.Path + ": " + e.Reason }

// RuleError says that a value of the right type breaks a rule.
type RuleError struct{ Path, Reason string }

func (e *RuleError) Error() string { return e.Path + ": " + e.Reason }

// SyntaxError says that the text is not JSON.
type SyntaxError struct {
	Err     error  // of the decoder; nil if the text goes on behind its value
	Pointer string // where it happened, as a JSON pointer, if that is known
	text    string
}

func (e *SyntaxError) Error() string { return e.text }

func (e *SyntaxError) Unwrap() error { return e.Err }

// Read reads data, which must hold exactly one value. The error is a [*SyntaxError], a [*ValueError] or the error of read; or else
// the first [*RuleError], which is returned only for a text that is well formed.
func Read(data []byte, read func(*Reader) error) error {
	r := newReader(data)
	if err := read(r); err != nil {
		return err
	}
	if err := r.end(); err != nil {
		return err
	}
	if r.invalid != nil {
		return r.invalid
	}
	return nil
}

// ReadAll is Read that goes on behind every value that is refused, and returns all that is wrong. root is how the outermost
// value is called.
func ReadAll(data []byte, root string, read func(*Reader) error) []error {
	r := newReader(data)
	r.Root, r.collect = root, true
	err := r.absorb(read(r))
	if err == nil {
		err = r.end()
	}
	if err != nil {
		r.problems = append(r.problems, err)
	}
	return r.problems
}

// Report records something that is wrong beside single values. It is for ReadAll.
func (r *Reader) Report(err error) { r.problems = append(r.problems, err) }

// absorb collects a refusal of a value, if refusals are collected, and returns every other error.
func (r *Reader) absorb(err error) error {
	if refusal := (*ValueError)(nil); r.collect && errors.As(err, &refusal) {
		r.problems = append(r.problems, refusal)
		return nil
	}
	return err
}

// end checks that nothing follows the value.
func (r *Reader) end() error {
	if _, err := r.dec.ReadToken(); err == nil {
		return &SyntaxError{text: "invalid JSON: data after the value"}
	} else if !errors.Is(err, io.EOF) {
		return r.syntax(err)
	}
	return nil
}

func newReader(data []byte) *Reader {
	return &Reader{Root: "JSON value", dec: jsontext.NewDecoder(bytes.NewBuffer(data))}
}

// Empty reports whether the text holds nothing at all; it must be asked before anything is read.
func (r *Reader) Empty() bool {
	return r.dec.PeekKind() == jsontext.KindInvalid && r.dec.InputOffset() == 0 && len(r.dec.UnreadBuffer()) == 0
}

// Object reads an object and calls member for each name. member must read the value, or skip it; name is only valid
// until then.
func (r *Reader) Object(member func(name []byte) error) error {
	if err := r.open('{', "an object"); err != nil {
		return err
	}
	for r.dec.PeekKind() != '}' {
		raw, err := r.dec.ReadValue()
		if err != nil {
			return r.syntax(err)
		}
		if r.name, err = jsontext.AppendUnquote(r.name[:0], raw); err != nil {
			return r.syntax(err)
		}
		if err := member(r.name); err != nil {
			if err = r.absorb(err); err != nil {
				return err
			}
		}
	}
	return r.close()
}

// Array reads an array and calls element for each index. element must read the value, or skip it.
func (r *Reader) Array(element func(i int) error) error {
	if err := r.open('[', "an array"); err != nil {
		return err
	}
	for i := 0; r.dec.PeekKind() != ']'; i++ {
		if err := element(i); err != nil {
			if err = r.absorb(err); err != nil {
				return err
			}
		}
	}
	return r.close()
}

func (r *Reader) open(kind jsontext.Kind, want string) error {
	if got := r.dec.PeekKind(); got != kind {
		return r.mismatch(want)
	}
	return r.close()
}

// close consumes a bracket that PeekKind has announced.
func (r *Reader) close() error {
	if _, err := r.dec.ReadToken(); err != nil {
		return r.syntax(err)
	}
	return nil
}

// Skip passes over a value, which must still be well formed.
func (r *Reader) Skip() error {
	if err := r.dec.SkipValue(); err != nil {
		return r.syntax(err)
	}
	return nil
}

// Null consumes a null, if there is one, and reports that.
func (r *Reader) Null() bool {
	if r.dec.PeekKind() != 'n' {
		return false
	}
	_, err := r.dec.ReadToken()
	return err == nil
}

// Scalar reads a value of the given kind and returns its text, valid until the next read.
func (r *Reader) Scalar(kind jsontext.Kind, want string) (jsontext.Value, error) {
	if r.dec.PeekKind() != kind {
		return nil, r.mismatch(want)
	}
	raw, err := r.dec.ReadValue()
	if err != nil {
		return nil, r.syntax(err)
	}
	return raw, nil
}

// Uint reads an integer from 0 to 2^64-1.
func (r *Reader) Uint() (uint64, error) { return r.UintMax(math.MaxUint64) }

// UintMax reads an integer from 0 to limit.
func (r *Reader) UintMax(limit uint64) (uint64, error) {
	raw, err := r.Scalar('0', "an integer")
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(string(raw), 10, 64)
	if err != nil || n > limit {
		return 0, r.Bad("want an integer from 0 to %d, got %s", limit, shorten(raw, 32))
	}
	return n, nil
}

func (r *Reader) Bool() (bool, error) {
	switch r.dec.PeekKind() {
	case 't', 'f':
		tok, err := r.dec.ReadToken()
		if err != nil {
			return false, r.syntax(err)
		}
		return tok.Bool(), nil
	}
	return false, r.mismatch("true or false")
}

// AppendString reads a string and appends its text to dst.
func (r *Reader) AppendString(dst []byte) ([]byte, error) {
	raw, err := r.Scalar('"', "a string")
	if err != nil {
		return dst, err
	}
	if dst, err = jsontext.AppendUnquote(dst, raw); err != nil {
		return dst, r.syntax(err)
	}
	return dst, nil
}

func (r *Reader) Text() (string, error) {
	b, err := r.AppendString(nil)
	return string(b), err
}

// mismatch consumes the next value and says that it has the wrong type.
func (r *Reader) mismatch(want string) error {
	kind := r.dec.PeekKind()
	if _, err := r.dec.ReadValue(); err != nil {
		return r.syntax(err)
	}
	return r.Bad("want %s, got %s", want, kindName(kind))
}

// Bad is a refusal of the value read last.
func (r *Reader) Bad(format string, args ...any) error {
	return &ValueError{r.Path(), fmt.Sprintf(format, args...)}
}

// Breaks notes that the value read last is well formed and breaks a rule. That is reported when the whole text is well formed, because
// the reference server parses before it checks rules.
func (r *Reader) Breaks(format string, args ...any) {
	if r.invalid == nil {
		r.invalid = &RuleError{r.Path(), fmt.Sprintf(format, args...)}
	}
}

// BreaksAsWhole notes that members together break a rule. It is reported in the place of a rule that one value breaks.
func (r *Reader) BreaksAsWhole(members, reason string) { r.invalid = &RuleError{members, reason} }

// Path spells where the value read last stands, as in records[3].headers[0][1].
func (r *Reader) Path() string {
	var b strings.Builder
	for tok := range r.dec.StackPointer().Tokens() {
		if _, err := strconv.ParseUint(tok, 10, 64); err == nil {
			b.WriteString("[" + tok + "]")
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(shorten(tok, 64))
	}
	if b.Len() == 0 {
		return r.Root
	}
	return b.String()
}

// syntax is the refusal of a text that is not JSON.
func (r *Reader) syntax(err error) error {
	refusal := &SyntaxError{Err: err, text: "invalid JSON"}
	var s *jsontext.SyntacticError
	if errors.As(err, &s) && s.Err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		refusal.Pointer = string(s.JSONPointer)
		refusal.text = fmt.Sprintf("%s at byte %d: %s", refusal.text, s.ByteOffset, strings.TrimPrefix(s.Err.Error(), "jsontext: "))
	} else if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		refusal.text += ": the text ends too early"
	}
	return refusal
}

// shorten is the beginning of a text, for a message.
func shorten[T ~string | ~[]byte](s T, most int) T { return s[:min(len(s), most)] }

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

// Optional reads null as nil and everything else with read.
func Optional[T any](r *Reader, read func(*Reader) (T, error)) (*T, error) {
	if r.Null() {
		return nil, nil
	}
	v, err := read(r)
	if err != nil {
		return nil, err
	}
	return &v, nil
}

// Into reads a value with read into dst.
func Into[T any](r *Reader, dst *T, read func(*Reader) (T, error)) error {
	v, err := read(r)
	if err == nil {
		*dst = v
	}
	return err
}

// IntoUnlessNull reads a value with read into dst; null leaves dst as it is.
func IntoUnlessNull[T any](r *Reader, dst *T, read func(*Reader) (T, error)) error {
	if r.Null() {
		return nil
	}
	return Into(r, dst, read)
}

// IntoOptional reads null as nil and everything else with read, into dst.
func IntoOptional[T any](r *Reader, dst **T, read func(*Reader) (T, error)) error {
	v, err := Optional(r, read)
	if err == nil {
		*dst = v
	}
	return err
}

// Enum makes a reader of strings that accepts exactly the given ones.
func Enum[T ~string](allowed ...T) func(*Reader) (T, error) {
	return func(r *Reader) (T, error) {
		s, err := r.Text()
		if err != nil {
			return "", err
		}
		for _, a := range allowed {
			if string(a) == s {
				return a, nil
			}
		}
		return "", r.Bad("unknown value %q, want one of %q", shorten(s, 64), allowed)
	}
}
