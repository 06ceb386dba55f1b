//go:build linux

package broker_test

import (
	"context"
	"sync"
	"syscall"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/conf"
)

// drop takes spans from the batches of the SDK, as an exporter does, and has nobody to send them to.
type drop struct{}

func (drop) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error { return nil }
func (drop) Shutdown(context.Context) error                             { return nil }

// BenchmarkAppendTracing: unary appends of 64 callers, in process and over NATS, into memory, without tracing and with the SDK, by how much it samples. Compare
// off with the same benchmark of a version without tracing for what it costs when it is off.
func BenchmarkAppendTracing(b *testing.B) {
	for _, c := range []struct {
		name    string
		sampler sdktrace.Sampler
	}{
		{"off", nil},
		{"never", sdktrace.ParentBased(sdktrace.NeverSample())},
		{"1%", sdktrace.ParentBased(sdktrace.TraceIDRatioBased(.01))},
		{"10%", sdktrace.ParentBased(sdktrace.TraceIDRatioBased(.1))},
		{"always", sdktrace.ParentBased(sdktrace.AlwaysSample())},
	} {
		run := func(b *testing.B, overNATS bool) {
			var opts []broker.Option
			if c.sampler != nil {
				provider := sdktrace.NewTracerProvider(sdktrace.WithSampler(c.sampler), sdktrace.WithBatcher(drop{}))
				defer func() { _ = provider.Shutdown(context.Background()) }()
				opts = append(opts, broker.WithTracerProvider(provider))
			}
			benchmarkAppend(b, overNATS, opts...)
		}
		b.Run("in-process/"+c.name, func(b *testing.B) { run(b, false) })
		b.Run("nats/"+c.name, func(b *testing.B) { run(b, true) })
	}
}

func benchmarkAppend(b *testing.B, overNATS bool, opts ...broker.Option) {
	br, err := broker.Start(b.Context(), conf.Default().WithMemory(), opts...)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = br.Close(context.Background()) }()
	svc := br.Service()
	if _, _, err := svc.EnsureBasin(b.Context(), events.Basin, ensureRequest); err != nil {
		b.Fatal(err)
	}
	if overNATS {
		nc, err := br.Connect()
		if err != nil {
			b.Fatal(err)
		}
		defer nc.Close()
		svc = client.New(nc, client.Options{})
	}
	batch := input("0123456789abcdef")
	const callers = 64
	b.ReportAllocs()
	b.ResetTimer()
	began := cpuTime(b)
	var wg sync.WaitGroup
	for i := range callers {
		n := b.N / callers
		if i < b.N%callers {
			n++
		}
		wg.Go(func() {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			for range n {
				if _, err := svc.Append(ctx, events, batch); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(cpuTime(b)-began)/float64(b.N), "cpu-ns/op")
}

// cpuTime is what the process has used: on a machine that does other things as well it says more than the time that passed.
func cpuTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
