package storefiles

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"

	"github.com/minio/highwayhash"
	"github.com/nats-io/nats-server/v2/server"
)

// A block is a sequence of records. All numbers are little-endian:
//
//	0   4  length of the whole record; its highest bit says that the message has headers
//	4   8  sequence; one of the two highest bits says that the record notes a removal
//	12  8  time in nanoseconds since 1970
//	20  2  length of the subject
//	22     subject; with headers their length in 4 bytes and they; the body
//	-8  8  HighwayHash-64 of bytes 4 to 20, the subject, the headers and the body
const (
	recordHead = 22
	recordSum  = 8
	// maxRecord is the length from which JetStream takes a record for damaged.
	maxRecord = 32 << 20

	headersBit = 1 << 31
	erasedBit  = 1 << 63 // the record stands in the place of an erased message
	removedBit = 1 << 62 // the record notes that an earlier message was removed
)

// ErrEncrypted says that the NATS server encrypts the file.
var ErrEncrypted = errors.New("the NATS server encrypts the store: its files cannot be read without it")

// A Record is one record of a block. Its slices are parts of the block.
type Record struct {
	Seq uint64
	// Removal says that the record is no message, and notes that message Seq was removed.
	Removal bool
	Subject []byte
	Headers []byte
	Body    []byte
}

// DamageError says where a block stops making sense.
type DamageError struct {
	Path   string
	Offset int // of the first byte that makes no sense, in the block as it is uncompressed
	Size   int
	Reason string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("%s is damaged at byte %d of %d: %s", e.Path, e.Offset, e.Size, e.Reason)
}

// ReadBlock returns the contents of a block file, uncompressed. stream is the name of the JetStream stream.
func ReadBlock(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read a block: %w", err)
	}
	if encrypted(filepath.Dir(filepath.Dir(path))) {
		return nil, ErrEncrypted
	}
	var how server.CompressionInfo
	n, err := how.UnmarshalMetadata(b)
	if err == nil && n > 0 {
		b, err = how.Algorithm.Decompress(b[n:])
	}
	if err != nil {
		return nil, &DamageError{Path: path, Size: len(b), Reason: err.Error()}
	}
	return b, nil
}

// Records yields the records of a block: those up to the first that makes no sense, and then a *[DamageError].
func Records(stream, path string, block []byte) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		key := sha256.Sum256(fmt.Appendf(nil, "%s-%d", stream, blockNumber(filepath.Base(path))))
		hash, err := highwayhash.NewDigest64(key[:])
		if err != nil {
			yield(Record{}, fmt.Errorf("hash of a block: %w", err))
			return
		}
		var sum [highwayhash.Size64]byte
		for at := 0; at < len(block); {
			bad := func(reason string) { yield(Record{}, &DamageError{path, at, len(block), reason}) }
			if len(block)-at < recordHead {
				bad("the last record is cut short")
				return
			}
			head := block[at : at+recordHead]
			length, subject := binary.LittleEndian.Uint32(head), int(binary.LittleEndian.Uint16(head[20:]))
			hasHeaders := length&headersBit != 0
			n := int(length &^ headersBit)
			least := recordHead + subject + recordSum
			if hasHeaders {
				least += 4
			}
			switch {
			case n < least || n > maxRecord:
				bad(fmt.Sprintf("a record cannot be %d bytes long", n))
				return
			case at+n > len(block):
				bad(fmt.Sprintf("%d bytes of the last record are missing", at+n-len(block)))
				return
			}
			rest := block[at+recordHead : at+n-recordSum]
			r := Record{Seq: binary.LittleEndian.Uint64(head[4:]), Subject: rest[:subject], Body: rest[subject:]}
			hash.Reset()
			hash.Write(head[4:20]) //nolint:errcheck // a hash takes everything
			hash.Write(r.Subject)  //nolint:errcheck // a hash takes everything
			if hasHeaders {
				size := int(binary.LittleEndian.Uint32(r.Body))
				r.Body = r.Body[4:]
				hash.Write(r.Body) //nolint:errcheck // a hash takes everything
				if size > len(r.Body) {
					bad("the headers are longer than the record")
					return
				}
				r.Headers, r.Body = r.Body[:size], r.Body[size:]
			} else {
				hash.Write(r.Body) //nolint:errcheck // a hash takes everything
			}
			if !bytes.Equal(hash.Sum(sum[:0]), block[at+n-recordSum:at+n]) {
				bad("the checksum of a record does not hold")
				return
			}
			r.Removal = r.Seq == 0 || r.Seq&(erasedBit|removedBit) != 0
			r.Seq &^= erasedBit | removedBit
			if !yield(r, nil) {
				return
			}
			at += n
		}
	}
}

func blockNumber(name string) int {
	var n int
	if _, err := fmt.Sscanf(name, "%d.blk", &n); err != nil {
		return 0
	}
	return n
}
