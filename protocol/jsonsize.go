package protocol

import (
	"encoding/base64"
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// SizeReadBatchJSON is how many bytes [AppendReadBatchJSON] appends, so that memory for them can be found first. Raw text may take
// six times its bytes.
func SizeReadBatchJSON(b *ReadBatch, f RecordFormat) int {
	size := len(`{"records":[`) + len(`]}`)
	var rec SequencedRecord // its header slice serves every record
	count := 0
	for rest := b.Records.wire; len(rest) > 0; count++ {
		entry, n := nextEntry(rest)
		if n <= 0 || decodeSequencedInto(&rec, entry) != nil {
			break
		}
		size += rec.sizeJSON(f)
		rest = rest[n:]
	}
	if size += max(count-1, 0); b.Tail != nil { // commas between records
		size += len(`,"tail":`) + b.Tail.sizeJSON()
	}
	return size
}

func (r *SequencedRecord) sizeJSON(f RecordFormat) int {
	size := Position{r.SeqNum, r.Timestamp}.sizeJSON()
	if n := len(r.Headers); n > 0 {
		size += len(`,"headers":[]`) + n - 1
		for i := range r.Headers {
			size += len(`[,]`) + sizeFormatted(r.Headers[i].Name, f) + sizeFormatted(r.Headers[i].Value, f)
		}
	}
	if len(r.Body) > 0 {
		size += len(`,"body":`) + sizeFormatted(r.Body, f)
	}
	return size
}

func (p Position) sizeJSON() int {
	return len(`{"seq_num":,"timestamp":}`) + decimals(p.SeqNum) + decimals(p.Timestamp)
}

// decimals is how many digits n has.
func decimals(n uint64) int {
	digits := bits.Len64(n) * 1233 >> 12 // about log10(2); right, or one too few
	if digits < len(powersOfTen) && n >= powersOfTen[digits] {
		digits++
	}
	return max(digits, 1)
}

var powersOfTen = func() (p [20]uint64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = p[i-1] * 10
	}
	return p
}()

// sizeFormatted is how many bytes appendFormatted appends.
func sizeFormatted(b []byte, f RecordFormat) int {
	if f == FormatBase64 {
		return len(`""`) + base64.StdEncoding.EncodedLen(len(b))
	}
	return len(`""`) + sizeText(b)
}

// sizeInJSON is how many bytes a byte takes in a JSON string. Those of valid UTF-8 stand for themselves.
var sizeInJSON = func() (t [256]uint8) {
	for c := range t {
		if t[c] = 1; c < utf8.RuneSelf && !plainJSON[c] {
			t[c] = uint8(len(appendJSONEscape(nil, byte(c))))
		}
	}
	return t
}()

func sizeText(b []byte) int {
	size := 0
	if !utf8.Valid(b) {
		for i := 0; i < len(b); {
			if b[i] < utf8.RuneSelf {
				size += int(sizeInJSON[b[i]])
				i++
				continue
			}
			n, ok := nextSubpart(b[i:])
			if i += n; ok {
				size += n
			} else {
				size += len("\uFFFD")
			}
		}
		return size
	}
	for ; len(b) >= 8; b = b[8:] {
		if word := binary.LittleEndian.Uint64(b); plainWord(word) {
			size += 8
			continue
		}
		for _, c := range b[:8] {
			size += int(sizeInJSON[c])
		}
	}
	for _, c := range b {
		size += int(sizeInJSON[c])
	}
	return size
}

// plainWord reports whether none of eight bytes is a control character, a quotation mark or a backslash. It may say no where
// there is none.
func plainWord(word uint64) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	quotes, slashes := word^ones*'"', word^ones*'\\'
	return ((word-ones*0x20)&^word|(quotes-ones)&^quotes|(slashes-ones)&^slashes)&highs == 0
}
