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
	return p.object(members{
		"create_stream_on_append": p.orNull(p.boolean(&c.CreateStreamOnAppend)),
		"create_stream_on_read":   p.orNull(p.boolean(&c.CreateStreamOnRead)),
		"stream_cipher":           p.orNull(p.text(oneOf(&c.StreamCipher, protocol.CipherAEGIS256, protocol.CipherAES256GCM))),
		"default_stream_config":   p.orNull(func() error { return p.streamConfig(defaults) }),
	})
}

func (p *parser) streamConfig(l *layer) error {
	return p.object(members{
		"storage_class": p.orNull(p.text(func(s string) error {
			class, err := protocol.ParseStorageClass(s)
			l.config.StorageClass = &class
			return err
		})),
		"retention_policy": p.orNull(p.text(l.retention)),
		"timestamping":     p.orNull(func() error { return p.timestamping(&l.config) }),
		"delete_on_empty":  p.orNull(func() error { return p.deleteOnEmpty(&l.config) }),
		"expiry":           p.orNull(func() error { return p.expiry(&l.config) }),
		"content_type": p.orNull(p.text(func(s string) error {
			l.config.ContentType = &s
			return protocol.CheckContentType(s)
		})),
	})
}

func (p *parser) timestamping(c *protocol.StreamConfig) error {
	return p.object(members{
		"mode": p.orNull(p.text(func(s string) error {
			c.TimestampingMode = new(protocol.TimestampingMode)
			return oneOf(c.TimestampingMode, protocol.TimestampClientPrefer, protocol.TimestampClientRequire, protocol.TimestampArrival)(s)
		})),
		"uncapped": p.orNull(func() error {
			c.Uncapped = new(bool)
			return p.boolean(c.Uncapped)()
		}),
	})
}

// deleteOnEmpty reads {"min_age": duration}. Unlike in the API, {} sets nothing.
func (p *parser) deleteOnEmpty(c *protocol.StreamConfig) error {
	return p.object(members{"min_age": p.orNull(p.text(func(s string) error {
		d, err := ParseDuration(s)
		if err == nil && d.Secs == 0 && !d.IsZero() {
			err = errors.New("must be 0s, which disables it, or at least 1 second")
		}
		c.DeleteOnEmptyMinAge = &d.Secs
		return err
	}))})
}

// expiry reads {"idle": duration, "at": time}; {} is an explicit never, as in the API.
func (p *parser) expiry(c *protocol.StreamConfig) error {
	c.Expiry = &protocol.Expiry{}
	return p.object(members{
		"idle": p.orNull(p.text(func(s string) error {
			d, err := ParseDuration(s)
			if err == nil && d.Secs == 0 {
				err = errors.New("must be at least 1 second")
			}
			c.Expiry.IdleSecs = d.Secs
			return err
		})),
		"at": p.orNull(p.text(func(s string) error {
			at, err := time.Parse(time.RFC3339, s)
			if err != nil {
				return fmt.Errorf("%q is not an RFC 3339 time", protocol.Clip(s))
			}
			c.Expiry.At = protocol.ExpiryAt(at).At
			return nil
		})),
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
