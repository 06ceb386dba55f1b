package aegis

import (
	"encoding/binary"
	"math/bits"
)

// The code below is for processors without AES instructions. It takes the same time for all secrets: the S-box is
// computed bit by bit for all bytes at once, not looked up.

func (s *state) absorb(src []byte) {
	for ; len(src) >= blockSize; src = src[blockSize:] {
		s.update((*[blockSize]byte)(src))
	}
}

func (s *state) encrypt(dst, src []byte) {
	for ; len(src) >= blockSize; dst, src = dst[blockSize:], src[blockSize:] {
		z, m := s.keyStream(), *(*[blockSize]byte)(src)
		for i := range z {
			dst[i] = m[i] ^ z[i]
		}
		s.update(&m)
	}
}

func (s *state) decrypt(dst, src []byte) {
	for ; len(src) >= blockSize; dst, src = dst[blockSize:], src[blockSize:] {
		m := s.keyStream()
		for i := range m {
			m[i] ^= src[i]
		}
		copy(dst, m[:])
		s.update(&m)
	}
}

// update sends each block through an AES round, whose key is the next block: S1 becomes Round(S0, S1) and so on, and S0
// becomes Round(S5, S0 xor m).
func (s *state) update(m *[blockSize]byte) {
	var w [12]uint64 // the state, little-endian
	for i := range s {
		w[2*i] = binary.LittleEndian.Uint64(s[i][:])
		w[2*i+1] = binary.LittleEndian.Uint64(s[i][8:])
	}
	old := w
	subBytes((*[8]uint64)(w[:8]))
	var last [8]uint64
	copy(last[:], w[8:])
	subBytes(&last)
	copy(w[8:], last[:])
	for i := range s {
		next := (i + 1) % len(s)
		low, high := mixColumns(w[2*i], w[2*i+1])
		low ^= old[2*next]
		high ^= old[2*next+1]
		if next == 0 {
			low ^= binary.LittleEndian.Uint64(m[:])
			high ^= binary.LittleEndian.Uint64(m[8:])
		}
		binary.LittleEndian.PutUint64(s[next][:], low)
		binary.LittleEndian.PutUint64(s[next][8:], high)
	}
}

// mixColumns does AES's ShiftRows and MixColumns to a block. A column is 32 bits, its first row the lowest byte.
func mixColumns(low, high uint64) (uint64, uint64) {
	in := [4]uint32{uint32(low), uint32(low >> 32), uint32(high), uint32(high >> 32)}
	var out [4]uint32
	for i := range in {
		x := in[i]&0xff | in[(i+1)%4]&0xff00 | in[(i+2)%4]&0xff0000 | in[(i+3)%4]&0xff000000
		next := bits.RotateLeft32(x, -8)
		sum := x ^ next
		carry := sum >> 7 & 0x01010101
		double := sum<<1&0xfefefefe ^ carry ^ carry<<1 ^ carry<<3 ^ carry<<4 // by x^8 = x^4 + x^3 + x + 1
		out[i] = double ^ next ^ bits.RotateLeft32(sum, -16)
	}
	return uint64(out[0]) | uint64(out[1])<<32, uint64(out[2]) | uint64(out[3])<<32
}

// subBytes applies AES's S-box to 64 bytes.
func subBytes(w *[8]uint64) {
	slice(w)
	sBox(w)
	slice(w)
}

// slice exchanges the number of a word with the number of a bit within its bytes: afterwards word i holds bit i of all 64
// bytes. It is its own inverse.
func slice(w *[8]uint64) {
	for i := 0; i < 8; i += 2 {
		swap(&w[i], &w[i+1], 0x5555555555555555, 1)
	}
	for _, i := range [4]int{0, 1, 4, 5} {
		swap(&w[i], &w[i+2], 0x3333333333333333, 2)
	}
	for i := range 4 {
		swap(&w[i], &w[i+4], 0x0f0f0f0f0f0f0f0f, 4)
	}
}

// swap exchanges the bits of a above those in mask with the bits of b in mask.
func swap(a, b *uint64, mask uint64, shift int) {
	t := (*a>>shift ^ *b) & mask
	*b ^= t
	*a ^= t << shift
}
