package protocol

import (
	"context"
	"encoding/json"
	"strings"
	"time"
)

// ShadowPrefix begins the names, in catalogs and their backups, of streams that are deleted and whose records forks need. No stream
// can be called so, and nobody sees one; they stand behind all others.
const ShadowPrefix = "\U0010FFFF\x00"

// IsShadow reports whether the name is that of a deleted stream whose records forks need.
func (n StreamName) IsShadow() bool { return strings.HasPrefix(string(n), ShadowPrefix) }

// BackupService copies a whole store out of a broker, and into one, while it serves (docs/backup-format.md). It is for
// the account's owner alone.
//
// Every call is a step of its own that the broker keeps nothing of between calls, or finds again after a restart, and
// may be made again when its answer was lost.
type BackupService interface {
	// ExportCatalog returns a page of the catalog: its entries at some moment of the call. It leaves out basins and
	// streams that are being deleted or restored. Codes: basin_not_found, also while the basin is being deleted; invalid.
	ExportCatalog(ctx context.Context, req ExportCatalogRequest) (ExportCatalogPage, error)
	// ExportChunks returns the next durable chunks of a log, or of one stream in it, in the log's order. Codes: invalid;
	// storage, for a chunk that is damaged; unavailable.
	ExportChunks(ctx context.Context, req ExportChunksRequest) (ExportChunksPage, error)
	// PurgedStreams returns those of some streams that hold chunks, but none at or before a place in their log any more.
	PurgedStreams(ctx context.Context, req PurgedStreamsRequest) (ids []string, err error)

	// BeginRestore makes a basin that no client sees until EndRestore. A basin that an earlier restore left behind is removed
	// first. Codes: resource_already_exists; basin_deletion_pending and transaction_conflict, which pass: the remains are
	// being removed, or another restore of the basin may be under way; invalid.
	BeginRestore(ctx context.Context, req BeginRestoreRequest) error
	// ImportStreams stores streams of a basin that is being restored and returns, for each, the log that its chunks go to.
	// Codes: transaction_conflict if this restore does not hold the basin; invalid; storage.
	ImportStreams(ctx context.Context, req ImportStreamsRequest) (logs []int, err error)
	// ImportChunks stores chunks in a log of a basin that is being restored; when it returns they are durable. Those that
	// are there already are passed over. Codes: as ImportStreams.
	ImportChunks(ctx context.Context, req ImportChunksRequest) error
	// EndRestore shows the basin, if it holds the requested streams and chunks. Codes: as ImportStreams.
	EndRestore(ctx context.Context, req EndRestoreRequest) error
	// AbortRestore removes the basin, in the background. It is no error if this restore does not hold it.
	AbortRestore(ctx context.Context, basin BasinName, restore string) error
	// ImportEntry stores an entry of the catalog that belongs to no basin. It is no error if it is there as it is. Codes:
	// resource_already_exists if another is; invalid.
	ImportEntry(ctx context.Context, entry CatalogEntry) error
}

// CatalogEntry is a key of the catalog and its value in JSON. Values hold no secrets: of an access token there is the
// hash.
type CatalogEntry struct {
	Key   string          `json:"key"`   // as docs/backup-format.md lists them
	Value json.RawMessage `json:"value"` // of the kind that the key names
}

// ExportCatalogRequest asks for entries behind the key After, "" being the first: the streams of a basin in the order of
// their names, or, without one, everything that belongs to no basin, and the basins themselves.
type ExportCatalogRequest struct {
	Basin BasinName `json:"basin,omitempty"` // "": the entries outside of basins, and the basins
	After string    `json:"after,omitempty"` // the last key of the page before; "" for the first page
	// MaxBytes bounds the entries of a page; one always comes. 0: 1 MiB.
	MaxBytes int `json:"max_bytes,omitempty"`
}

// ExportCatalogPage is a page of entries. More says that others follow behind the last.
type ExportCatalogPage struct {
	Entries []CatalogEntry `json:"entries"`        // ascending by key
	More    bool           `json:"more,omitempty"` // entries follow behind the last one
	// Version and Prefix describe the broker.
	Version string `json:"version,omitempty"`
	Prefix  string `json:"prefix,omitempty"` // of its NATS subjects
}

// StoredChunk is a chunk as it is stored, with the id of its stream. See [Chunk].
type StoredChunk struct {
	Stream  string // lower-case base32hex of the 16 bytes of a UUID, unpadded
	Header  string // value of [ChunkHeader]
	Payload []byte // the records, encoded
}

// ExportChunksRequest asks for the chunks of a log of a basin between two places of it, which are JetStream sequences.
type ExportChunksRequest struct {
	Basin BasinName `json:"basin"` // the basin whose chunks are wanted
	Log   int       `json:"log"`   // number of the log, as the entries of its streams name it
	// Stream is the id of the one stream that is wanted; "" for all.
	Stream string `json:"stream,omitempty"`
	// From is the first place that is wanted, 0 for the oldest chunk, and End the last, 0 for the newest of the moment,
	// which the answer states. The pages after the first repeat it.
	From uint64 `json:"from,omitempty"`
	End  uint64 `json:"end,omitempty"` // inclusive
	// MaxBytes bounds a page, in bytes of headers and payloads; one chunk always comes. 0: 1 MiB.
	MaxBytes int `json:"max_bytes,omitempty"`
}

// ExportChunksPage is a run of chunks.
type ExportChunksPage struct {
	Chunks []StoredChunk `json:"-"` // ascending by place; they travel beside the JSON
	// Next is where the next page begins; 0 when there is none.
	Next uint64 `json:"next,omitempty"`
	// End is the place of the newest durable chunk when the first page was asked for; 0 if there is none.
	End uint64 `json:"end,omitempty"`
	// Last is the place of the last chunk in the page.
	Last uint64 `json:"last,omitempty"`
	// Messages is, in a first page without a stream, how many chunks the log held up to End.
	Messages uint64 `json:"messages,omitempty"`
	// Time is the server's clock, in milliseconds since the epoch.
	Time uint64 `json:"time"`
}

// PurgedStreamsRequest asks which of some streams, by id, have no chunk at or before End any more.
type PurgedStreamsRequest struct {
	Basin   BasinName `json:"basin"`   // the basin of the streams
	Log     int       `json:"log"`     // number of their log
	End     uint64    `json:"end"`     // a place in the log, inclusive
	Streams []string  `json:"streams"` // ids; at most [MaxPurgedStreams]
}

// MaxPurgedStreams is how many streams one [PurgedStreamsRequest] may name.
const MaxPurgedStreams = 4096

// BeginRestoreRequest makes a basin of its catalog entry. Restore is an id that the client has made up for this restore of
// the basin: 1 to 64 letters, digits and hyphens.
type BeginRestoreRequest struct {
	Restore string       `json:"restore"` // id of the restore
	Entry   CatalogEntry `json:"entry"`   // of the basin
}

// ImportStreamsRequest holds streams' catalog entries of one basin. The logs that they name do not count.
type ImportStreamsRequest struct {
	Basin   BasinName      `json:"basin"`   // the basin that is being restored
	Restore string         `json:"restore"` // id of the restore that holds it
	Entries []CatalogEntry `json:"entries"` // of streams
}

// ImportChunksRequest holds chunks of streams that go to one log, those of a stream in its order.
type ImportChunksRequest struct {
	Basin   BasinName `json:"basin"`   // the basin that is being restored
	Restore string    `json:"restore"` // id of the restore that holds it
	Log     int       `json:"log"`     // number of the log, as ImportStreams answered it
	// Before is how many chunks this restore has put into the log before these.
	Before uint64        `json:"before"`
	Chunks []StoredChunk `json:"-"` // those of a stream in its order; they travel beside the JSON
}

// EndRestoreRequest states the required contents of a restored basin.
type EndRestoreRequest struct {
	Basin   BasinName `json:"basin"`   // the basin that is being restored
	Restore string    `json:"restore"` // id of the restore that holds it
	Streams int       `json:"streams"` // how many streams it has
	// Chunks are counts by log; a log that got none may be left out.
	Chunks map[int]uint64 `json:"chunks"`
}

// HeaderBackup carries, in JSON, the fields beside the frames of a message: an [ExportChunksPage] or an
// [ImportChunksRequest].
const HeaderBackup = "Weir-Backup"

// RestoreLapse is how long a restore that asks for nothing holds its basin against another restore.
const RestoreLapse = 30 * time.Second
