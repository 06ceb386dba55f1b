package cli

import (
	"errors"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// streamFlags are the settings of a stream, or of the default for a basin's streams.
type streamFlags struct {
	storageClass     *optional[protocol.StorageClass]
	retention        *optional[protocol.RetentionPolicy]
	timestampingMode *optional[protocol.TimestampingMode]
	uncapped         *optional[bool]
	minAge           *optional[uint64]
	idle             *optional[uint64]
	expiresAt        *optional[time.Time]
	contentType      *optional[string]
}

func addStreamFlags(fs *pflag.FlagSet) *streamFlags {
	f := &streamFlags{
		storageClass: storageClassFlag(fs, "", "storage class"),
		timestampingMode: enumFlag(fs, "timestamping-mode", "", "which timestamp a record gets",
			protocol.TimestampClientPrefer, protocol.TimestampClientRequire, protocol.TimestampArrival),
		uncapped: boolFlag(fs, "timestamping-uncapped", "take timestamps later than the arrival as they are"),
		retention: &optional[protocol.RetentionPolicy]{kind: "duration|infinite", parse: parseRetention,
			show: retentionText},
		minAge:    &optional[uint64]{kind: "duration", parse: parseSeconds, show: minAgeText},
		idle:      &optional[uint64]{kind: "duration", parse: parseSeconds, show: minAgeText},
		expiresAt: &optional[time.Time]{kind: "time", parse: parseTime, show: func(t time.Time) string { return t.Format(time.RFC3339) }},
	}
	f.contentType = &optional[string]{kind: "type", parse: parseContentType, show: func(s string) string { return s }}
	fs.Var(f.contentType, "content-type", "media type of the records, for the Durable Streams protocol, like application/json")
	fs.Var(f.retention, "retention-policy", "how long records are kept, like 7d, or infinite")
	fs.Var(f.minAge, "delete-on-empty-min-age", "delete the stream when it has been empty for this long; 0 disables")
	fs.Var(f.idle, "expire-idle", "delete the stream when it was neither appended to nor read for this long; 0 disables")
	return f
}

// addExpireAt adds the flag that is for a single stream.
func (f *streamFlags) addExpireAt(fs *pflag.FlagSet) {
	fs.Var(f.expiresAt, "expire-at", "delete the stream at this time, like 2030-01-31T12:00:00Z; what this flag and --expire-idle say is the whole expiry")
}

func parseContentType(s string) (string, error) {
	return s, protocol.CheckContentType(s)
}

func parseRetention(s string) (protocol.RetentionPolicy, error) {
	if s == "infinite" {
		return protocol.RetentionPolicy{}, nil
	}
	secs, err := parseSeconds(s)
	if err == nil && secs == 0 {
		err = errors.New("must be at least 1s, or infinite")
	}
	return protocol.RetentionPolicy{AgeSecs: secs}, err
}

// parseSeconds reads a duration of whole seconds.
func parseSeconds(s string) (uint64, error) {
	d, err := conf.ParseDuration(s)
	if err == nil && d%time.Second != 0 {
		err = errors.New("must be whole seconds")
	}
	return uint64(d / time.Second), err
}

// expiry is the flags' expiry; nil if they set none.
func (f *streamFlags) expiry() *protocol.Expiry {
	if f.idle.value == nil && f.expiresAt.value == nil {
		return nil
	}
	x := &protocol.Expiry{}
	if f.expiresAt.value != nil {
		*x = protocol.ExpiryAt(*f.expiresAt.value)
	}
	if f.idle.value != nil {
		x.IdleSecs = *f.idle.value
	}
	return x
}

// layer is the settings as a configuration: settings without a flag stay open.
func (f *streamFlags) layer() protocol.StreamConfig {
	return protocol.StreamConfig{
		StorageClass: f.storageClass.value, RetentionPolicy: f.retention.value, TimestampingMode: f.timestampingMode.value,
		Uncapped: f.uncapped.value, DeleteOnEmptyMinAge: f.minAge.value, ContentType: f.contentType.value, Expiry: f.expiry(),
	}
}

// The settings that --unset takes: their flags' names.
var streamUnsets = map[string]func(*protocol.StreamReconfiguration){
	"storage-class": func(r *protocol.StreamReconfiguration) { r.StorageClass = protocol.Unset[protocol.StorageClass]() },
	"retention-policy": func(r *protocol.StreamReconfiguration) {
		r.RetentionPolicy = protocol.Unset[protocol.RetentionPolicy]()
	},
	"timestamping-mode": func(r *protocol.StreamReconfiguration) {
		r.TimestampingMode = protocol.Unset[protocol.TimestampingMode]()
	},
	"timestamping-uncapped":   func(r *protocol.StreamReconfiguration) { r.Uncapped = protocol.Unset[bool]() },
	"delete-on-empty-min-age": func(r *protocol.StreamReconfiguration) { r.DeleteOnEmptyMinAge = protocol.Unset[uint64]() },
	"expire-idle":             func(r *protocol.StreamReconfiguration) { r.Expiry = protocol.Unset[protocol.Expiry]() },
	"content-type":            func(r *protocol.StreamReconfiguration) { r.ContentType = protocol.Unset[string]() },
}

// change is the settings as a reconfiguration, with the names of unset taken back to their defaults. It reports whether
// it changes anything.
func (f *streamFlags) change(fs *pflag.FlagSet, unset []string) (r protocol.StreamReconfiguration, changed bool, err error) {
	r = protocol.StreamReconfiguration{
		StorageClass: patch(f.storageClass), RetentionPolicy: patch(f.retention), TimestampingMode: patch(f.timestampingMode),
		Uncapped: patch(f.uncapped), DeleteOnEmptyMinAge: patch(f.minAge), ContentType: patch(f.contentType), Expiry: protocol.Patch[protocol.Expiry]{Present: f.expiry() != nil, Value: f.expiry()},
	}
	changed = r != protocol.StreamReconfiguration{}
	for _, name := range unset {
		apply, ok := streamUnsets[name]
		switch {
		case !ok:
			return r, false, usagef("--unset %s: allowed are %s", name, strings.Join(unsetNames, ", "))
		case fs.Changed(name):
			return r, false, usagef("--unset %s contradicts --%s", name, name)
		}
		apply(&r)
		changed = true
	}
	return r, changed, nil
}

var unsetNames = []string{"storage-class", "retention-policy", "timestamping-mode", "timestamping-uncapped", "delete-on-empty-min-age", "expire-idle", "content-type"}

func patch[T any](o *optional[T]) protocol.Patch[T] {
	return protocol.Patch[T]{Present: o.value != nil, Value: o.value}
}

func addUnsetFlag(fs *pflag.FlagSet) *[]string {
	return fs.StringSlice("unset", nil, "take `settings` back to their defaults: names of the flags here, with commas")
}
