package natsapi

import (
	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/protocol"
)

// headerRoom is what is kept free of the largest message for its headers and for what servers on the way add.
const headerRoom = 1024

// room is how large the body of an answer may be: a larger message would end the connection of the door.
func (d *Door) room() int {
	return max(int(d.nc.MaxPayload())-headerRoom, 0)
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
	return protocol.AppendReadBatchJSON(nil, b, e.format)
}

// fitBatch encodes as many records from the start of b as room bytes can hold, and returns those left over. JSON
// may need several times the bytes of the records. A batch that is cut loses its tail, which the rest keeps: only with
// its last record is a reader caught up. The error has code invalid: not even one record fits.
func (e encoding) fitBatch(b protocol.ReadBatch, room int) (body []byte, rest protocol.Records, err error) {
	all, part := b.Records, b
	for {
		body = e.batch(&part)
		if len(body) <= room {
			break
		}
		n := part.Records.Len()
		if n <= 1 {
			return nil, protocol.Records{}, protocol.Errorf(protocol.CodeInvalid,
				"the record with seq_num %d takes %d bytes as %s, but a message may have %d: raise max_payload, or ask for %s",
				all.First().SeqNum, len(body), e.contentType(), room, protocol.MediaProtobuf)
		}
		// Aim for the share that would fit if all records took the same, and at least halve the rest of the way.
		n = min(int(int64(n)*int64(room)/int64(len(body))), n-1)
		taken, _ := all.Take(protocol.Limit{Count: uint64(max(n, 1)), Bytes: protocol.NoLimit.Bytes})
		part = protocol.ReadBatch{Records: taken}
	}
	if part.Records.Len() < all.Len() {
		rest = all.From(part.Records.Last().SeqNum + 1)
	}
	return body, rest, nil
}

// fitPage encodes a page of n items, or fewer if they do not fit in a message; the client then sees that there are
// more, and asks from the last one it got.
func (c *call) fitPage(n int, encode func(n int) ([]byte, error)) (reply, error) {
	room := c.door.room()
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
