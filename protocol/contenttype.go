package protocol

import (
	"fmt"
	"time"
)

// MaxContentTypeBytes bounds the content type of a stream.
const MaxContentTypeBytes = 256

// CheckContentType refuses a content type that cannot be sent as a header: it has at most [MaxContentTypeBytes] bytes, of visible
// ASCII and spaces. "" is none. The error has no code, as those of the names' parsers.
func CheckContentType(s string) error {
	if len(s) > MaxContentTypeBytes {
		return fmt.Errorf("has %d bytes, at most %d are allowed", len(s), MaxContentTypeBytes)
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return fmt.Errorf("%q may hold only visible ASCII and spaces", Clip(s))
		}
	}
	return nil
}

// CheckContentType refuses the stream's content type as the function does. Codes: invalid.
func (c *ResolvedStreamConfig) CheckContentType() error {
	if err := CheckContentType(c.ContentType); err != nil {
		return Errorf(CodeInvalid, "content_type: %v", err)
	}
	return nil
}

// Check refuses settings that a stream cannot be created with at now. Codes: invalid.
func (c *ResolvedStreamConfig) Check(now time.Time) error {
	if err := c.CheckContentType(); err != nil {
		return err
	}
	return c.Expiry.Check(now)
}
