package protocol

// AppendJSON appends the record as it stands in the records of a read batch in JSON (data plane 8.5), on one line:
//
//	{"seq_num": u64, "timestamp": u64, "headers": [["name", "value"]], "body": "text"}
func (r *SequencedRecord) AppendJSON(dst []byte, f RecordFormat) []byte { return r.appendJSON(dst, f) }

// DecodeRecordJSON decodes one record as it stands in the records of an append in JSON (data plane 8.5). The codes are
// those of [DecodeAppendInputJSON]. The result does not share data's memory.
func DecodeRecordJSON(data []byte, f RecordFormat) (Record, error) {
	d := appendDecoder{format: f, arena: make([]byte, 0, len(data))}
	if err := readJSONText(data, d.record); err != nil {
		return Record{}, err
	}
	return d.in.Records[0], nil
}
