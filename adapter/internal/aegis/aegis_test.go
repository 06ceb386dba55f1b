package aegis

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/bits"
	"os"
	"testing"
)

// kernels are those that this machine can run, and whether they use the processor's AES instructions.
func kernels() map[string]bool {
	all := map[string]bool{"portable": false}
	if available {
		all["hardware"] = true
	}
	return all
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func eachKernel(t *testing.T, f func(t *testing.T, hardware bool)) {
	for name, hardware := range kernels() {
		t.Run("kernel="+name, func(t *testing.T) { f(t, hardware) })
	}
}

// TestDraftVectors: draft-irtf-cfrg-aegis-aead, "AEGIS-256 Test Vectors", 1 to 9.
func TestDraftVectors(t *testing.T) {
	data, err := os.ReadFile("testdata/draft-aegis-256.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Name, Key, Nonce, AD, Msg, CT, Tag128 string
		Valid                                 bool
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) != 9 {
		t.Fatalf("%d vectors", len(vectors))
	}
	eachKernel(t, func(t *testing.T, hardware bool) {
		for _, v := range vectors {
			a := &aead{key: [KeySize]byte(unhex(t, v.Key)), hardware: hardware}
			nonce, ad, sealed := unhex(t, v.Nonce), unhex(t, v.AD), unhex(t, v.CT+v.Tag128)
			got, err := a.Open(nil, nonce, sealed, ad)
			if (err == nil) != v.Valid {
				t.Errorf("%s: open: %v", v.Name, err)
			}
			if !v.Valid {
				continue
			}
			msg := unhex(t, v.Msg)
			if !bytes.Equal(got, msg) {
				t.Errorf("%s: opened as %x, want %x", v.Name, got, msg)
			}
			if got := a.Seal(nil, nonce, msg, ad); !bytes.Equal(got, sealed) {
				t.Errorf("%s: sealed as %x, want %x", v.Name, got, sealed)
			}
		}
	})
}

// TestDraftUpdate: the draft's vector of one update.
func TestDraftUpdate(t *testing.T) {
	load := func(blocks ...string) (s state) {
		for i, b := range blocks {
			s[i] = [blockSize]byte(unhex(t, b))
		}
		return s
	}
	before := load("1fa1207ed76c86f2c4bb40e8b395b43e", "b44c375e6c1e1978db64bcd12e9e332f", "0dab84bfa9f0226432ff630f233d4e5b",
		"d7ef65c9b93e8ee60c75161407b066e7", "a760bb3da073fbd92bdc24734b1f56fb", "a828a18d6a964497ac6e7e53c5f55c73")
	after := load("e6bc643bae82dfa3d991b1b323839dcd", "648578232ba0f2f0a3677f617dc052c3", "ea788e0e572044a46059212dd007a789",
		"2f1498ae19b80da13fba698f088a8590", "a54c2ee95e8c2a2c3dae2ec743ae6b86", "a3240fceb68e32d5d114df1b5363ab67")
	eachKernel(t, func(t *testing.T, hardware bool) {
		s := before
		(&aead{hardware: hardware}).absorb(&s, unhex(t, "b165617ed04ab738afb2612c6d18a1ec"))
		if s != after {
			t.Errorf("got %x", s)
		}
	})
}

// libaegisDigest is the SHA-256 of what libaegis (Python's package aeg 0.9.0) made of the inputs below.
const libaegisDigest = "2e46a945bc6e149a66576368aed5cf6d58440d62fc42f5d127b10d78ec0ee7a2"

func TestLibaegisAgrees(t *testing.T) {
	eachKernel(t, func(t *testing.T, hardware bool) {
		sum := sha256.New()
		for n := range 300 {
			fill := func(size, step, start int) []byte {
				b := make([]byte, size)
				for i := range b {
					b[i] = byte(i*step + start)
				}
				return b
			}
			a := &aead{key: [KeySize]byte(fill(KeySize, 1, n)), hardware: hardware}
			sum.Write(a.Seal(nil, fill(NonceSize, 5, 3*n), fill(n, 13, 17*n), fill(7*n%41, 11, n)))
		}
		if got := hex.EncodeToString(sum.Sum(nil)); got != libaegisDigest {
			t.Errorf("digest %s", got)
		}
	})
}

// TestSBox compares the circuit with the S-box's definition for every byte (FIPS 197, 5.1.1).
func TestSBox(t *testing.T) {
	multiply := func(a, b byte) (p byte) {
		for ; b != 0; b >>= 1 {
			if b&1 != 0 {
				p ^= a
			}
			a = a<<1 ^ a>>7*0x1b
		}
		return p
	}
	for x := range 256 {
		inverse := byte(1)
		for range 254 {
			inverse = multiply(inverse, byte(x))
		}
		want := inverse ^ bits.RotateLeft8(inverse, 1) ^ bits.RotateLeft8(inverse, 2) ^ bits.RotateLeft8(inverse, 3) ^
			bits.RotateLeft8(inverse, 4) ^ 0x63
		var w [8]uint64
		for i := range w {
			w[i] = uint64(byte(x)) << (8 * i)
		}
		subBytes(&w)
		for i := range w {
			if got := byte(w[i] >> (8 * i)); got != want {
				t.Fatalf("S-box of %#x is %#x in lane %d, want %#x", x, got, i, want)
			}
		}
	}
}

func TestSealInPlaceAndBehind(t *testing.T) {
	eachKernel(t, func(t *testing.T, hardware bool) {
		a := &aead{hardware: hardware}
		nonce := make([]byte, NonceSize)
		for _, n := range []int{0, 1, 15, 16, 17, 31, 32, 33, 1000} {
			msg := bytes.Repeat([]byte{0xa5}, n)
			want := a.Seal(nil, nonce, msg, nil)
			buf := append([]byte("head"), msg...)
			got := a.Seal(buf[:4], nonce, buf[4:], nil)
			if string(got[:4]) != "head" || !bytes.Equal(got[4:], want) {
				t.Errorf("%d bytes: in place differs", n)
			}
			open, err := a.Open(got[4:4], nonce, got[4:], nil)
			if err != nil || !bytes.Equal(open, msg) {
				t.Errorf("%d bytes: opened in place as %x, %v", n, open, err)
			}
		}
	})
}

// TestAlteredOpensAsNothing flips every bit of a sealed message, its nonce and its additional data.
func TestAlteredOpensAsNothing(t *testing.T) {
	eachKernel(t, func(t *testing.T, hardware bool) {
		a := &aead{hardware: hardware}
		nonce, ad := make([]byte, NonceSize), []byte("additional data, one block and a bit")
		sealed := a.Seal(nil, nonce, []byte("a message of more than one block"), ad)
		for _, part := range [][]byte{nonce, ad, sealed} {
			for i := range len(part) * 8 {
				part[i/8] ^= 1 << (i % 8)
				dst := make([]byte, 0, 64)
				if got, err := a.Open(dst, nonce, sealed, ad); err == nil || got != nil {
					t.Fatalf("bit %d flipped: opened as %q, %v", i, got, err)
				}
				if !bytes.Equal(dst[:64], make([]byte, 64)) {
					t.Fatalf("bit %d flipped: what was not authentic was left behind", i)
				}
				part[i/8] ^= 1 << (i % 8)
			}
		}
		for n := range sealed {
			if _, err := a.Open(nil, nonce, sealed[:n], ad); err == nil {
				t.Fatalf("opened %d of %d bytes", n, len(sealed))
			}
		}
	})
}

func TestMisusePanics(t *testing.T) {
	a := New(&[KeySize]byte{})
	buf, nonce := make([]byte, 64), make([]byte, NonceSize)
	for name, f := range map[string]func(){
		"short nonce":   func() { a.Seal(nil, nonce[1:], nil, nil) },
		"overlap":       func() { a.Seal(buf[:1], nonce, buf[:32], nil) },
		"overlap, open": func() { _, _ = a.Open(buf[:1], nonce, buf[:32], nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

func FuzzKernelsAgree(f *testing.F) {
	f.Add(make([]byte, 64), []byte("ad"), []byte("message"))
	f.Add(bytes.Repeat([]byte{0xff}, 64), []byte(nil), make([]byte, 100))
	f.Fuzz(func(t *testing.T, secret, ad, msg []byte) {
		if len(secret) < KeySize+NonceSize {
			return
		}
		var first []byte
		for name, hardware := range kernels() {
			a := &aead{key: [KeySize]byte(secret), hardware: hardware}
			nonce := secret[KeySize : KeySize+NonceSize]
			sealed := a.Seal(nil, nonce, msg, ad)
			if first == nil {
				first = sealed
			}
			if !bytes.Equal(sealed, first) {
				t.Fatalf("%s: %x, another kernel %x", name, sealed, first)
			}
			got, err := a.Open(nil, nonce, sealed, ad)
			if err != nil || !bytes.Equal(got, msg) {
				t.Fatalf("%s: opened as %x, %v", name, got, err)
			}
			if _, err := a.Open(nil, nonce, msg, ad); err == nil {
				t.Fatalf("%s: a message that was never sealed opens", name)
			}
		}
	})
}

// go test -run '^$' -bench . ./adapter/internal/aegis -count 10 | benchstat -
func BenchmarkSeal(b *testing.B) {
	for name, hardware := range kernels() {
		for _, n := range []int{100, 1 << 10, 64 << 10} {
			b.Run(fmt.Sprintf("kernel=%s/bytes=%d", name, n), func(b *testing.B) {
				a := &aead{hardware: hardware}
				nonce, msg := make([]byte, NonceSize), make([]byte, n)
				buf := make([]byte, 0, n+TagSize)
				b.SetBytes(int64(n))
				b.ReportAllocs()
				for b.Loop() {
					a.Seal(buf, nonce, msg, nonce)
				}
			})
		}
	}
}
