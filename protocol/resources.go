package protocol

import "time"

// BasinInfo describes a basin (control plane 3.1). Times are UTC.
type BasinInfo struct {
	Name      BasinName // unique in the account
	CreatedAt time.Time // set by the broker
	// DeletedAt is zero until deletion is accepted.
	DeletedAt time.Time
	// Location is where the basin lives; fixed at creation.
	Location LocationName
	// DedicatedLogs is how many logs the basin has for itself in each storage class; 0: it shares those of the account.
	DedicatedLogs int
}

// StreamInfo describes a stream (control plane 4.1). Times are UTC.
type StreamInfo struct {
	Name      StreamName // unique in the basin
	CreatedAt time.Time  // set by the broker
	// DeletedAt is zero until deletion is accepted.
	DeletedAt time.Time
	// Cipher is fixed at creation.
	Cipher Cipher
}

// ProvisionResult is the outcome of a create or ensure.
type ProvisionResult string

// The provision results.
const (
	ProvisionCreated ProvisionResult = "created"
	ProvisionUpdated ProvisionResult = "updated"
	ProvisionNoop    ProvisionResult = "noop"
)

// ListRequest selects a page of a listing in ascending byte order of the names (control plane 1.4): those that begin
// with Prefix and are greater than StartAfter.
type ListRequest struct {
	Prefix     string // "" is the beginning of every name
	StartAfter string // exclusive; "" is below every name
	// Limit is the page size; 0 and everything above 1000 mean 1000.
	Limit int
}

// PageSize is the effective limit.
func (r ListRequest) PageSize() int {
	if r.Limit <= 0 || r.Limit > MaxListLimit {
		return MaxListLimit
	}
	return r.Limit
}

// BasinPage is a page of basins. HasMore reports whether at least one more matches.
type BasinPage struct {
	Basins  []BasinInfo // ascending by name; at most 1000
	HasMore bool        // at least one more basin matches
}

// StreamPage is a page of streams. HasMore reports whether at least one more matches.
type StreamPage struct {
	Streams []StreamInfo // ascending by name; at most 1000
	HasMore bool         // at least one more stream matches
}

// CreateBasinRequest creates a basin. RequestToken makes a repeat of the same request succeed (control plane 3.3);
// nil means that a repeat fails with resource_already_exists.
type CreateBasinRequest struct {
	Basin        BasinName   // the name of the new basin
	Config       BasinConfig // the whole configuration
	RequestToken *string     // at most [MaxRequestTokenBytes] bytes
	// Location is where to make it; "" means the default location.
	Location LocationName
	// DedicatedLogs is how many logs the basin has for itself in each storage class, for a tenant that is big; at most 64. 0: it
	// shares those of the account. Fixed at creation.
	DedicatedLogs int
}

// EnsureBasinRequest is the desired state of a basin (control plane 3.4).
type EnsureBasinRequest struct {
	Config BasinConfig // replaces the whole configuration
	// Location must be the basin's if it exists; "" asks for nothing.
	Location LocationName
	// DedicatedLogs must be the basin's if it exists; 0 asks for nothing. See [CreateBasinRequest].
	DedicatedLogs int
}

// CreateStreamRequest creates a stream; see [CreateBasinRequest] for RequestToken.
type CreateStreamRequest struct {
	Stream       StreamName   // the name of the new stream
	Config       StreamConfig // the stream's layer, over the default of its basin
	RequestToken *string      // at most [MaxRequestTokenBytes] bytes
	// Fork, if set, makes the new stream begin with the records of another (docs/forks.md). Config is then laid over that
	// stream's configuration, and the cipher is its cipher.
	Fork *ForkRequest
}

// ForkRequest says which records a new stream shares: those of Source below At that are still there.
type ForkRequest struct {
	Source StreamName // a stream of the same basin
	At     *uint64    // seq_num, at most that of the source's tail; nil: the tail
}
