package protocol

import "unicode/utf8"

// AppendInput is one append: a batch that is stored whole or not at all, and the conditions under which it may be. With Close it
// closes the stream as well, in the same step.
type AppendInput struct {
	// Records is the batch: 1 to 1000 records of at most 1 MiB metered in total; with Close it may be empty.
	Records []Record
	// MatchSeqNum, when set, must equal the seq_num that the first record will get.
	MatchSeqNum *uint64
	// FencingToken, when set, must equal the stream's current token; "" matches a stream that is not fenced.
	FencingToken *string
	// Close closes the stream behind the records: every later append fails with [CodeStreamClosed], and reads end at the tail.
	// To close a closed stream once more, without records, succeeds.
	Close bool
	// Producer, when set, makes it safe to make the append again.
	Producer *Producer
	// WriterSeq, when set, must be greater, byte by byte, than that of every append before; at most [MaxWriterSeqBytes] bytes. It
	// orders writers that take turns, as Stream-Seq of the Durable Streams protocol does.
	WriterSeq *string
}

// Closes reports whether the append closes the stream: by its flag, or by a close command as its last record.
func (in *AppendInput) Closes() bool { return in.Close || in.closesByCommand() }

func (in *AppendInput) closesByCommand() bool {
	n := len(in.Records)
	return n > 0 && in.Records[n-1].Command() == CloseCommand
}

// OnlyCloses reports whether the append does nothing but close the stream.
func (in *AppendInput) OnlyCloses() bool {
	switch len(in.Records) {
	case 0:
		return in.Close
	case 1:
		return in.closesByCommand()
	}
	return false
}

// AppendAck answers an append once it is durable.
type AppendAck struct {
	// Start is the position of the batch's first record; of an append without records it is the end.
	Start Position `json:"start"`
	// End is the last record's seq_num + 1 and its timestamp; of an append without records it is the tail.
	End Position `json:"end"`
	// Tail is the durable tail when the ack was made; never before End.
	Tail Position `json:"tail"`
	// Repeated says that nothing was stored, because it had been before: Start and End are those of the first time.
	Repeated bool `json:"repeated,omitempty"`
	// LastSeq is, in the answer to a repeat of a producer, the seq of its last append.
	LastSeq uint64 `json:"last_seq,omitempty"`
}

// Validate applies every stateless rule (data plane 2.7) in the specified order: each record, then the batch (empty,
// count, size), then the fencing token. A non-nil error has code invalid and names the record and the limit.
func (in *AppendInput) Validate() error {
	var total uint64
	for i := range in.Records {
		if err := in.Records[i].check(i); err != nil {
			return err
		}
		if i > 0 && in.Records[i-1].Command() == CloseCommand {
			return Errorf(CodeInvalid, "records[%d]: a record follows the close command", i)
		}
		total += in.Records[i].MeteredSize()
	}
	switch {
	case len(in.Records) == 0 && !in.Close:
		return Errorf(CodeInvalid, "records: the batch is empty")
	case len(in.Records) > MaxBatchRecords:
		return Errorf(CodeInvalid, "records: %d records, at most %d are allowed", len(in.Records), MaxBatchRecords)
	case total > MaxBatchBytes:
		return Errorf(CodeInvalid, "records: %d metered bytes, at most %d are allowed", total, MaxBatchBytes)
	}
	if in.Producer != nil {
		if err := in.Producer.Validate(); err != nil {
			return err
		}
	}
	if in.WriterSeq != nil && (len(*in.WriterSeq) > MaxWriterSeqBytes || !utf8.ValidString(*in.WriterSeq)) {
		return Errorf(CodeInvalid, "writer_seq has %d bytes, at most %d of UTF-8 are allowed", len(*in.WriterSeq), MaxWriterSeqBytes)
	}
	if in.FencingToken != nil {
		if err := CheckFencingToken("fencing_token", *in.FencingToken); err != nil {
			return err
		}
	}
	return nil
}

// MeteredSize is the sum of the records' metered sizes.
func (in *AppendInput) MeteredSize() uint64 {
	var n uint64
	for i := range in.Records {
		n += in.Records[i].MeteredSize()
	}
	return n
}
