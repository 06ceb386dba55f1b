package natsapi

import (
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/broker/internal/door"
	"github.com/weirstream/weir/protocol"
)

// headerRoom is the part of the largest message that is kept free for its headers and for bytes that servers on the way add.
const headerRoom = 1024

// room is how large the body of an answer may be: a larger message would end the connection of the door.
func (d *Door) room() int {
	return max(int(d.nc.MaxPayload())-headerRoom, 0)
}

// minClientPayload is the least that a client may say it takes: smaller answers would be all headers.
const minClientPayload = 16 << 10

// room is how large the body of the answer may be: it must fit in a message of the door, and in one that the client takes. A
// client behind a leaf node may take less than the door's server, and a message of more would cut the leaf node's link.
func (c *call) room() int {
	room := c.door.room()
	switch {
	case c.ctl.maxPayload != nil:
		room = min(room, int(min(max(*c.ctl.maxPayload, minClientPayload), 1<<30))-headerRoom)
	case c.door.opts.AssumedPayload > 0:
		room = min(room, c.door.opts.AssumedPayload-headerRoom)
	}
	return room
}

// encoding is the form in which a session or a read wants its batches.
type encoding struct {
	protobuf bool
	format   protocol.RecordFormat // of JSON
}

func (c *call) encoding() encoding {
	return encoding{protobuf: c.ctl.accept == mediaProtobuf, format: c.ctl.format}
}

func (e encoding) contentType() string {
	if e.protobuf {
		return protocol.MediaProtobuf
	}
	return protocol.MediaJSON
}

func (e encoding) batch(b *protocol.ReadBatch) []byte {
	if e.protobuf {
		return protocol.MarshalReadBatch(b)
	}
	return protocol.AppendReadBatchJSON(make([]byte, 0, e.size(b)), b, e.format)
}

// size is the length of what batch returns.
func (e encoding) size(b *protocol.ReadBatch) int {
	if e.protobuf {
		return protocol.SizeReadBatch(b)
	}
	return protocol.SizeReadBatchJSON(b, e.format)
}

// fitBatch encodes as many records from the start of b as room bytes can hold, and returns those left over; see
// [door.Container]. JSON may need several times the bytes of the records. The error has code invalid: not even one record fits.
func (e encoding) fitBatch(b protocol.ReadBatch, room int) (body []byte, rest protocol.Records, err error) {
	message := door.Container{Room: room, Size: e.size,
		Limit: func() string {
			return fmt.Sprintf("a message in %s may have %d: raise max_payload, or ask for %s", e.contentType(), room, protocol.MediaProtobuf)
		}}
	part, rest, err := message.Fit(b)
	if err != nil {
		return nil, rest, err
	}
	return e.batch(&part), rest, nil
}

// fitPage encodes a page of n items, or fewer if they do not fit in a message; the client then sees that there are
// more, and asks from the last one it got.
func (c *call) fitPage(n int, encode func(n int) ([]byte, error)) (reply, error) {
	room := c.room()
	for {
		body, err := encode(n)
		if err != nil {
			return reply{}, err
		}
		if len(body) <= room {
			return reply{head: nats.Header{protocol.HeaderContentType: {protocol.MediaJSON}}, body: body}, nil
		}
		if n <= 1 {
			return reply{}, protocol.Errorf(protocol.CodeInvalid, "one item takes %d bytes, but a message may have %d: raise max_payload", len(body), room)
		}
		n = max(min(int(int64(n)*int64(room)/int64(len(body))), n-1), 1)
	}
}
