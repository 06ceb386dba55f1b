package sessions_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/sessions"
)

// Each operation is one append batch of 10 records of 100 B that every follower gets: ns/delivery is the cost for
// one follower. The first number of allocations is that of the append.
//
//	go test -run '^$' -bench Follow -count 10 ./sessions | benchstat -col /followers -
func BenchmarkFollow(b *testing.B) {
	for _, followers := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("followers=%d", followers), func(b *testing.B) {
			m := newMem()
			var attached, received, gone sync.WaitGroup
			attached.Add(followers)
			ctx, cancel := context.WithCancel(b.Context())
			for range followers {
				r, err := sessions.OpenRead(ctx, m.open(), protocol.ReadRequest{}, sessions.ReadOptions{})
				if err != nil {
					b.Fatal(err)
				}
				gone.Go(func() {
					defer func() { _ = r.Close() }()
					if batch, err := r.Next(ctx); err != nil || !batch.Heartbeat() {
						b.Error(tell(batch, err))
					}
					attached.Done()
					for {
						batch, err := r.Next(ctx)
						if err != nil {
							return
						}
						if !batch.Heartbeat() {
							received.Done()
						}
					}
				})
			}
			attached.Wait()
			batch := sized(108, make([]uint64, 10)...)
			b.ReportAllocs()
			for b.Loop() {
				received.Add(followers)
				m.put(batch...)
				m.mu.Lock()
				m.chunks = m.chunks[:0]
				m.mu.Unlock()
				received.Wait()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*followers), "ns/delivery")
			cancel()
			gone.Wait()
		})
	}
}

// Each operation reads 64 MiB of 1 KiB records through Next, stored in runs of different sizes.
//
//	go test -run '^$' -bench CatchUp -count 10 ./sessions | benchstat -col /run -
func BenchmarkCatchUp(b *testing.B) {
	const total = 1 << 16
	for _, run := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("run=%d", run), func(b *testing.B) {
			m := newMem()
			for part := range slices.Chunk(sized(1024, make([]uint64, total)...), run) {
				m.put(part...)
			}
			b.SetBytes(total * 1024)
			b.ReportAllocs()
			for b.Loop() {
				r, err := sessions.OpenRead(b.Context(), m.open(), withCount(fromSeq(0), total), sessions.ReadOptions{})
				if err != nil {
					b.Fatal(err)
				}
				records := 0
				for {
					batch, err := r.Next(b.Context())
					if errors.Is(err, io.EOF) {
						break
					}
					if err != nil {
						b.Fatal(err)
					}
					records += batch.Records.Len()
				}
				if records != total {
					b.Fatal(records)
				}
			}
		})
	}
}

// Each operation is one single-record append through a session, acknowledged.
//
//	go test -run '^$' -bench AppendSession -count 10 ./sessions | benchstat -
func BenchmarkAppendSession(b *testing.B) {
	m := newMem()
	s := sessions.OpenAppend(m.open(), sessions.AppendOptions{})
	defer func() { _ = s.Close() }()
	in := input("a body of some length")
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Submit(b.Context(), in); err != nil {
			b.Fatal(err)
		}
		if _, err := s.Recv(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
