package protocol

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// BasinName is a valid basin name: 8 to 48 bytes of a-z, 0-9 and '-', beginning and ending with a letter or digit.
// Make one with [ParseBasinName].
type BasinName string

// StreamName is a valid stream name: 1 to 512 bytes of UTF-8 without NUL, and neither "." nor "..". Make one with
// [ParseStreamName].
type StreamName string

// StreamRef names one stream of the account.
type StreamRef struct {
	Basin  BasinName  // the namespace
	Stream StreamName // unique in the basin
}

// String returns the stream's URI, s2://basin/stream.
func (r StreamRef) String() string { return "s2://" + string(r.Basin) + "/" + string(r.Stream) }

// NameError says why a name is refused. The door that met the name chooses the code, because it depends on where
// the name stood (control plane 1.2).
type NameError struct {
	Field  string // the role of the name, such as "basin name"
	Reason string // the rule that is broken, with its limit
}

func (e *NameError) Error() string { return "invalid " + e.Field + ": " + e.Reason }

// ParseBasinName checks s against the rules of control plane 1.1, in their order. The error is a [*NameError].
func ParseBasinName(s string) (BasinName, error) {
	if err := checkBasin("basin name", s, wholeName); err != nil {
		return "", err
	}
	return BasinName(s), nil
}

// CheckBasinPrefix checks a basin prefix or start_after: 0 to 48 bytes, which need not end in a letter or digit.
// The error is a [*NameError] that names field.
func CheckBasinPrefix(field, s string) error { return checkBasin(field, s, namePrefix) }

// nameForm distinguishes a whole name from a prefix of one, which may be empty.
type nameForm uint8

const (
	wholeName nameForm = iota
	namePrefix
)

func checkBasin(field, s string, form nameForm) error {
	switch {
	case len(s) > MaxBasinNameBytes:
		return &NameError{field, fmt.Sprintf("has %d bytes, at most %d are allowed", len(s), MaxBasinNameBytes)}
	case form == wholeName && s == "":
		return &NameError{field, fmt.Sprintf("is empty, at least %d bytes are needed", MinBasinNameBytes)}
	case form == wholeName && len(s) < MinBasinNameBytes:
		return &NameError{field, fmt.Sprintf("has %d bytes, at least %d are needed", len(s), MinBasinNameBytes)}
	case s == "":
		return nil
	case !isBasinAlnum(s[0]):
		return &NameError{field, "must begin with a lowercase letter or a digit"}
	case form == wholeName && !isBasinAlnum(s[len(s)-1]):
		return &NameError{field, "must end with a lowercase letter or a digit"}
	}
	for i := 1; i < len(s); i++ {
		if !isBasinAlnum(s[i]) && s[i] != '-' {
			return &NameError{field, "may hold only lowercase letters, digits and hyphens"}
		}
	}
	return nil
}

func isBasinAlnum(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }

// ParseStreamName checks s against the rules of control plane 1.1 and decision D-15 (no NUL). The error is a
// [*NameError].
func ParseStreamName(s string) (StreamName, error) {
	switch s {
	case "":
		return "", &NameError{"stream name", "is empty"}
	case ".", "..":
		return "", &NameError{"stream name", `may not be "." or ".."`}
	}
	if err := CheckStreamPrefix("stream name", s); err != nil {
		return "", err
	}
	return StreamName(s), nil
}

// CheckStreamPrefix checks a stream prefix or start_after: 0 to 512 bytes of UTF-8 without NUL. The error is a
// [*NameError] that names field.
func CheckStreamPrefix(field, s string) error {
	switch {
	case len(s) > MaxStreamNameBytes:
		return &NameError{field, fmt.Sprintf("has %d bytes, at most %d are allowed", len(s), MaxStreamNameBytes)}
	case !utf8.ValidString(s):
		return &NameError{field, "is not valid UTF-8"}
	case strings.IndexByte(s, 0) >= 0:
		return &NameError{field, "may not hold a NUL byte"}
	}
	return nil
}

// ParseStreamURI reads s2://basin/stream; the path after the basin, slashes included, is the stream's name. The
// error is a [*NameError].
func ParseStreamURI(s string) (StreamRef, error) {
	basin, stream, err := splitURI(s)
	if err != nil {
		return StreamRef{}, err
	}
	b, err := ParseBasinName(basin)
	if err != nil {
		return StreamRef{}, err
	}
	if stream == "" {
		return StreamRef{}, &NameError{"stream URI", fmt.Sprintf("%q names no stream: s2://%s/STREAM is needed", s, b)}
	}
	n, err := ParseStreamName(stream)
	if err != nil {
		return StreamRef{}, err
	}
	return StreamRef{b, n}, nil
}

// ParseBasinURI reads s2://basin, s2://basin/ or a bare basin name, and returns the text behind the slash as a stream
// prefix, possibly empty. The error is a [*NameError].
func ParseBasinURI(s string) (basin BasinName, prefix string, err error) {
	name := s
	if strings.Contains(s, "://") {
		if name, prefix, err = splitURI(s); err != nil {
			return "", "", err
		}
	}
	if basin, err = ParseBasinName(name); err != nil {
		return "", "", err
	}
	return basin, prefix, CheckStreamPrefix("stream prefix", prefix)
}

func splitURI(s string) (basin, path string, err error) {
	rest, ok := strings.CutPrefix(s, "s2://")
	if !ok {
		return "", "", &NameError{"stream URI", fmt.Sprintf("%q does not begin with s2://", s)}
	}
	basin, path, _ = strings.Cut(rest, "/")
	return basin, path, nil
}

// CheckRequestToken checks an idempotency token: at most 36 bytes of visible ASCII; the empty token is a token like
// any other (control plane 3.3). The error is a [*NameError].
func CheckRequestToken(s string) error {
	if len(s) > MaxRequestTokenBytes {
		return &NameError{"request token", fmt.Sprintf("has %d bytes, at most %d are allowed", len(s), MaxRequestTokenBytes)}
	}
	for i := range len(s) {
		if s[i] < 0x21 || s[i] > 0x7e {
			return &NameError{"request token", "may hold only visible ASCII"}
		}
	}
	return nil
}
