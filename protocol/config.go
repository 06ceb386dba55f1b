package protocol

import "fmt"

// StorageClass is recorded and echoed. The broker's configuration gives two of them replicas, compression, durability and
// logs of their own; all others are stored as the default one. Make one with [ParseStorageClass].
type StorageClass string

// The storage classes.
const (
	StorageStandard StorageClass = "standard"
	StorageExpress  StorageClass = "express"
)

// StorageClasses are the storage classes that a broker can distinguish, the default one first.
func StorageClasses() []StorageClass { return []StorageClass{StorageExpress, StorageStandard} }

// ParseStorageClass takes any word of the form [a-z][a-z0-9-]*, as S2 does, of at most 64 bytes. The error is a
// [*NameError].
func ParseStorageClass(s string) (StorageClass, error) {
	if len(s) > MaxStorageClassBytes {
		return "", &NameError{"storage class", fmt.Sprintf("has %d bytes, at most %d are allowed", len(s), MaxStorageClassBytes)}
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (i == 0 || c != '-' && (c < '0' || c > '9')) {
			return "", &NameError{"storage class", "must be a lowercase letter followed by lowercase letters, digits and hyphens"}
		}
	}
	if s == "" {
		return "", &NameError{"storage class", "is empty"}
	}
	return StorageClass(s), nil
}

// TimestampingMode says which timestamp a record gets (data plane 3.3).
type TimestampingMode string

// The timestamping modes.
const (
	TimestampClientPrefer  TimestampingMode = "client-prefer"
	TimestampClientRequire TimestampingMode = "client-require"
	TimestampArrival       TimestampingMode = "arrival"
)

// Cipher encrypts the records of a stream with a key that the client supplies; "" means none.
type Cipher string

// The ciphers.
const (
	CipherNone      Cipher = ""
	CipherAEGIS256  Cipher = "aegis-256"
	CipherAES256GCM Cipher = "aes-256-gcm"
)

// RetentionPolicy is how long records are kept after they arrived. AgeSecs 0 means infinitely; an explicit age of 0
// is refused while decoding.
type RetentionPolicy struct {
	AgeSecs uint64 // seconds after the arrival; 0: infinitely
}

// Infinite reports whether records are kept until they are trimmed.
func (p RetentionPolicy) Infinite() bool { return p.AgeSecs == 0 }

// StreamConfig is a layer of configuration: nil means "not set at this layer" (control plane 2.3).
type StreamConfig struct {
	StorageClass        *StorageClass     // decides the logs that hold the stream, at its creation
	RetentionPolicy     *RetentionPolicy  // when records expire
	TimestampingMode    *TimestampingMode // which timestamp a record gets
	Uncapped            *bool             // timestamps later than the arrival are taken as they are
	DeleteOnEmptyMinAge *uint64           // seconds; 0 disables
	ContentType         *string           // media type of the records' bodies, for the Durable Streams door; "": not stated. See [CheckContentType]
	Expiry              *Expiry           // when the stream is deleted; the zero value: never. A basin's default has no Expiry.At
}

// ResolvedStreamConfig is a stream's effective configuration: every field is concrete. Values are comparable.
type ResolvedStreamConfig struct {
	StorageClass        StorageClass     // see [StreamConfig]
	RetentionPolicy     RetentionPolicy  // when records expire
	TimestampingMode    TimestampingMode // which timestamp a record gets
	Uncapped            bool             // timestamps later than the arrival are taken as they are
	DeleteOnEmptyMinAge uint64           // seconds; 0 disables
	ContentType         string           // see [StreamConfig]
	Expiry              Expiry           // when the stream is deleted
	// Closed says that the stream is closed. It is returned with the configuration and is no part of it: only an append sets it.
	Closed bool
}

// DefaultStreamConfig applies where neither the stream nor its basin sets anything (control plane 2.2).
var DefaultStreamConfig = ResolvedStreamConfig{
	StorageClass:     StorageExpress,
	RetentionPolicy:  RetentionPolicy{AgeSecs: 604800},
	TimestampingMode: TimestampClientPrefer,
}

// Resolve merges the stream's layer over its basin's and both over the defaults, each leaf by itself (control
// plane 2.6).
func (c StreamConfig) Resolve(basin StreamConfig) ResolvedStreamConfig {
	d := DefaultStreamConfig
	return ResolvedStreamConfig{
		StorageClass:        firstSet(d.StorageClass, c.StorageClass, basin.StorageClass),
		RetentionPolicy:     firstSet(d.RetentionPolicy, c.RetentionPolicy, basin.RetentionPolicy),
		TimestampingMode:    firstSet(d.TimestampingMode, c.TimestampingMode, basin.TimestampingMode),
		Uncapped:            firstSet(d.Uncapped, c.Uncapped, basin.Uncapped),
		DeleteOnEmptyMinAge: firstSet(d.DeleteOnEmptyMinAge, c.DeleteOnEmptyMinAge, basin.DeleteOnEmptyMinAge),
		ContentType:         firstSet(d.ContentType, c.ContentType, basin.ContentType),
		Expiry:              firstSet(d.Expiry, c.Expiry, basin.Expiry),
	}
}

// Replace resolves the configuration that takes the place of a stream's own, as an ensure does. A setting that is not set goes
// back to its default, but for the content type: it belongs to the records that are there.
func (c StreamConfig) Replace(old ResolvedStreamConfig, basin StreamConfig) ResolvedStreamConfig {
	resolved := c.Resolve(basin)
	if c.ContentType == nil {
		resolved.ContentType = old.ContentType
	}
	return resolved
}

func firstSet[T any](otherwise T, layers ...*T) T {
	for _, l := range layers {
		if l != nil {
			return *l
		}
	}
	return otherwise
}

// Equal reports whether both layers set the same fields to the same values.
func (c StreamConfig) Equal(o StreamConfig) bool {
	return eq(c.StorageClass, o.StorageClass) && eq(c.RetentionPolicy, o.RetentionPolicy) &&
		eq(c.TimestampingMode, o.TimestampingMode) && eq(c.Uncapped, o.Uncapped) &&
		eq(c.DeleteOnEmptyMinAge, o.DeleteOnEmptyMinAge) && eq(c.ContentType, o.ContentType) && eq(c.Expiry, o.Expiry)
}

func eq[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// BasinConfig is a basin's configuration (control plane 2.5).
type BasinConfig struct {
	// DefaultStreamConfig is the default layer for streams created afterwards.
	DefaultStreamConfig StreamConfig
	// StreamCipher is given to streams created afterwards.
	StreamCipher         Cipher
	CreateStreamOnAppend bool // an append creates a stream that is missing
	CreateStreamOnRead   bool // a read or check-tail creates a stream that is missing
}

// Equal reports whether both configurations are the same layer (control plane 3.4).
func (c BasinConfig) Equal(o BasinConfig) bool {
	return c.DefaultStreamConfig.Equal(o.DefaultStreamConfig) && c.StreamCipher == o.StreamCipher &&
		c.CreateStreamOnAppend == o.CreateStreamOnAppend && c.CreateStreamOnRead == o.CreateStreamOnRead
}

// Patch is one member of a reconfiguration: absent keeps, null unsets, a value sets (control plane 2.8).
type Patch[T any] struct {
	Present bool // false keeps the field
	Value   *T   // nil unsets
}

// Set, Unset make patches that are present.
func Set[T any](v T) Patch[T] { return Patch[T]{true, &v} }
func Unset[T any]() Patch[T]  { return Patch[T]{Present: true} }

func (p Patch[T]) apply(field **T) {
	if p.Present {
		*field = p.Value
	}
}

// StreamReconfiguration changes a stream's configuration or a basin's default layer.
type StreamReconfiguration struct {
	StorageClass        Patch[StorageClass]     // unset: the layer below decides, here and in the other fields
	RetentionPolicy     Patch[RetentionPolicy]  // for records that arrive afterwards
	TimestampingMode    Patch[TimestampingMode] // for appends that are sequenced afterwards
	Uncapped            Patch[bool]             // for appends that are sequenced afterwards
	DeleteOnEmptyMinAge Patch[uint64]           // seconds; 0 disables
	ContentType         Patch[string]           // says how the records that are there are to be read, too; see [CheckContentType]
	Expiry              Patch[Expiry]           // both limits together; idle time counts from now on
}

// Apply changes the layer c.
func (r StreamReconfiguration) Apply(c StreamConfig) StreamConfig {
	r.StorageClass.apply(&c.StorageClass)
	r.RetentionPolicy.apply(&c.RetentionPolicy)
	r.TimestampingMode.apply(&c.TimestampingMode)
	r.Uncapped.apply(&c.Uncapped)
	r.DeleteOnEmptyMinAge.apply(&c.DeleteOnEmptyMinAge)
	r.ContentType.apply(&c.ContentType)
	r.Expiry.apply(&c.Expiry)
	return c
}

// ApplyResolved changes a stream's resolved configuration: a field that is kept stays concrete even if the basin's
// default has changed; a field that is unset resolves anew from the basin's layer (control plane 2.8).
func (r StreamReconfiguration) ApplyResolved(c ResolvedStreamConfig, basin StreamConfig) ResolvedStreamConfig {
	return r.Apply(c.Layer()).Resolve(basin)
}

// Layer returns the configuration as a layer with every field set.
func (c ResolvedStreamConfig) Layer() StreamConfig {
	layer := StreamConfig{&c.StorageClass, &c.RetentionPolicy, &c.TimestampingMode, &c.Uncapped, &c.DeleteOnEmptyMinAge, nil, &c.Expiry}
	if c.ContentType != "" {
		layer.ContentType = &c.ContentType
	}
	return layer
}

// BasinReconfiguration changes a basin's configuration. For the two flags, null means keep (decision D-7).
type BasinReconfiguration struct {
	// DefaultStreamConfig changes the default layer; unset empties it.
	DefaultStreamConfig  Patch[StreamReconfiguration]
	StreamCipher         Patch[Cipher] // for streams created afterwards; unset: none
	CreateStreamOnAppend *bool         // nil keeps
	CreateStreamOnRead   *bool         // nil keeps
}

// Apply changes c.
func (r BasinReconfiguration) Apply(c BasinConfig) BasinConfig {
	if d := r.DefaultStreamConfig; d.Present {
		if d.Value == nil {
			c.DefaultStreamConfig = StreamConfig{}
		} else {
			c.DefaultStreamConfig = d.Value.Apply(c.DefaultStreamConfig)
		}
	}
	if r.StreamCipher.Present {
		c.StreamCipher = CipherNone
		if r.StreamCipher.Value != nil {
			c.StreamCipher = *r.StreamCipher.Value
		}
	}
	if r.CreateStreamOnAppend != nil {
		c.CreateStreamOnAppend = *r.CreateStreamOnAppend
	}
	if r.CreateStreamOnRead != nil {
		c.CreateStreamOnRead = *r.CreateStreamOnRead
	}
	return c
}
