//go:build amd64 || arm64

package aegis

// The loops on the processor's AES instructions, for n > 0 blocks. They may be called only where available is true.

//go:noescape
func absorbBlocks(s *state, src *byte, n int)

//go:noescape
func encryptBlocks(s *state, dst, src *byte, n int)

//go:noescape
func decryptBlocks(s *state, dst, src *byte, n int)
