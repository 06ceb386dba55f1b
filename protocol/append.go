package protocol

// AppendInput is one append: a batch that is stored whole or not at all, and the conditions under which it may be.
type AppendInput struct {
	// Records is the batch: 1 to 1000 records of at most 1 MiB metered in total.
	Records []Record
	// MatchSeqNum, when set, must equal the seq_num that the first record will get.
	MatchSeqNum *uint64
	// FencingToken, when set, must equal the stream's current token; "" matches a stream that is not fenced.
	FencingToken *string
}

// AppendAck answers an append once it is durable.
type AppendAck struct {
	// Start is the position of the batch's first record.
	Start Position `json:"start"`
	// End is the last record's seq_num + 1 and its timestamp.
	End Position `json:"end"`
	// Tail is the durable tail when the ack was made; never before End.
	Tail Position `json:"tail"`
}

// Validate applies every stateless rule (data plane 2.7) in the specified order: each record, then the batch (empty,
// count, size), then the fencing token. A non-nil error has code invalid and names the record and the limit.
func (in *AppendInput) Validate() error {
	var total uint64
	for i := range in.Records {
		if err := in.Records[i].check(i); err != nil {
			return err
		}
		total += in.Records[i].MeteredSize()
	}
	switch {
	case len(in.Records) == 0:
		return Errorf(CodeInvalid, "records: the batch is empty")
	case len(in.Records) > MaxBatchRecords:
		return Errorf(CodeInvalid, "records: %d records, at most %d are allowed", len(in.Records), MaxBatchRecords)
	case total > MaxBatchBytes:
		return Errorf(CodeInvalid, "records: %d metered bytes, at most %d are allowed", total, MaxBatchBytes)
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
