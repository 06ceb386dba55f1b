package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Format is the version of the format that is written, and the only one that is read.
const Format = 1

// The names of a backup's parts.
const (
	manifestName = "manifest.json"
	catalogName  = "catalog.jsonl"
	spoolName    = "catalog.part" // a basin's part of the catalog while the basin may turn out to be deleted
	logsDir      = "logs"
	chunksSuffix = ".chunks"
	zstdSuffix   = ".zst"
	tmpSuffix    = ".tmp"
)

// Manifest lists the files and facts of a backup. It is written last, when everything else has been read again and found right.
type Manifest struct {
	Format   int       `json:"format"`        // version of the backup format
	Weir     string    `json:"weir"`          // version of the broker
	Prefix   string    `json:"prefix"`        // of the broker's subjects
	Began    time.Time `json:"began"`         // UTC
	Ended    time.Time `json:"ended"`         // UTC
	Basins   int       `json:"basins"`        // how many the backup holds, here and below
	Streams  int       `json:"streams"`       // of all basins
	Tokens   int       `json:"access_tokens"` // without that of the configuration
	Chunks   uint64    `json:"chunks"`        // of the streams
	Records  uint64    `json:"records"`       // of the streams
	Metered  uint64    `json:"metered_bytes"` // of the records
	Files    []File    `json:"files"`         // every file of the backup but this one
	Checksum string    `json:"sha256"`        // of this file with an empty one
}

// File is one file of a backup.
type File struct {
	Name   string `json:"name"`   // below the directory, with slashes
	Bytes  int64  `json:"bytes"`  // size
	SHA256 string `json:"sha256"` // in hexadecimal
	// Chunks and Restarts count the frames of a log, and Time is the broker's clock in milliseconds when it was read.
	Chunks   uint64 `json:"chunks,omitempty"`
	Restarts uint64 `json:"restarts,omitempty"` // of a log: frames that begin it anew
	Time     uint64 `json:"time,omitempty"`     // milliseconds since the epoch
}

// bytes is the one way in which a manifest is written.
func (m *Manifest) bytes() ([]byte, error) {
	sealed := *m
	sealed.Checksum = ""
	open, err := json.MarshalIndent(&sealed, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the manifest: %w", err)
	}
	sum := sha256.Sum256(open)
	sealed.Checksum = hex.EncodeToString(sum[:])
	b, err := json.MarshalIndent(&sealed, "", "  ")
	return append(b, '\n'), err
}

// ReadManifest reads the manifest of a backup. It stands for the whole only if every byte is as it was written.
func ReadManifest(dir string) (*Manifest, error) {
	path := filepath.Join(dir, manifestName)
	err := checkRegular(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notComplete(dir)
	}
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var m Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, damaged(path, err)
	}
	if m.Format != Format && m.Format != 0 {
		return nil, fmt.Errorf("%s: has format %d, this version reads %d", path, m.Format, Format)
	}
	again, err := m.bytes()
	if err != nil || !bytes.Equal(again, raw) {
		return nil, damaged(path, errors.New("its checksum does not hold"))
	}
	for i := range m.Files {
		if name := m.Files[i].Name; strings.TrimSuffix(name, zstdSuffix) != catalogName && (!strings.HasPrefix(name, logsDir+"/") || strings.Count(name, "/") != 1) {
			return nil, damaged(path, fmt.Errorf("it names the file %q", name))
		}
	}
	return &m, nil
}

func notComplete(dir string) error {
	if entries, err := os.ReadDir(dir); err != nil {
		return err
	} else if len(entries) == 0 {
		return fmt.Errorf("%s is empty: there is no backup in it", dir)
	}
	return fmt.Errorf("%s holds no complete backup: %s is missing; the backup was never completed", dir, manifestName)
}

// DamagedError says that a file of a backup is not as it was written.
type DamagedError struct {
	Path string // the file
	Err  error  // its fault
}

func (e *DamagedError) Error() string { return e.Path + " is damaged: " + e.Err.Error() }

func (e *DamagedError) Unwrap() error { return e.Err }

func damaged(path string, err error) error { return &DamagedError{path, err} }

// catalog returns the entry of the catalog's file.
func (m *Manifest) catalog() (File, bool) {
	for _, f := range m.Files {
		if strings.TrimSuffix(f.Name, zstdSuffix) == catalogName {
			return f, true
		}
	}
	return File{}, false
}
