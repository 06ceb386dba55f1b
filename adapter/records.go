package adapter

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
	"unique"

	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// basinRecord and streamRecord are the values of the catalog's keys, in JSON.
type basinRecord struct {
	Name      protocol.BasinName   `json:"name"`
	CreatedAt time.Time            `json:"created_at"`
	DeletedAt time.Time            `json:"deleted_at,omitzero"`
	Config    protocol.BasinConfig `json:"config"`
	// Location is fixed at creation; empty in what was stored before there were locations.
	Location protocol.LocationName `json:"location,omitempty"`
	// DedicatedLogs is how many logs the basin has for itself in each storage class; 0: it shares those of the account.
	DedicatedLogs int `json:"dedicated_logs,omitempty"`
	// Restoring is the id of the restore that is filling the basin: nobody sees it until that ends. Restored is the id of
	// the restore that did.
	Restoring string `json:"restoring,omitempty"`
	Restored  string `json:"restored,omitempty"`
	// Key makes a repeated create succeed (control plane 3.3); empty when it was made without a request token.
	Key string `json:"key,omitempty"`
}

type streamRecord struct {
	Name      protocol.StreamName           `json:"name"`
	ID        layout.StreamID               `json:"id"`
	Log       int                           `json:"log"` // layout.Log.Number
	CreatedAt time.Time                     `json:"created_at"`
	DeletedAt time.Time                     `json:"deleted_at,omitzero"`
	Cipher    protocol.Cipher               `json:"cipher,omitempty"`
	Config    protocol.ResolvedStreamConfig `json:"config"`
	Key       string                        `json:"key,omitempty"`
	Idle      *idleRecord                   `json:"idle,omitempty"`
}

// streamEntry is a stream in the in-memory view: compact, because there may be millions. It is immutable; a change
// replaces it.
type streamEntry struct {
	Basin     protocol.BasinName
	Name      protocol.StreamName
	ID        layout.StreamID
	Key       string
	Cipher    protocol.Cipher
	config    unique.Handle[protocol.ResolvedStreamConfig]
	createdAt time.Time
	deletedAt time.Time
	Log       int
	revision  uint64
	checks    *checkTime
	idle      *idleRecord // nil: nothing was ever armed
}

// checkTime is what the janitor remembers of a stream between passes. It is shared by all entries of one incarnation.
type checkTime struct {
	// at is when the stream's oldest chunk may expire, in milliseconds; 0: not known.
	at atomic.Uint64
	// fresh is set while nothing can have been stored: the stream was created here, nobody else writes, and it was never
	// appended to.
	fresh atomic.Bool
	// size is how much is stored, see sizes.
	size sizeState
	// emptyAt is the earliest time for which the empty reaper has the stream in its queue, in seconds; 0: none.
	emptyAt atomic.Uint64
}

const neverCheck = ^uint64(0)

// before lowers the time of the next check to at.
func (c *checkTime) before(at uint64) {
	for {
		old := c.at.Load()
		if old <= at || c.at.CompareAndSwap(old, at) {
			return
		}
	}
}

func newStreamEntry(basin protocol.BasinName, r *streamRecord, revision uint64, checks *checkTime) *streamEntry {
	return &streamEntry{Basin: basin, Name: r.Name, ID: r.ID, Key: r.Key, Cipher: r.Cipher, config: unique.Make(r.Config),
		createdAt: r.CreatedAt, deletedAt: r.DeletedAt, Log: r.Log, revision: revision, checks: checks, idle: r.Idle}
}

// Config is the stream's resolved configuration.
func (e *streamEntry) Config() protocol.ResolvedStreamConfig { return e.config.Value() }

func (e *streamEntry) ref() protocol.StreamRef {
	return protocol.StreamRef{Basin: e.Basin, Stream: e.Name}
}

func (e *streamEntry) record() *streamRecord {
	return &streamRecord{Name: e.Name, ID: e.ID, Log: e.Log, CreatedAt: e.createdAt, DeletedAt: e.deletedAt,
		Cipher: e.Cipher, Config: e.Config(), Key: e.Key, Idle: e.idle}
}

func (e *streamEntry) deleting() bool { return !e.deletedAt.IsZero() }

func (e *streamEntry) info() protocol.StreamInfo {
	return protocol.StreamInfo{Name: e.Name, CreatedAt: e.createdAt, DeletedAt: e.deletedAt, Cipher: e.Cipher}
}

func (r *basinRecord) info() protocol.BasinInfo {
	return protocol.BasinInfo{Name: r.Name, CreatedAt: r.CreatedAt, DeletedAt: r.DeletedAt, Location: r.Location, DedicatedLogs: r.DedicatedLogs}
}

func (r *basinRecord) deleting() bool { return !r.DeletedAt.IsZero() }

// hidden reports whether the basin does not show: it is being restored, or what a restore left behind.
func (r *basinRecord) hidden() bool { return r.Restoring != "" }

// Keys of the catalog: b.<basin>, and s.<basin>.<stream name> with every byte that a key may not hold, the dot among
// them, as =XX.
func basinKey(name protocol.BasinName) string { return "b." + string(name) }

func streamKey(ref protocol.StreamRef) string {
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

// basinOfKey returns the basin of a stream's key.
func basinOfKey(key string) (protocol.BasinName, bool) {
	rest, ok := strings.CutPrefix(key, "s.")
	basin, _, found := strings.Cut(rest, ".")
	return protocol.BasinName(basin), ok && found
}

// refOfKey is the inverse of streamKey.
func refOfKey(key string) (ref protocol.StreamRef, ok bool) {
	rest, ok := strings.CutPrefix(key, "s.")
	basin, escaped, found := strings.Cut(rest, ".")
	if !ok || !found {
		return ref, false
	}
	name, ok := unescapeName(escaped)
	return protocol.StreamRef{Basin: protocol.BasinName(basin), Stream: protocol.StreamName(name)}, ok
}

// requestKey derives the idempotency key of a create from its token and the configuration as requested (control plane
// 3.3); empty without a token.
func requestKey(token *string, config any) (string, error) {
	if token == nil {
		return "", nil
	}
	asked, err := json.Marshal(config)
	if err != nil {
		return "", fmt.Errorf("encode config: %w", err)
	}
	sum := sha256.Sum256(append(append([]byte(*token), 0), asked...))
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}
