package metering

import (
	"context"
	"errors"
)

// Kind is the kind of value under a key.
type Kind byte

// The kinds. An hour holds the minutes of a scope as one process counted them; a day those of all processes; a value of
// GoneKind is the time in which streams of a basin existed that were deleted on that day, as one process saw it; samples are
// the sizes of one stream in a quarter of a day.
const (
	HourKind   Kind = 'h'
	DayKind    Kind = 'd'
	GoneKind   Kind = 'x'
	SampleKind Kind = 's'
)

// Key names a stored value.
type Key struct {
	Kind Kind
	// Scope is a basin's name, accountScope, or for samples a basin, a dot and the stream's hash.
	Scope string
	// Period is the number of the hour, day or quarter since the epoch.
	Period uint32
	// Writer is the process that counted; allWriters in a day.
	Writer string
}

const (
	accountScope = "_" // no basin has this name
	allWriters   = "all"
)

// ErrExists is the error of Create if there is a value already.
var ErrExists = errors.New("there is a value already")

// Store keeps values for somewhat more than 90 days and drops them by itself, the oldest first also when they become too
// many. It may be used by several goroutines at once.
type Store interface {
	// Put stores a value in the place of the one that is there.
	Put(ctx context.Context, key Key, value []byte) error
	// Create stores a value, or fails with [ErrExists].
	Create(ctx context.Context, key Key, value []byte) error
	// Remove removes all writers' values of a period.
	Remove(ctx context.Context, kind Kind, scope string, period uint32) error
	// Scan yields the values of a kind and a scope, or of all scopes if that is "". A value that is replaced meanwhile may
	// come twice, the newer one later.
	Scan(ctx context.Context, kind Kind, scope string, yield func(Key, []byte)) error
}
