package declare

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/weirstream/weir/protocol"
)

// basinConfig reads a basin's configuration; defaults gets its default_stream_config.
func (p *parser) basinConfig(c *protocol.BasinConfig, defaults *layer) error {
	return p.object(true, func(field string) error {
		switch field {
		case "create_stream_on_append":
			return p.orNull(func() error { return p.boolean(&c.CreateStreamOnAppend) })
		case "create_stream_on_read":
			return p.orNull(func() error { return p.boolean(&c.CreateStreamOnRead) })
		case "stream_cipher":
			return p.orNull(func() error {
				return p.text(oneOf(&c.StreamCipher, protocol.CipherAEGIS256, protocol.CipherAES256GCM))
			})
		case "default_stream_config":
			return p.orNull(func() error { return p.streamConfig(defaults) })
		}
		return errUnknown
	})
}

func (p *parser) streamConfig(l *layer) error {
	return p.object(true, func(field string) error {
		switch field {
		case "storage_class":
			return p.orNull(func() error {
				return p.text(func(s string) error {
					class, err := protocol.ParseStorageClass(s)
					l.config.StorageClass = &class
					return err
				})
			})
		case "retention_policy":
			return p.orNull(func() error { return p.text(l.retention) })
		case "timestamping":
			return p.orNull(func() error { return p.timestamping(&l.config) })
		case "delete_on_empty":
			return p.orNull(func() error { return p.deleteOnEmpty(&l.config) })
		case "expiry":
			return p.orNull(func() error { return p.expiry(&l.config) })
		}
		return errUnknown
	})
}

func (p *parser) timestamping(c *protocol.StreamConfig) error {
	return p.object(true, func(field string) error {
		switch field {
		case "mode":
			return p.orNull(func() error {
				return p.text(optional(&c.TimestampingMode,
					protocol.TimestampClientPrefer, protocol.TimestampClientRequire, protocol.TimestampArrival))
			})
		case "uncapped":
			return p.orNull(func() error {
				c.Uncapped = new(bool)
				return p.boolean(c.Uncapped)
			})
		}
		return errUnknown
	})
}

// deleteOnEmpty reads {"min_age": duration}. Unlike in the API, {} sets nothing.
func (p *parser) deleteOnEmpty(c *protocol.StreamConfig) error {
	return p.object(true, func(field string) error {
		if field != "min_age" {
			return errUnknown
		}
		return p.orNull(func() error {
			return p.text(func(s string) error {
				d, err := ParseDuration(s)
				if err == nil && d.Secs == 0 && !d.IsZero() {
					err = errors.New("must be 0s, which disables it, or at least 1 second")
				}
				c.DeleteOnEmptyMinAge = &d.Secs
				return err
			})
		})
	})
}

// expiry reads {"idle": duration, "at": time}; {} is an explicit never, as in the API.
func (p *parser) expiry(c *protocol.StreamConfig) error {
	c.Expiry = &protocol.Expiry{}
	return p.object(true, func(field string) error {
		switch field {
		case "idle":
			return p.orNull(func() error {
				return p.text(func(s string) error {
					d, err := ParseDuration(s)
					if err == nil && d.Secs == 0 {
						err = errors.New("must be at least 1 second")
					}
					c.Expiry.IdleSecs = d.Secs
					return err
				})
			})
		case "at":
			return p.orNull(func() error {
				return p.text(func(s string) error {
					at, err := time.Parse(time.RFC3339, s)
					if err != nil {
						return fmt.Errorf("%q is not an RFC 3339 time", protocol.Clip(s))
					}
					c.Expiry.At = protocol.ExpiryAt(at).At
					return nil
				})
			})
		}
		return errUnknown
	})
}

// retention reads infinite, in any case, or a duration.
func (l *layer) retention(s string) error {
	if strings.EqualFold(s, "infinite") {
		l.config.RetentionPolicy = &protocol.RetentionPolicy{}
		return nil
	}
	d, err := ParseDuration(s)
	if err != nil {
		return fmt.Errorf("%w; or infinite", err)
	}
	l.short = d.Secs == 0
	l.config.RetentionPolicy = &protocol.RetentionPolicy{AgeSecs: d.Secs}
	return nil
}

// oneOf makes a use of strings that takes exactly the given ones.
func oneOf[T ~string](dst *T, allowed ...T) func(string) error {
	return func(s string) error {
		for _, a := range allowed {
			if string(a) == s {
				*dst = a
				return nil
			}
		}
		return fmt.Errorf("unknown value %q, want one of %q", protocol.Clip(s), allowed)
	}
}

func optional[T ~string](dst **T, allowed ...T) func(string) error {
	*dst = new(T)
	return oneOf(*dst, allowed...)
}
