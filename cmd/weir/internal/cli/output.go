package cli

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// printJSON writes v on one line of standard output. The types of protocol bring their own JSON.
func (a *app) printJSON(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.env.Stdout, "%s\n", b)
	return err
}

func (a *app) printf(format string, args ...any) error {
	_, err := fmt.Fprintf(a.env.Stdout, format, args...)
	return err
}

// note writes text that is not the result, such as acks, on standard error.
func (a *app) note(format string, args ...any) {
	fmt.Fprintf(a.env.Stderr, format+"\n", args...)
}

// row is one line of a configuration: name and value.
type row struct{ name, value string }

func (a *app) printRows(rows []row) error {
	width := 0
	for _, r := range rows {
		width = max(width, len(r.name))
	}
	for _, r := range rows {
		if err := a.printf("%-*s  %s\n", width, r.name, r.value); err != nil {
			return err
		}
	}
	return nil
}

// configRows writes a layer of configuration; it marks a setting that the layer leaves open.
func configRows(indent string, c protocol.StreamConfig) []row {
	rows := []row{
		{indent + "storage class", orUnset(c.StorageClass, func(v protocol.StorageClass) string { return string(v) })},
		{indent + "retention policy", orUnset(c.RetentionPolicy, retentionText)},
		{indent + "timestamping mode", orUnset(c.TimestampingMode, func(v protocol.TimestampingMode) string { return string(v) })},
		{indent + "timestamping uncapped", orUnset(c.Uncapped, strconv.FormatBool)},
		{indent + "delete on empty min age", orUnset(c.DeleteOnEmptyMinAge, minAgeText)},
	}
	if c.ContentType != nil {
		rows = append(rows, row{indent + "content type", *c.ContentType})
	}
	if c.Expiry == nil || indent == "" && c.Expiry.Never() {
		return rows
	}
	return append(rows, row{indent + "expires", streamExpiryText(*c.Expiry)})
}

func streamExpiryText(x protocol.Expiry) string {
	var parts []string
	if x.IdleSecs > 0 {
		parts = append(parts, "when not used for "+secondsText(x.IdleSecs))
	}
	if x.At > 0 {
		parts = append(parts, "at "+x.AtTime().Format(time.RFC3339Nano))
	}
	if len(parts) == 0 {
		return "never"
	}
	return strings.Join(parts, ", ")
}

func orUnset[T any](v *T, text func(T) string) string {
	if v == nil {
		return "-"
	}
	return text(*v)
}

func retentionText(p protocol.RetentionPolicy) string {
	if p.Infinite() {
		return "infinite"
	}
	return secondsText(p.AgeSecs)
}

func minAgeText(secs uint64) string {
	if secs == 0 {
		return "disabled"
	}
	return secondsText(secs)
}

// secondsText writes seconds as a duration, or as they are if they are more than a duration holds.
func secondsText(secs uint64) string {
	if secs > uint64(1<<63-1)/uint64(time.Second) {
		return strconv.FormatUint(secs, 10) + "s"
	}
	return conf.FormatDuration(time.Duration(secs) * time.Second)
}
