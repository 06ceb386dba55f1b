package adapter

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/weirstream/weir/protocol"
)

// benchStream opens a stream with the cipher, "" being none.
func benchStream(b *testing.B, h *harness, c protocol.Cipher, name string) (appender submitter, scan func(from, to uint64) cursor) {
	basin, err := protocol.ParseBasinName("bench-" + name)
	if err != nil {
		b.Fatal(err)
	}
	ref := h.stream(h.basin(string(basin), protocol.BasinConfig{StreamCipher: c}), "s", protocol.StreamConfig{})
	if c == protocol.CipherNone {
		s := h.handle(ref)
		b.Cleanup(s.Close)
		return s.Appender(), func(from, to uint64) cursor { return s.Scan(from, to) }
	}
	s := h.keyed(ref, keyOf(1))
	return s.Appender(), func(from, to uint64) cursor { return s.Scan(from, to) }
}

func eachCipher(b *testing.B, f func(b *testing.B, c protocol.Cipher)) {
	for _, c := range append([]protocol.Cipher{protocol.CipherNone}, ciphers...) {
		name := string(c)
		if c == protocol.CipherNone {
			name = "none"
		}
		b.Run("cipher="+name, func(b *testing.B) { f(b, c) })
	}
}

func batchOf(records, size int) (in protocol.AppendInput) {
	for range records {
		in.Records = append(in.Records, protocol.Record{Body: make([]byte, size-8)})
	}
	return in
}

// One appender, up to 64 batches under way, without syncs: what the processor spends on an append.
//
// go test -run '^$' -bench EncryptedAppend ./adapter -benchmem -count 10 | benchstat -col /cipher -
func BenchmarkEncryptedAppend(b *testing.B) {
	for i, shape := range []struct{ records, size int }{{1, 200}, {1000, 100}, {100, 10_000}} {
		b.Run(fmt.Sprintf("records=%d/size=%d", shape.records, shape.size), func(b *testing.B) {
			eachCipher(b, func(b *testing.B, c protocol.Cipher) {
				h := newHarness(b, func(o *Options) { o.Durability = protocol.DurabilityInterval })
				appender, _ := benchStream(b, h, c, fmt.Sprintf("append-%d", i))
				in := batchOf(shape.records, shape.size)
				window := make(chan struct{}, 64)
				b.SetBytes(int64(shape.records * shape.size))
				b.ReportAllocs()
				for b.Loop() {
					window <- struct{}{}
					err := appender.Submit(b.Context(), in, func(_ protocol.AppendAck, err error) {
						if err != nil {
							b.Error(err)
						}
						<-window
					})
					if err != nil {
						b.Fatal(err)
					}
				}
				for range cap(window) {
					window <- struct{}{}
				}
			})
		})
	}
}

// A scan over 200 stored batches, all in the operating system's cache. The first shape is chunks of 1000 small records.
//
// go test -run '^$' -bench EncryptedScan ./adapter -benchmem -count 10 | benchstat -col /cipher -
func BenchmarkEncryptedScan(b *testing.B) {
	const batches = 200
	for i, shape := range []struct{ records, size int }{{1000, 100}, {100, 10_000}} {
		b.Run(fmt.Sprintf("records=%d/size=%d", shape.records, shape.size), func(b *testing.B) {
			eachCipher(b, func(b *testing.B, c protocol.Cipher) {
				h := newHarness(b, func(o *Options) { o.Durability = protocol.DurabilityInterval })
				appender, scan := benchStream(b, h, c, fmt.Sprintf("scan-%d", i))
				in := batchOf(shape.records, shape.size)
				for range batches {
					mustSubmit(b, appender, in.Records...)
				}
				total := batches * shape.records
				b.SetBytes(int64(total * shape.size))
				b.ReportAllocs()
				for b.Loop() {
					cur, n := scan(0, uint64(total)), 0
					for {
						r, err := cur.Next(b.Context())
						if errors.Is(err, io.EOF) {
							break
						}
						if err != nil {
							b.Fatal(err)
						}
						n += r.Len()
					}
					cur.Close()
					if n != total {
						b.Fatalf("%d records", n)
					}
				}
			})
		})
	}
}
