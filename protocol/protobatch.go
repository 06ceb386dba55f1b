package protocol

import "google.golang.org/protobuf/encoding/protowire"

// MarshalReadBatch encodes a ReadBatch message. A batch without records and tail is empty.
func MarshalReadBatch(b *ReadBatch) []byte {
	return AppendReadBatch(make([]byte, 0, SizeReadBatch(b)), b)
}

// SizeReadBatch is how many bytes [MarshalReadBatch] returns.
func SizeReadBatch(b *ReadBatch) int {
	size := len(b.Records.wire)
	if b.Tail != nil {
		position := sizePosition(*b.Tail)
		size += protowire.SizeTag(fieldBatchTail) + protowire.SizeBytes(position)
	}
	return size
}

// AppendReadBatch appends a ReadBatch message to dst: the records as they are kept, then the tail.
func AppendReadBatch(dst []byte, b *ReadBatch) []byte {
	dst = append(dst, b.Records.wire...)
	if b.Tail != nil {
		dst = appendPosition(dst, fieldBatchTail, *b.Tail)
	}
	return dst
}

// UnmarshalReadBatch decodes a ReadBatch message. Unknown fields are ignored. When all records come first, as
// everybody sends them, the result shares b's memory; otherwise they are copied together. Seq nums must rise and
// timestamps must not fall. The error has code bad_proto.
func UnmarshalReadBatch(b []byte) (ReadBatch, error) {
	var batch ReadBatch
	// The leading run of records is kept as it is. The fields behind it are walked; records there are rare, and copied.
	run := 0
	for run < len(b) {
		_, n := nextEntry(b[run:])
		if n <= 0 {
			break
		}
		run += n
	}
	wire := b[:run:run]
	err := eachField(b[run:], func(f protoField) error {
		switch f.num {
		case fieldBatchRecords:
			entry, err := f.bytes()
			wire = protowire.AppendTag(wire, fieldBatchRecords, protowire.BytesType)
			wire = protowire.AppendBytes(wire, entry)
			return err
		case fieldBatchTail:
			if batch.Tail == nil {
				batch.Tail = new(Position)
			}
			return f.position(batch.Tail)
		}
		return nil
	})
	if err == nil {
		batch.Records, err = ParseRecords(wire)
	}
	if err != nil {
		return ReadBatch{}, Wrap(CodeBadProto, err, "invalid ReadBatch message: "+err.Error())
	}
	return batch, nil
}
