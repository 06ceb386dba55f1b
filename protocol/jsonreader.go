package protocol

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// jsonReader walks one JSON text strictly (control plane 2.9): names are matched exactly, duplicate names, wrong types,
// fractions, integers out of range, invalid UTF-8 and anything after the value are refused with code bad_json and the
// path of the offending value. Unknown members are skipped.
//
// A rule about the meaning of well-formed JSON (code invalid) is told only when the whole text is well formed, because
// the reference server parses before it judges; see [jsonReader.judge].
type jsonReader struct {
	dec     *jsontext.Decoder
	name    []byte // scratch for member names
	invalid *Error // the first rule that a well-formed value broke
}

// jsonReadable is a pointer to a type with a strict JSON form.
type jsonReadable interface {
	// readJSON reads one value and overwrites the receiver.
	readJSON(r *jsonReader) error
}

func newJSONReader(data []byte) *jsonReader {
	return &jsonReader{dec: jsontext.NewDecoder(bytes.NewBuffer(data))}
}

// DecodeJSON decodes a JSON text as T, strictly: unknown members are ignored; duplicate or differently cased names,
// wrong types, trailing data, integers out of range and invalid names have code bad_json; a value that is well formed
// but breaks a rule has code invalid. For T = [EnsureBasinRequest] and [StreamConfig], the bodies that a request may
// leave out, the empty text and null mean the zero value (control plane 2.9, D-8).
func DecodeJSON[T any](data []byte) (T, error) {
	var v T
	if t, ok := any(&v).(jsonReadable); ok {
		return v, readWhole(data, t)
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return v, Wrap(CodeBadJSON, err, "invalid JSON: "+strings.TrimPrefix(err.Error(), "json: "))
	}
	return v, nil
}

// readWhole reads data, which must hold exactly one value, into t.
func readWhole(data []byte, t jsonReadable) error {
	return readJSONText(data, t.readJSON)
}

func readJSONText(data []byte, read func(*jsonReader) error) error {
	r := newJSONReader(data)
	if err := read(r); err != nil {
		return err
	}
	if _, err := r.dec.ReadToken(); err == nil {
		return Errorf(CodeBadJSON, "invalid JSON: data after the value")
	} else if !errors.Is(err, io.EOF) {
		return r.syntax(err)
	}
	if r.invalid != nil {
		return r.invalid
	}
	return nil
}

// empty reports whether the text holds nothing at all; it must be asked before anything is read.
func (r *jsonReader) empty() bool {
	return r.dec.PeekKind() == jsontext.KindInvalid && r.dec.InputOffset() == 0 && len(r.dec.UnreadBuffer()) == 0
}

// object reads an object and calls member for each name. member must read the value, or skip it; name is only valid
// until then.
func (r *jsonReader) object(member func(name []byte) error) error {
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
			return err
		}
	}
	return r.close()
}

// array reads an array and calls element for each index. element must read the value, or skip it.
func (r *jsonReader) array(element func(i int) error) error {
	if err := r.open('[', "an array"); err != nil {
		return err
	}
	for i := 0; r.dec.PeekKind() != ']'; i++ {
		if err := element(i); err != nil {
			return err
		}
	}
	return r.close()
}

func (r *jsonReader) open(kind jsontext.Kind, want string) error {
	if got := r.dec.PeekKind(); got != kind {
		return r.mismatch(want)
	}
	return r.close()
}

// close consumes a bracket that PeekKind has announced.
func (r *jsonReader) close() error {
	if _, err := r.dec.ReadToken(); err != nil {
		return r.syntax(err)
	}
	return nil
}

// skip passes over a value, which must still be well formed.
func (r *jsonReader) skip() error {
	if err := r.dec.SkipValue(); err != nil {
		return r.syntax(err)
	}
	return nil
}

// null consumes a null, if there is one, and reports that.
func (r *jsonReader) null() bool {
	if r.dec.PeekKind() != 'n' {
		return false
	}
	_, err := r.dec.ReadToken()
	return err == nil
}

// scalar reads a value of the given kind and returns its text, valid until the next read.
func (r *jsonReader) scalar(kind jsontext.Kind, want string) (jsontext.Value, error) {
	if r.dec.PeekKind() != kind {
		return nil, r.mismatch(want)
	}
	raw, err := r.dec.ReadValue()
	if err != nil {
		return nil, r.syntax(err)
	}
	return raw, nil
}

// uint reads an integer from 0 to 2^64-1.
func (r *jsonReader) uint() (uint64, error) { return r.uintMax(math.MaxUint64) }

// uintMax reads an integer from 0 to limit.
func (r *jsonReader) uintMax(limit uint64) (uint64, error) {
	raw, err := r.scalar('0', "an integer")
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(string(raw), 10, 64)
	if err != nil || n > limit {
		return 0, r.bad("want an integer from 0 to %d, got %s", limit, truncate(raw, 32))
	}
	return n, nil
}

func (r *jsonReader) bool() (bool, error) {
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

// appendString reads a string and appends its text to dst.
func (r *jsonReader) appendString(dst []byte) ([]byte, error) {
	raw, err := r.scalar('"', "a string")
	if err != nil {
		return dst, err
	}
	if dst, err = jsontext.AppendUnquote(dst, raw); err != nil {
		return dst, r.syntax(err)
	}
	return dst, nil
}

func (r *jsonReader) string() (string, error) {
	b, err := r.appendString(nil)
	return string(b), err
}

// mismatch consumes the next value and says that it has the wrong type.
func (r *jsonReader) mismatch(want string) error {
	kind := r.dec.PeekKind()
	if _, err := r.dec.ReadValue(); err != nil {
		return r.syntax(err)
	}
	return r.bad("want %s, got %s", want, kindName(kind))
}

// bad is a refusal of the value read last.
func (r *jsonReader) bad(format string, args ...any) error {
	return Errorf(CodeBadJSON, "%s: %s", r.path(), fmt.Sprintf(format, args...))
}

// judge remembers that the value read last is well formed and breaks a rule.
func (r *jsonReader) judge(format string, args ...any) {
	if r.invalid == nil {
		r.invalid = Errorf(CodeInvalid, "%s: %s", r.path(), fmt.Sprintf(format, args...))
	}
}

// path spells where the value read last stands, as in records[3].headers[0][1].
func (r *jsonReader) path() string {
	var b strings.Builder
	for tok := range r.dec.StackPointer().Tokens() {
		if _, err := strconv.ParseUint(tok, 10, 64); err == nil {
			b.WriteString("[" + tok + "]")
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.Write(truncate([]byte(tok), 64))
	}
	if b.Len() == 0 {
		return "JSON value"
	}
	return b.String()
}

// syntax is the refusal of a text that is not JSON.
func (r *jsonReader) syntax(err error) error {
	text := "invalid JSON"
	var s *jsontext.SyntacticError
	if errors.As(err, &s) && s.Err != nil {
		text = fmt.Sprintf("%s at byte %d: %s", text, s.ByteOffset, strings.TrimPrefix(s.Err.Error(), "jsontext: "))
	} else if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		text += ": the text ends too early"
	}
	return Wrap(CodeBadJSON, err, text)
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

// optional reads null as nil and everything else with read.
func optional[T any](r *jsonReader, read func(*jsonReader) (T, error)) (*T, error) {
	if r.null() {
		return nil, nil
	}
	v, err := read(r)
	if err != nil {
		return nil, err
	}
	return &v, nil
}

// into reads a value with read into dst.
func into[T any](r *jsonReader, dst *T, read func(*jsonReader) (T, error)) error {
	v, err := read(r)
	if err == nil {
		*dst = v
	}
	return err
}

// intoUnlessNull reads a value with read into dst; null leaves dst as it is.
func intoUnlessNull[T any](r *jsonReader, dst *T, read func(*jsonReader) (T, error)) error {
	if r.null() {
		return nil
	}
	return into(r, dst, read)
}

// intoOptional reads null as nil and everything else with read, into dst.
func intoOptional[T any](r *jsonReader, dst **T, read func(*jsonReader) (T, error)) error {
	v, err := optional(r, read)
	if err == nil {
		*dst = v
	}
	return err
}

// enum makes a reader of strings that accepts exactly the given ones.
func enum[T ~string](allowed ...T) func(*jsonReader) (T, error) {
	return func(r *jsonReader) (T, error) {
		s, err := r.string()
		if err != nil {
			return "", err
		}
		for _, a := range allowed {
			if string(a) == s {
				return a, nil
			}
		}
		return "", r.bad("unknown value %q, want one of %q", truncate([]byte(s), 64), allowed)
	}
}
