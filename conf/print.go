package conf

import (
	"log/slog"
	"strconv"
	"strings"
)

// String writes the configuration in the form of a file, every key with its value, passwords redacted.
func (c Config) String() string {
	var b strings.Builder
	block := ""
	for _, f := range fields {
		section, key, nested := strings.Cut(f.key, ".")
		if !nested {
			section, key = "", f.key
		}
		if section != block {
			if block != "" {
				b.WriteString("}\n")
			}
			if section != "" {
				b.WriteString(section + " {\n")
			}
			block = section
		}
		if block != "" {
			b.WriteString("  ")
		}
		b.WriteString(key + ": " + f.quoted(&c) + "\n")
	}
	if block != "" {
		b.WriteString("}\n")
	}
	return b.String()
}

// quoted is text, in quotes where the syntax of a file wants them.
func (f field) quoted(c *Config) string {
	switch f.kind() {
	case "bool", "int", "size", "number":
		return f.text(c)
	}
	return strconv.Quote(f.text(c))
}

// GoString is String, so that no format verb prints a password.
func (c Config) GoString() string { return c.String() }

// LogValue gives every setting as an attribute, passwords redacted.
func (c Config) LogValue() slog.Value {
	attrs := make([]slog.Attr, 0, len(fields))
	for _, f := range fields {
		attrs = append(attrs, slog.String(f.key, f.text(&c)))
	}
	return slog.GroupValue(attrs...)
}
