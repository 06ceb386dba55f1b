package catalog

import (
	"encoding/hex"
	"strings"
	"time"

	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// BasinRecord is the value of a basin's key in the catalog, in JSON.
type BasinRecord struct {
	Name      protocol.BasinName   `json:"name"`
	CreatedAt time.Time            `json:"created_at"`
	DeletedAt time.Time            `json:"deleted_at,omitzero"`
	Config    protocol.BasinConfig `json:"config"`
	// Location is fixed at creation; empty in records that were stored before there were locations.
	Location protocol.LocationName `json:"location,omitempty"`
	// DedicatedLogs is how many logs the basin has for itself in each storage class; 0: it shares those of the account.
	DedicatedLogs int `json:"dedicated_logs,omitempty"`
	// Restoring is the id of the restore that is filling the basin: no client sees it until that ends. Restored is the id of
	// the restore that did.
	Restoring string `json:"restoring,omitempty"`
	Restored  string `json:"restored,omitempty"`
	// Key makes a repeated create succeed (control plane 3.3); empty when it was made without a request token.
	Key string `json:"key,omitempty"`
	// After is the revision that the catalog had reached when the basin was made. An entry of a stream in it that is not newer is
	// of an earlier basin of that name, and JetStream has brought it back after a crash (docs/adr/0022).
	After uint64 `json:"after,omitempty"`
	// Purged are the logs, by their numbers, whose owners have removed the chunks of a basin that is being deleted. Only where the
	// store is shared. The slice is not changed.
	Purged []int `json:"purged,omitempty"`
}

// StreamRecord is the value of a stream's key. It is stored in the form of streamcodec.go, and is JSON in backups.
type StreamRecord struct {
	Name      protocol.StreamName           `json:"name"`
	ID        layout.StreamID               `json:"id"`
	Log       int                           `json:"log"` // layout.Log.Number
	CreatedAt time.Time                     `json:"created_at"`
	DeletedAt time.Time                     `json:"deleted_at,omitzero"`
	Cipher    protocol.Cipher               `json:"cipher,omitempty"`
	Config    protocol.ResolvedStreamConfig `json:"config"`
	Key       string                        `json:"key,omitempty"`
	Idle      *IdleRecord                   `json:"idle,omitempty"`
	// Used is when the stream was read last, or its expiry changed, as far as an idle limit has to know, in milliseconds since
	// the epoch; 0: not noted.
	Used uint64 `json:"used,omitempty"`
	// Fork describes the records that the stream shares with others; nil: none.
	Fork *Fork `json:"fork,omitempty"`
}

// Info is the basin as a listing shows it.
func (r *BasinRecord) Info() protocol.BasinInfo {
	return protocol.BasinInfo{Name: r.Name, CreatedAt: r.CreatedAt, DeletedAt: r.DeletedAt, Location: r.Location, DedicatedLogs: r.DedicatedLogs}
}

// Deleting reports whether the basin's deletion was accepted.
func (r *BasinRecord) Deleting() bool { return !r.DeletedAt.IsZero() }

// Is reports whether two records are of the same basin, and not of two that have had its name.
func (r *BasinRecord) Is(o *BasinRecord) bool {
	return r.Name == o.Name && r.After == o.After && r.CreatedAt.Equal(o.CreatedAt)
}

// Hidden reports whether the basin does not show: it is being restored, or a restore left it behind.
func (r *BasinRecord) Hidden() bool { return r.Restoring != "" }

// BasinKey is the key of a basin in the catalog, b.<basin>. That of a stream is s.<basin>.<stream name>, where every byte that a
// key may not hold, the dot among them, is written as =XX.
func BasinKey(name protocol.BasinName) string { return "b." + string(name) }

// StreamKey is the key of a stream, see [BasinKey].
func StreamKey(ref protocol.StreamRef) string {
	return "s." + string(ref.Basin) + "." + escapeName(string(ref.Stream))
}

// escapeName spells a name with the bytes that a key may hold.
func escapeName(name string) string {
	var b strings.Builder
	b.Grow(len(name) + 8)
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '/':
			b.WriteByte(c)
		default:
			b.WriteByte('=')
			b.WriteString(strings.ToUpper(hex.EncodeToString([]byte{c})))
		}
	}
	return b.String()
}

// unescapeName is the inverse of escapeName.
func unescapeName(escaped string) (string, bool) {
	name := make([]byte, 0, len(escaped))
	for i := 0; i < len(escaped); i++ {
		c := escaped[i]
		if c == '=' {
			if i+2 >= len(escaped) {
				return "", false
			}
			raw, err := hex.DecodeString(escaped[i+1 : i+3])
			if err != nil {
				return "", false
			}
			c, i = raw[0], i+2
		}
		name = append(name, c)
	}
	return string(name), true
}

// RefOfKey is the inverse of StreamKey.
func RefOfKey(key string) (ref protocol.StreamRef, ok bool) {
	rest, ok := strings.CutPrefix(key, "s.")
	basin, escaped, found := strings.Cut(rest, ".")
	if !ok || !found {
		return ref, false
	}
	name, ok := unescapeName(escaped)
	return protocol.StreamRef{Basin: protocol.BasinName(basin), Stream: protocol.StreamName(name)}, ok
}
