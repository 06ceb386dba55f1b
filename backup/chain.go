package backup

import (
	"encoding/base32"
	"fmt"
	"strings"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/chunk"
)

// id is a stream's id, as short as it can be: there may be millions in memory.
type id [16]byte

var idEncoding = base32.HexEncoding.WithPadding(base32.NoPadding)

func parseID(s string) (out id, err error) {
	raw, err := idEncoding.DecodeString(strings.ToUpper(s))
	if err != nil || len(raw) != len(out) {
		return out, fmt.Errorf("%.40q is not the id of a stream", s)
	}
	return id(raw), nil
}

func (i id) String() string { return strings.ToLower(idEncoding.EncodeToString(i[:])) }

// chain follows the chunks of one stream, in order.
type chain struct {
	next, last uint64 // the tail
	trim       uint64
	expiry     uint64 // of the newest chunk
	// need is the trim point that explains the gaps so far: chunks are removed from the front of a stream while it is read,
	// and then a later chunk says why.
	need    uint64
	chunks  uint64
	records uint64
	metered uint64
	state   bool // the newest chunk has no records
}

// add takes in the next chunk, as of a time in milliseconds. The error names the contradiction.
func (c *chain) add(k *chunk.Chunk, now uint64) error {
	first := k.FirstSeqNum()
	if c.chunks > 0 {
		firstTime := k.Last
		if k.Records.Len() > 0 {
			firstTime = k.Records.First().Timestamp
		}
		switch {
		case first < c.next:
			return fmt.Errorf("a chunk begins at seq_num %d, behind one that ends at %d", first, c.next)
		case firstTime < c.last:
			return fmt.Errorf("the timestamp of seq_num %d is %d, below %d before it", first, firstTime, c.last)
		case k.Trim < c.trim:
			return fmt.Errorf("the trim point falls from %d to %d at seq_num %d", c.trim, k.Trim, first)
		case first > c.next && !c.state && (c.expiry == 0 || c.expiry > now):
			c.need = max(c.need, c.next)
		}
	}
	c.next, c.last, c.trim, c.expiry = k.Next, k.Last, k.Trim, k.Expiry
	c.state = k.Records.Len() == 0
	c.chunks++
	c.records += uint64(k.Records.Len())
	c.metered += k.Records.MeteredSize()
	return nil
}

// whole reports whether every gap is explained.
func (c *chain) whole() bool { return c.need <= c.trim }

func (c *chain) tail() protocol.Position { return protocol.Position{SeqNum: c.next, Timestamp: c.last} }
