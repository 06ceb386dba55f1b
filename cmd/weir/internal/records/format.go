// Package records reads the records that the command line appends and writes those that it reads: lines of text, lines
// of JSON, whole files.
package records

import (
	"fmt"
	"slices"

	"github.com/weirstream/weir/protocol"
)

// Format is how a record looks outside: one line each.
type Format string

// The formats. They follow S2's CLI.
const (
	// Text is the body alone. Headers and timestamps cannot be said; command records are described on standard error.
	Text Format = "text"
	// JSON is an object with seq_num, timestamp, headers and body; bytes that are not UTF-8 are replaced.
	JSON Format = "json"
	// JSONBase64 is the same with header names, header values and bodies in Base64: nothing is lost.
	JSONBase64 Format = "json-base64"
)

// formats is every name and the aliases that S2's CLI takes.
var formats = map[string]Format{
	"": Text, "text": Text,
	"json": JSON, "raw": JSON,
	"json-base64": JSONBase64, "base64": JSONBase64, "json-binsafe": JSONBase64,
}

// ParseFormat reads the name of a format.
func ParseFormat(s string) (Format, error) {
	if f, ok := formats[s]; ok {
		return f, nil
	}
	return "", fmt.Errorf("%q is not a record format; allowed are %s, %s and %s", s, Text, JSON, JSONBase64)
}

// wire is how the format writes bytes in JSON.
func (f Format) wire() protocol.RecordFormat {
	if f == JSONBase64 {
		return protocol.FormatBase64
	}
	return protocol.FormatRaw
}

// Set implements pflag.Value.
func (f *Format) Set(s string) (err error) {
	*f, err = ParseFormat(s)
	return err
}

// String implements pflag.Value.
func (f *Format) String() string { return string(*f) }

// Type implements pflag.Value.
func (f *Format) Type() string { return "format" }

// IsJSON reports whether each line is a JSON object.
func (f Format) IsJSON() bool { return slices.Contains([]Format{JSON, JSONBase64}, f) }
