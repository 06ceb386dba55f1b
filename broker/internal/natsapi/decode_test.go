package natsapi

import (
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/protocol"
)

// FuzzDecodeInput: whatever a client sends is an input or a typed error, and control headers are never data.
func FuzzDecodeInput(f *testing.F) {
	f.Add("", "", "lang", "en", []byte("hello"))
	f.Add("application/json", "base64", "S2-Match-Seq-Num", "-1", []byte(`{"records":[{"body":"aGk="}]}`))
	f.Add("application/protobuf", "", "s2-SEQ", "18446744073709551616", []byte("\x0a\x04\x1a\x02hi"))
	f.Add("a/b;c,d", "x", "Nats-Rollup", "\r\n", []byte{0xff})
	f.Fuzz(func(t *testing.T, contentType, format, name, value string, body []byte) {
		head := nats.Header{"Content-Type": {contentType}, "S2-Format": {format}}
		head[name] = append(head[name], value)
		ctl, err := parseControls(head)
		var in protocol.AppendInput
		if err == nil {
			in, err = decodeInput(&ctl, head, body)
		}
		if err != nil {
			var e *protocol.Error
			if !errors.As(err, &e) || !e.Code.Known() || e.Status() >= 500 {
				t.Fatalf("not a client's error: %v", err)
			}
			if m := errorMsg("x", e); len(m.Header.Get(protocol.HeaderServiceError)) > maxErrorHeader {
				t.Fatalf("the header has %d bytes", len(m.Header.Get(protocol.HeaderServiceError)))
			}
			return
		}
		if contentType != "" {
			return
		}
		for _, h := range in.Records[0].Headers {
			lower := strings.ToLower(string(h.Name))
			if strings.HasPrefix(lower, "s2-") || strings.HasPrefix(lower, "nats-") || lower == "accept" || lower == "content-type" {
				t.Fatalf("%q is stored", h.Name)
			}
		}
	})
}

// FuzzFitBatch: the frames of a cut batch hold its records in order, each fits, and the tail is in the last.
func FuzzFitBatch(f *testing.F) {
	f.Add([]byte("some bodies \x01\x02 of \xff lengths"), uint16(200), true)
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8}, uint16(80), false)
	f.Fuzz(func(t *testing.T, data []byte, room uint16, proto bool) {
		var recs []protocol.SequencedRecord
		for i := 0; len(data) > 0 && i < 1000; i++ {
			n := min(int(data[0])%40, len(data)-1)
			recs = append(recs, protocol.SequencedRecord{SeqNum: uint64(i * 3), Timestamp: uint64(i), Body: data[1 : 1+n]})
			data = data[1+n:]
		}
		tail := protocol.Position{SeqNum: 7777}
		batch := protocol.ReadBatch{Records: protocol.RecordsOf(recs...), Tail: &tail}
		enc := encoding{protobuf: proto, format: protocol.FormatBase64}
		for got := 0; ; {
			body, rest, err := enc.fitBatch(batch, int(room))
			if err != nil {
				one := protocol.ReadBatch{Records: protocol.RecordsOf(recs[min(got, max(len(recs)-1, 0)):][:min(1, len(recs))]...)}
				if len(enc.batch(&one)) <= int(room) && batch.Records.Len() > 1 {
					t.Fatalf("one record would have fit: %v", err)
				}
				return
			}
			if len(body) > int(room) {
				t.Fatalf("%d bytes in a room of %d", len(body), room)
			}
			var part protocol.ReadBatch
			if proto {
				part, err = protocol.UnmarshalReadBatch(body)
			} else {
				part, err = protocol.DecodeReadBatchJSON(body, protocol.FormatBase64)
			}
			if err != nil {
				t.Fatal(err)
			}
			for rec := range part.Records.All() {
				if rec.SeqNum != recs[got].SeqNum || string(rec.Body) != string(recs[got].Body) {
					t.Fatalf("record %d is %v", got, rec)
				}
				got++
			}
			if last := got == len(recs); last != (part.Tail != nil) || last != (rest.Len() == 0) {
				t.Fatalf("%d of %d records, tail %v, %d left", got, len(recs), part.Tail, rest.Len())
			}
			if rest.Len() == 0 {
				return
			}
			batch.Records = rest
		}
	})
}
