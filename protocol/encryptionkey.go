package protocol

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"strings"
)

// EncryptionKey is the key that a client supplies for the records of an encrypted stream, as it came: its required form
// is known once the stream is known (data plane 7.2). The zero value is no key. It is a secret: however it is printed, logged or
// marshalled, it does not show.
type EncryptionKey struct{ text string }

// EncryptionKeyBytes is the length of a key for either cipher.
const EncryptionKeyBytes = 32

// maxEncryptionKeyText is the length of a key in Base64.
var maxEncryptionKeyText = base64.StdEncoding.EncodedLen(EncryptionKeyBytes)

// ParseEncryptionKey takes in the text of a key header: 1 to 44 visible ASCII characters after white space around them is
// cut off. The error has code bad_header and names field.
func ParseEncryptionKey(field, text string) (EncryptionKey, error) {
	text = strings.TrimSpace(text)
	if n := len(text); n == 0 || n > maxEncryptionKeyText {
		return EncryptionKey{}, Errorf(CodeBadHeader, "%s: has %d characters, 1 to %d are allowed", field, n, maxEncryptionKeyText)
	}
	if !VisibleASCII(text) {
		return EncryptionKey{}, Errorf(CodeBadHeader, "%s: may hold only visible ASCII", field)
	}
	return EncryptionKey{text}, nil
}

// NewEncryptionKey makes a key of its bytes.
func NewEncryptionKey(key [EncryptionKeyBytes]byte) EncryptionKey {
	return EncryptionKey{base64.StdEncoding.EncodeToString(key[:])}
}

// IsZero reports whether there is no key.
func (k EncryptionKey) IsZero() bool { return k.text == "" }

// Reveal returns the text of the key, to be sent.
func (k EncryptionKey) Reveal() string { return k.text }

// Resolve returns the bytes of the key for a stream that is encrypted with the cipher. The errors have code bad_header
// (data plane 7.2).
func (k EncryptionKey) Resolve(cipher Cipher) (key [EncryptionKeyBytes]byte, err error) {
	if k.IsZero() {
		return key, Errorf(CodeBadHeader, "missing encryption key for stream cipher '%s' (s2-encryption-key)", cipher)
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(k.text)
	if err != nil {
		return key, Errorf(CodeBadHeader, "s2-encryption-key: is not valid Base64")
	}
	if len(raw) != len(key) {
		return key, Errorf(CodeBadHeader, "s2-encryption-key: has %d bytes, %d are needed", len(raw), len(key))
	}
	copy(key[:], raw)
	return key, nil
}

const hiddenKey = "[encryption key]"

// String, GoString, Format, LogValue and MarshalText hide the key.
func (k EncryptionKey) String() string               { return hiddenKey }
func (k EncryptionKey) GoString() string             { return hiddenKey }
func (k EncryptionKey) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte(hiddenKey)) }
func (k EncryptionKey) LogValue() slog.Value         { return slog.StringValue(hiddenKey) }
func (k EncryptionKey) MarshalText() ([]byte, error) { return []byte(hiddenKey), nil }
