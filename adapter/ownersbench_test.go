package adapter

import (
	"fmt"
	"sync"
	"testing"

	"github.com/weirstream/weir/protocol"
)

// Appends through the broker that owns the log, and through another one: one at a time, and 64 at a time.
//
// go test -run '^$' -bench Forwarded ./adapter -benchtime 3s
func BenchmarkForwarded(b *testing.B) {
	c := startCluster(b)
	hs := []*harness{c.broker(0, nil), c.broker(1, nil)}
	claimsFor(hs...)
	basin := hs[0].basin("test-basin", protocol.BasinConfig{})
	in := protocol.AppendInput{Records: []protocol.Record{{Body: make([]byte, 192)}}}
	for _, appenders := range []int{1, 64} {
		for i, who := range []string{"owner", "other"} {
			h := hs[i]
			b.Run(fmt.Sprintf("appenders=%d/%s", appenders, who), func(b *testing.B) {
				var streams []*Stream
				for n := range appenders {
					ref := protocol.StreamRef{Basin: basin, Stream: protocol.StreamName(fmt.Sprint("s", n))}
					if _, _, err := hs[0].EnsureStream(b.Context(), ref, protocol.StreamConfig{}); err != nil {
						b.Fatal(err)
					}
					hs[0].mustAppend(ref, body("first")) // the first broker owns the log
					h.mustAppend(ref, body("loaded"))
					streams = append(streams, h.handle(ref))
				}
				var wg sync.WaitGroup
				b.ResetTimer()
				for n, s := range streams {
					wg.Go(func() {
						defer s.Close()
						for i := n; i < b.N; i += appenders {
							if got := <-submit(b, s.Appender(), in); got.err != nil {
								b.Error(got.err)
							}
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
			})
		}
	}
}
