package protocol

import (
	"strings"

	"github.com/weirstream/weir/internal/strictjson"

	"github.com/go-json-experiment/json"
)

// jsonReadable is a pointer to a type with a strict JSON form.
type jsonReadable interface {
	// readJSON reads one value and overwrites the receiver.
	readJSON(r *strictjson.Reader) error
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

func readJSONText(data []byte, read func(*strictjson.Reader) error) error {
	err := strictjson.Read(data, read)
	switch e := err.(type) { //nolint:errorlint // the reader returns its own errors as they are
	case *strictjson.ValueError:
		return Errorf(CodeBadJSON, "%s", e.Error())
	case *strictjson.SyntaxError:
		return Wrap(CodeBadJSON, e.Err, e.Error())
	case *strictjson.RuleError:
		return Errorf(CodeInvalid, "%s", e.Error())
	}
	return err
}
