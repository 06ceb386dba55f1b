package protocol_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/weirstream/weir/protocol"
)

// Run and compare:
//
//	go test ./protocol -run '^$' -bench . -count 10 >head.txt && benchstat base.txt head.txt

// shapes are batches of about 1 MiB metered at most: many small records and few large ones, with headers and without.
var shapes = []struct {
	records, body, headers int
}{{1000, 100, 0}, {1000, 100, 2}, {1000, 1000, 1}, {1, 1 << 20 >> 1, 0}}

func shape(records, body, headers int) (recs []protocol.SequencedRecord) {
	var hs []string
	for i := range headers {
		hs = append(hs, fmt.Sprintf("header-%d", i), "value")
	}
	text := strings.Repeat("lorem ipsum ", body/12+1)[:body]
	for i := range records {
		recs = append(recs, seqRec(uint64(1_000_000+i), uint64(1_700_000_000_000+i), text, hs...))
	}
	return recs
}

func overShapes(b *testing.B, run func(b *testing.B, recs []protocol.SequencedRecord)) {
	for _, s := range shapes {
		b.Run(fmt.Sprintf("records=%d/body=%d/headers=%d", s.records, s.body, s.headers), func(b *testing.B) {
			recs := shape(s.records, s.body, s.headers)
			b.SetBytes(int64(protocol.RecordsOf(recs...).MeteredSize()))
			b.ReportAllocs()
			run(b, recs)
		})
	}
}

func BenchmarkAppendSequenced(b *testing.B) {
	overShapes(b, func(b *testing.B, recs []protocol.SequencedRecord) {
		var dst []byte
		for b.Loop() {
			dst = dst[:0]
			for i := range recs {
				dst = protocol.AppendSequenced(dst, recs[i].SeqNum, recs[i].Timestamp, recs[i].Headers, recs[i].Body)
			}
		}
	})
}

func BenchmarkTake(b *testing.B) {
	overShapes(b, func(b *testing.B, recs []protocol.SequencedRecord) {
		run := protocol.RecordsOf(recs...)
		limit := protocol.Limit{Count: math.MaxUint64, Bytes: run.MeteredSize() - 1}
		for b.Loop() {
			run.Take(limit)
		}
	})
}

func BenchmarkAll(b *testing.B) {
	overShapes(b, func(b *testing.B, recs []protocol.SequencedRecord) {
		run := protocol.RecordsOf(recs...)
		for b.Loop() {
			for range run.All() { // only the walk is measured
			}
		}
	})
}

func BenchmarkAppendReadBatchJSON(b *testing.B) {
	for _, f := range []protocol.RecordFormat{protocol.FormatRaw, protocol.FormatBase64} {
		b.Run("format="+f.String(), func(b *testing.B) {
			overShapes(b, func(b *testing.B, recs []protocol.SequencedRecord) {
				batch := protocol.ReadBatch{Records: protocol.RecordsOf(recs...)}
				var dst []byte
				for b.Loop() {
					dst = protocol.AppendReadBatchJSON(dst[:0], &batch, f)
				}
			})
		})
	}
}

func BenchmarkSizeReadBatchJSON(b *testing.B) {
	for _, f := range []protocol.RecordFormat{protocol.FormatRaw, protocol.FormatBase64} {
		b.Run("format="+f.String(), func(b *testing.B) {
			overShapes(b, func(b *testing.B, recs []protocol.SequencedRecord) {
				batch := protocol.ReadBatch{Records: protocol.RecordsOf(recs...)}
				for b.Loop() {
					protocol.SizeReadBatchJSON(&batch, f)
				}
			})
		})
	}
}

// inputOf makes the append whose records are recs.
func inputOf(recs []protocol.SequencedRecord) (in protocol.AppendInput) {
	for _, r := range recs {
		in.Records = append(in.Records, protocol.Record{Headers: r.Headers, Body: r.Body})
	}
	return in
}

func BenchmarkDecodeAppendInputJSON(b *testing.B) {
	for _, f := range []protocol.RecordFormat{protocol.FormatRaw, protocol.FormatBase64} {
		b.Run("format="+f.String(), func(b *testing.B) {
			overShapes(b, func(b *testing.B, recs []protocol.SequencedRecord) {
				in := inputOf(recs)
				text, err := protocol.EncodeAppendInputJSON(&in, f)
				if err != nil {
					b.Fatal(err)
				}
				for b.Loop() {
					if _, err := protocol.DecodeAppendInputJSON(text, f); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

func BenchmarkUnmarshalAppendInput(b *testing.B) {
	overShapes(b, func(b *testing.B, recs []protocol.SequencedRecord) {
		in := inputOf(recs)
		msg := protocol.MarshalAppendInput(&in)
		for b.Loop() {
			if _, err := protocol.UnmarshalAppendInput(msg); err != nil {
				b.Fatal(err)
			}
		}
	})
}
