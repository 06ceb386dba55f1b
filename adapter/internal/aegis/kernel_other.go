//go:build !amd64 && !arm64

package aegis

const available = false

func absorbBlocks(*state, *byte, int)         { panic("aegis: no AES instructions") }
func encryptBlocks(*state, *byte, *byte, int) { panic("aegis: no AES instructions") }
func decryptBlocks(*state, *byte, *byte, int) { panic("aegis: no AES instructions") }
