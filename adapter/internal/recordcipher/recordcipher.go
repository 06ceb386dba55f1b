// Package recordcipher encrypts the records of a stream with a client's key, in the form in which they are stored
// (docs/encryption.md; data plane section 7).
package recordcipher

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/weirstream/weir/adapter/internal/aegis"
	"github.com/weirstream/weir/protocol"
)

// Format ids of encrypted records (data plane 7.3).
const (
	formatAEGIS256  = 0x01
	formatAES256GCM = 0x02
)

// MaxGCMSeqNum is the highest seq_num of a record under AES-256-GCM (data plane 3.10): random nonces of 96 bits are safe
// for so many under one key.
const MaxGCMSeqNum = 1<<32 - 1

// ErrCipher says that a stored record is encrypted in another way than its stream.
var ErrCipher = protocol.Errorf(protocol.CodeStorage, "the store is damaged: a stored record does not have the cipher of its stream")

var (
	errDecryption = protocol.Errorf(protocol.CodeDecryptionFailed, "record decryption failed: the key is not the one that the record was appended with, or the record was altered")
	errFormat     = protocol.Errorf(protocol.CodeStorage, "the store is damaged: a stored record does not have the form of an encrypted one")
	errSize       = protocol.Errorf(protocol.CodeStorage, "the store is damaged: the size of a decrypted record is not the one that is stored with it")
)

// Cipher encrypts the records of one stream with one client's key. It may be used by many goroutines at once.
//
// A stored encrypted record has no headers, and its body is
//
//	metered size of the record  uvarint
//	format id                   1 byte: 1 AEGIS-256, 2 AES-256-GCM
//	nonce                       random; 32 bytes, or 12 with AES-256-GCM
//	ciphertext                  of the record's envelope: its headers and body (protocol.AppendEnvelope)
//	tag                         16 bytes
//
// The associated data is the SHA-256 of the basin's name, 0, the stream's name, 0: a record that is copied to another
// stream does not decrypt. Commands are stored as they are (data plane 7.1).
type Cipher struct {
	aead   cipher.AEAD
	format byte
	bound  [sha256.Size]byte // the associated data
}

// New resolves the key for a stream. The error has code bad_header.
func New(c protocol.Cipher, key protocol.EncryptionKey, ref protocol.StreamRef) (*Cipher, error) {
	raw, err := key.Resolve(c)
	if err != nil {
		return nil, err
	}
	rc := &Cipher{bound: sha256.Sum256([]byte(string(ref.Basin) + "\x00" + string(ref.Stream) + "\x00"))}
	//exhaustive:enforce
	switch c {
	case protocol.CipherAEGIS256:
		rc.format, rc.aead = formatAEGIS256, aegis.New(&raw)
	case protocol.CipherAES256GCM:
		block, err := aes.NewCipher(raw[:])
		if err != nil {
			return nil, fmt.Errorf("AES: %w", err)
		}
		if rc.aead, err = cipher.NewGCM(block); err != nil {
			return nil, fmt.Errorf("AES-GCM: %w", err)
		}
		rc.format = formatAES256GCM
	case protocol.CipherNone:
		fallthrough
	default:
		return nil, protocol.Errorf(protocol.CodeStorage, "the stream is encrypted with %q, which this broker does not know", string(c))
	}
	return rc, nil
}

// Encrypt returns the records as they are stored. The memory is new, but for commands and timestamps.
func (c *Cipher) Encrypt(records []protocol.Record) ([]protocol.Record, error) {
	fixed := c.aead.NonceSize() + c.aead.Overhead() + 1
	nonces, size := 0, 0
	for i := range records {
		r := &records[i]
		if r.Command() == protocol.NoCommand {
			nonces++
			size += binary.MaxVarintLen32 + fixed + protocol.EnvelopeSize(r.Headers, r.Body)
		}
	}
	random := make([]byte, nonces*c.aead.NonceSize())
	if _, err := rand.Read(random); err != nil {
		return nil, fmt.Errorf("read random bytes: %w", err)
	}
	out := make([]protocol.Record, len(records))
	buf := make([]byte, 0, size)
	for i := range records {
		r := &records[i]
		if r.Command() != protocol.NoCommand {
			out[i] = *r
			continue
		}
		var nonce []byte
		nonce, random = random[:c.aead.NonceSize()], random[c.aead.NonceSize():]
		start := len(buf)
		buf = binary.AppendUvarint(buf, r.MeteredSize())
		buf = append(buf, c.format)
		buf = append(buf, nonce...)
		text := len(buf)
		buf = protocol.AppendEnvelope(buf, r.Headers, r.Body)
		buf = c.aead.Seal(buf[:text], nonce, buf[text:], c.bound[:])
		out[i] = protocol.Record{Timestamp: r.Timestamp, Body: buf[start:len(buf):len(buf)]}
	}
	return out, nil
}

// Decrypt returns stored records as they were appended, in new memory. If one cannot be decrypted it returns those before
// it, and the error. Codes: decryption_failed; storage, if a stored record is not one that Encrypt made (data plane 7.4).
func (c *Cipher) Decrypt(stored protocol.Records) (plain protocol.Records, err error) {
	wire := make([]byte, 0, len(stored.Wire()))
	count, metered := 0, uint64(0)
	var last protocol.Position
	for rec := range stored.All() {
		var size uint64
		pos := protocol.Position{SeqNum: rec.SeqNum, Timestamp: rec.Timestamp}
		if rec.Command() != protocol.NoCommand {
			size = rec.MeteredSize()
			wire = protocol.AppendSequenced(wire, pos.SeqNum, pos.Timestamp, rec.Headers, rec.Body)
		} else if wire, size, err = c.decryptRecord(wire, pos, &rec); err != nil {
			break
		}
		count++
		metered += size
		last = pos
	}
	if err == nil && count != stored.Len() {
		err = errFormat
	}
	if count == 0 {
		return protocol.Records{}, err
	}
	return protocol.MakeRecords(wire, count, metered, stored.First(), last), err
}

// decryptRecord appends a stored record to dst as it was appended, and returns its metered size.
func (c *Cipher) decryptRecord(dst []byte, pos protocol.Position, rec *protocol.SequencedRecord) (_ []byte, metered uint64, err error) {
	metered, n := binary.Uvarint(rec.Body)
	if n <= 0 || len(rec.Headers) != 0 || len(rec.Body) == n {
		return dst, 0, errFormat
	}
	format, rest := rec.Body[n], rec.Body[n+1:]
	switch {
	case format != formatAEGIS256 && format != formatAES256GCM:
		return dst, 0, errFormat
	case format != c.format:
		return dst, 0, ErrCipher
	case len(rest) < c.aead.NonceSize()+c.aead.Overhead():
		return dst, 0, errFormat
	}
	nonce, sealed := rest[:c.aead.NonceSize()], rest[c.aead.NonceSize():]
	start := len(dst)
	dst = protocol.AppendSequencedHead(dst, pos, len(sealed)-c.aead.Overhead())
	text := len(dst)
	open, err := c.aead.Open(dst, nonce, sealed, c.bound[:])
	if err != nil {
		return dst[:start], 0, errDecryption
	}
	size, err := protocol.MeasureEnvelope(open[text:])
	switch {
	case err != nil:
		return dst[:start], 0, errFormat
	case size != metered:
		return dst[:start], 0, errSize
	}
	return open, size, nil
}

// StoredMeteredSize is the metered size of a stored encrypted record, as it was appended. It needs no key.
func StoredMeteredSize(rec *protocol.SequencedRecord) uint64 {
	if rec.Command() != protocol.NoCommand {
		return rec.MeteredSize()
	}
	size, _ := binary.Uvarint(rec.Body)
	return size
}
