// Package aegis implements AEGIS-256 with a tag of 128 bits, as draft-irtf-cfrg-aegis-aead describes it: authenticated
// encryption that is built of AES rounds and whose nonces of 256 bits may be random without a limit worth counting.
//
// The state is six blocks of 16 bytes. Everything is made of one step, the update, which sends each block through one AES
// round and adds the next; a message block goes into the first. There are three kernels for it: one in amd64 assembly, one
// in arm64 assembly, both on the processor's AES instructions, and a portable one for all other processors, which is slower
// and has neither branches nor table look-ups that depend on secrets.
//
// It is here because no module of Go's that could be had implements AEGIS-256 (docs/adr/0007). It was verified by the
// vectors of the draft, kept in testdata, and by the comparison of the kernels with each other and, when it was written, with
// libaegis.
package aegis

import (
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"unsafe"
)

const (
	// KeySize is the length of a key in bytes.
	KeySize = 32
	// NonceSize is the length of a nonce in bytes.
	NonceSize = 32
	// TagSize is the length of a tag in bytes.
	TagSize = 16

	blockSize = 16
)

var errOpen = errors.New("aegis: message authentication failed")

// New returns AEGIS-256 with the key. The result may be used by many goroutines at once.
func New(key *[KeySize]byte) cipher.AEAD { return &aead{key: *key, hardware: available} }

type aead struct {
	key      [KeySize]byte
	hardware bool // use the processor's AES instructions
}

// state is S0 to S5 of the draft.
type state [6][blockSize]byte

// The three loops that every message is made of. The lengths are whole blocks; dst and src are equal or do not overlap.
// Each updates the state with the blocks of a plaintext: absorb with those of src, encrypt with those of src, whose
// ciphertext goes to dst, and decrypt with those of dst, whose ciphertext is src.

func (a *aead) absorb(s *state, src []byte) {
	switch n := len(src) / blockSize; {
	case n == 0:
	case a.hardware:
		absorbBlocks(s, &src[0], n)
	default:
		s.absorb(src)
	}
}

func (a *aead) encrypt(s *state, dst, src []byte) {
	switch n := len(src) / blockSize; {
	case n == 0:
	case a.hardware:
		encryptBlocks(s, &dst[:n*blockSize][0], &src[0], n)
	default:
		s.encrypt(dst, src)
	}
}

func (a *aead) decrypt(s *state, dst, src []byte) {
	switch n := len(src) / blockSize; {
	case n == 0:
	case a.hardware:
		decryptBlocks(s, &dst[:n*blockSize][0], &src[0], n)
	default:
		s.decrypt(dst, src)
	}
}

func (*aead) NonceSize() int { return NonceSize }
func (*aead) Overhead() int  { return TagSize }

// Seal appends the ciphertext and the tag to dst. To encrypt in place, pass plaintext[:0] as dst.
func (a *aead) Seal(dst, nonce, plaintext, additionalData []byte) []byte {
	head, out := grow(dst, len(plaintext)+TagSize)
	if overlapInexactly(out, plaintext) {
		panic("aegis: invalid buffer overlap") //nolint:forbidigo // the contract of cipher.AEAD
	}
	s := a.begin(nonce, additionalData)
	whole := len(plaintext) &^ (blockSize - 1)
	a.encrypt(&s, out[:whole], plaintext[:whole])
	if rest := plaintext[whole:]; len(rest) > 0 {
		var block [blockSize]byte
		copy(block[:], rest)
		a.encrypt(&s, block[:], block[:])
		copy(out[whole:], block[:len(rest)])
	}
	tag := a.tag(&s, len(additionalData), len(plaintext))
	copy(out[len(plaintext):], tag[:])
	return head
}

// Open appends the plaintext to dst, or returns an error and nothing of it. To decrypt in place, pass ciphertext[:0] as
// dst.
func (a *aead) Open(dst, nonce, ciphertext, additionalData []byte) ([]byte, error) {
	if len(ciphertext) < TagSize {
		return nil, errOpen
	}
	text, want := ciphertext[:len(ciphertext)-TagSize], ciphertext[len(ciphertext)-TagSize:]
	head, out := grow(dst, len(text))
	if overlapInexactly(out, text) {
		panic("aegis: invalid buffer overlap") //nolint:forbidigo // the contract of cipher.AEAD
	}
	s := a.begin(nonce, additionalData)
	whole := len(text) &^ (blockSize - 1)
	a.decrypt(&s, out[:whole], text[:whole])
	if rest := text[whole:]; len(rest) > 0 {
		// The state takes in the plaintext with zeros behind it, not the zeros combined with the key stream.
		var block [blockSize]byte
		z := s.keyStream()
		subtle.XORBytes(block[:len(rest)], rest, z[:])
		a.absorb(&s, block[:])
		copy(out[whole:], block[:len(rest)])
	}
	tag := a.tag(&s, len(additionalData), len(text))
	if subtle.ConstantTimeCompare(tag[:], want) != 1 {
		clear(out)
		return nil, errOpen
	}
	return head, nil
}

// The draft's constants: the Fibonacci sequence modulo 256.
var (
	c0 = [blockSize]byte{0x00, 0x01, 0x01, 0x02, 0x03, 0x05, 0x08, 0x0d, 0x15, 0x22, 0x37, 0x59, 0x90, 0xe9, 0x79, 0x62}
	c1 = [blockSize]byte{0xdb, 0x3d, 0x18, 0x55, 0x6d, 0xc2, 0x2f, 0xf1, 0x20, 0x11, 0x31, 0x42, 0x73, 0xb5, 0x28, 0xdd}
)

// begin is the state after key, nonce and additional data.
func (a *aead) begin(nonce, additionalData []byte) (s state) {
	if len(nonce) != NonceSize {
		panic("aegis: incorrect nonce length") //nolint:forbidigo // the contract of cipher.AEAD
	}
	const half = KeySize / 2
	var load [16 * blockSize]byte // four times the key and its sum with the nonce
	copy(load[:], a.key[:])
	subtle.XORBytes(load[KeySize:], a.key[:], nonce)
	for n := 2 * KeySize; n < len(load); n *= 2 {
		copy(load[n:], load[:n])
	}
	copy(s[0][:], load[KeySize:])
	copy(s[1][:], load[KeySize+half:])
	s[2], s[3] = c1, c0
	subtle.XORBytes(s[4][:], a.key[:half], c0[:])
	subtle.XORBytes(s[5][:], a.key[half:], c1[:])
	a.absorb(&s, load[:])

	whole := len(additionalData) &^ (blockSize - 1)
	a.absorb(&s, additionalData[:whole])
	if rest := additionalData[whole:]; len(rest) > 0 {
		var block [blockSize]byte
		copy(block[:], rest)
		a.absorb(&s, block[:])
	}
	return s
}

// tag ends the computation. The lengths are in bytes.
func (a *aead) tag(s *state, additionalData, message int) (tag [TagSize]byte) {
	var load [7 * blockSize]byte
	binary.LittleEndian.PutUint64(load[:], uint64(additionalData)*8)
	binary.LittleEndian.PutUint64(load[8:], uint64(message)*8)
	subtle.XORBytes(load[:blockSize], load[:blockSize], s[3][:])
	for n := blockSize; n < len(load); n *= 2 {
		copy(load[n:], load[:n])
	}
	a.absorb(s, load[:])
	for i := range s {
		subtle.XORBytes(tag[:], tag[:], s[i][:])
	}
	return tag
}

// keyStream is the key stream for the next block of a message, which is added to the block.
func (s *state) keyStream() (z [blockSize]byte) {
	for i := range z {
		z[i] = s[1][i] ^ s[4][i] ^ s[5][i] ^ s[2][i]&s[3][i]
	}
	return z
}

// grow extends dst by n bytes; tail are those.
func grow(dst []byte, n int) (head, tail []byte) {
	if total := len(dst) + n; cap(dst) >= total {
		head = dst[:total]
	} else {
		head = make([]byte, total)
		copy(head, dst)
	}
	return head, head[len(dst):]
}

// overlapInexactly reports whether a and b share memory without beginning at the same byte.
func overlapInexactly(a, b []byte) bool {
	if len(a) == 0 || len(b) == 0 || &a[0] == &b[0] {
		return false
	}
	return uintptr(unsafe.Pointer(&a[0])) <= uintptr(unsafe.Pointer(&b[len(b)-1])) && //nolint:gosec // only addresses are compared
		uintptr(unsafe.Pointer(&b[0])) <= uintptr(unsafe.Pointer(&a[len(a)-1])) //nolint:gosec // only addresses are compared
}
