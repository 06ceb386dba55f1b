package protocol_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/weirstream/weir/protocol"
)

// TestRecordJSON: one record by itself reads and writes as it does inside a batch.
func TestRecordJSON(t *testing.T) {
	ts := uint64(7)
	want := protocol.Record{Timestamp: &ts, Headers: []protocol.Header{{Name: []byte("a"), Value: []byte("b")}}, Body: []byte("hi")}
	got, err := protocol.DecodeRecordJSON([]byte(`{"body":"hi","timestamp":7,"headers":[["a","b"]]}`), protocol.FormatRaw)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	rec := protocol.SequencedRecord{SeqNum: 3, Timestamp: 7, Headers: want.Headers, Body: want.Body}
	if s := string(rec.AppendJSON(nil, protocol.FormatBase64)); s != `{"seq_num":3,"timestamp":7,"headers":[["YQ==","Yg=="]],"body":"aGk="}` {
		t.Error(s)
	}
	for text, code := range map[string]protocol.Code{
		``: protocol.CodeBadJSON, `{}{}`: protocol.CodeBadJSON, `{},{}`: protocol.CodeBadJSON, `"x"`: protocol.CodeBadJSON,
		`{"body":"a","body":"b"}`: protocol.CodeBadJSON, `{"body":"*"}`: protocol.CodeInvalid,
	} {
		_, err := protocol.DecodeRecordJSON([]byte(text), protocol.FormatBase64)
		if !errors.Is(err, &protocol.Error{Code: code}) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
