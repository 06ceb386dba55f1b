package backup_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirstream/weir/backup"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// fill makes streams on disk with so many batches each.
func fill(b *testing.B, streams, batches int, batch []protocol.Record) *rig {
	b.Helper()
	r := inMemory(b, func(c *conf.Config) { onDisk(c, b.TempDir()) })
	basin := r.basin("bench-basin", protocol.BasinConfig{})
	svc := r.b.Service()
	var work sync.WaitGroup
	var next atomic.Int64
	for range min(64, streams) {
		work.Go(func() {
			for i := next.Add(1); i <= int64(streams); i = next.Add(1) {
				ref := protocol.StreamRef{Basin: basin, Stream: protocol.StreamName(fmt.Sprint("s", i))}
				_, _, err := svc.CreateStream(b.Context(), basin, protocol.CreateStreamRequest{Stream: ref.Stream})
				for range batches {
					if err == nil {
						_, err = svc.Append(b.Context(), ref, protocol.AppendInput{Records: batch})
					}
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	work.Wait()
	return r
}

func shapes(b *testing.B, run func(b *testing.B, r *rig)) {
	big := make([]protocol.Record, 64)
	for i := range big {
		big[i] = protocol.Record{Body: make([]byte, 8<<10)}
	}
	for _, s := range []struct {
		name             string
		streams, batches int
		batch            []protocol.Record
	}{
		{"streams=8/bytes=1GiB", 8, 256, big},
		{"streams=100k/bytes=10MB", 100_000, 1, []protocol.Record{{Body: make([]byte, 100)}}},
	} {
		b.Run(s.name, func(b *testing.B) { run(b, fill(b, s.streams, s.batches, s.batch)) })
	}
}

func report(b *testing.B, m *backup.Manifest) {
	secs := b.Elapsed().Seconds() / float64(b.N)
	b.ReportMetric(float64(m.Metered)/1e6/secs, "MB/s")
	b.ReportMetric(float64(m.Streams)/secs, "streams/s")
}

// go test ./backup -run '^$' -bench . -benchtime 1x
func BenchmarkSave(b *testing.B) {
	shapes(b, func(b *testing.B, r *rig) {
		var m *backup.Manifest
		for b.Loop() {
			_, m = save(b, r, backup.SaveOptions{})
		}
		report(b, m)
	})
}

func BenchmarkRestore(b *testing.B) {
	shapes(b, func(b *testing.B, r *rig) {
		dir, m := save(b, r, backup.SaveOptions{})
		b.ResetTimer()
		for range b.N {
			b.StopTimer()
			dst := inMemory(b, func(c *conf.Config) { onDisk(c, b.TempDir()) })
			b.StartTimer()
			restore(b, dst, dir, backup.RestoreOptions{})
		}
		report(b, m)
	})
}

// BenchmarkAppendsBeside measures appends alone, and beside backups without a pause.
func BenchmarkAppendsBeside(b *testing.B) {
	batch := make([]protocol.Record, 64)
	for i := range batch {
		batch[i] = protocol.Record{Body: make([]byte, 8<<10)}
	}
	small := []protocol.Record{{Body: make([]byte, 200)}}
	for _, beside := range []string{"nothing", "backup", "backup-50MiB", "backup-elsewhere", "backup-elsewhere-50MiB"} {
		b.Run("beside="+beside, func(b *testing.B) {
			r := fill(b, 8, 64, batch)
			svc := r.b.Service()
			ctx, cancel := context.WithTimeout(b.Context(), 4*time.Second)
			defer cancel()
			var acked atomic.Int64
			var work sync.WaitGroup
			for i := range 32 {
				ref := protocol.StreamRef{Basin: "bench-basin", Stream: protocol.StreamName(fmt.Sprint("s", 1+i%8))}
				work.Go(func() {
					for ctx.Err() == nil {
						if _, err := svc.Append(ctx, ref, protocol.AppendInput{Records: small}); err == nil {
							acked.Add(1)
						}
					}
				})
			}
			copies := 0
			for o := (backup.SaveOptions{}); beside != "nothing" && ctx.Err() == nil; {
				dir := b.TempDir()
				if strings.Contains(beside, "elsewhere") { // a file system that the store's syncs do not wait for
					dir, _ = os.MkdirTemp("/dev/shm", "weir") //nolint:usetesting // not below the test's own directory
					defer os.RemoveAll(dir)
				}
				if strings.HasSuffix(beside, "-50MiB") {
					o.Rate = 50 << 20
				}
				if _, err := backup.Save(ctx, r.Client, filepath.Join(dir, fmt.Sprint(copies)), o); err == nil {
					copies++
				}
			}
			work.Wait()
			b.ReportMetric(float64(acked.Load())/4, "appends/s")
			b.ReportMetric(float64(copies), "copies")
		})
	}
}
