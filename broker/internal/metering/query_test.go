package metering

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

// TestJudge: control plane 6.3, rows A.21/383, 384, 390, 392 to 396 and 398.
func TestJudge(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	n := uint32(1_800_000_000)
	at := func(delta int64) *uint32 { v := uint32(int64(n) + delta); return &v }
	for _, test := range []struct {
		row      string
		sets     []set
		set      protocol.MetricSet
		start    *uint32
		end      *uint32
		interval protocol.MetricInterval
		code     protocol.Code // "": none
		says     string
	}{
		{"392", accountSets, "active-basins", nil, at(0), "", "invalid", "start and end params required"},
		{"392", basinSets, "storage", at(0), nil, "", "invalid", "start and end params required"},
		{"392", streamSets, "storage", nil, nil, "", "invalid", "start and end params required"},
		{"393", accountSets, "account-ops", at(-1), at(-2), "", "invalid", "start"},
		{"6.3 equal", accountSets, "account-ops", at(-2), at(-2), "", "", ""},
		{"394", accountSets, "account-ops", at(-1), at(600), "", "invalid", "end"},
		{"6.3 a little ahead", accountSets, "account-ops", at(-1), at(60), "", "", ""},
		{"395", accountSets, "account-ops", at(-100 * daySeconds), at(0), "", "invalid", "90 days"},
		{"6.3 90 days", accountSets, "account-ops", at(-90 * daySeconds), at(0), "", "", ""},
		{"6.3 and a second", accountSets, "account-ops", at(-90*daySeconds - 1), at(0), "", "invalid", "90 days"},
		{"6.2 minute", accountSets, "estimated-billable-usage", at(-1), at(0), "minute", "invalid", "interval"},
		{"6.2 day", accountSets, "estimated-billable-usage", at(-1), at(0), "day", "", ""},
		{"396", basinSets, "append-ops", new(uint32), new(uint32), "", "", ""},
		{"383", basinSets, "storage", at(-1), at(0), "hour", "", ""},
		{"384", basinSets, "storage", at(-1), at(0), "minute", "invalid", "interval"},
		{"384", basinSets, "storage", at(-1), at(0), "day", "invalid", "interval"},
		{"389", streamSets, "storage", at(-1), at(0), "minute", "", ""},
		{"390", streamSets, "storage", at(-1), at(0), "hour", "invalid", "interval"},
		{"398", accountSets, "", at(-1), at(0), "", "bad_query", "set"},
		{"398", accountSets, "storage", at(-1), at(0), "", "bad_query", "set"},
		{"398", basinSets, "active-basins", at(-1), at(0), "", "bad_query", "set"},
		{"398", streamSets, "append-ops", nil, nil, "", "bad_query", "set"},
		{"6.3 interval", accountSets, "active-basins", at(-1), at(0), "week", "bad_query", "interval"},
		{"6.2 ignored", accountSets, "active-basins", at(-1), at(0), "minute", "", ""},
	} {
		_, err := validate(test.sets, protocol.MetricsQuery{Set: test.set, Start: test.start, End: test.end, Interval: test.interval}, now)
		if test.code == "" && err != nil || test.code != "" && (protocol.CodeOf(err) != test.code || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%s %s: got %v, want %q %q", test.row, test.set, err, test.code, test.says)
		}
	}
	// The defaults, and that all three intervals are there, control plane 6.2.
	for _, s := range append(append([]set{}, accountSets[2]), basinSets[1:]...) {
		want := protocol.IntervalMinute
		if strings.HasSuffix(string(s.name), "account-ops") || s.name == protocol.MetricBasinOps {
			want = protocol.IntervalHour
		}
		q, err := validate([]set{s}, protocol.MetricsQuery{Set: s.name, Start: at(-1), End: at(0)}, now)
		if err != nil || q.interval != want || len(s.intervals) != 3 {
			t.Errorf("%s: default %q, %v", s.name, q.interval, err)
		}
	}
}

func FuzzBuckets(f *testing.F) {
	b := bucket{sizes: []size{{1, 0, 2}, {1, 7, 8}, {3, 0, 4}}}
	b.minute(0)[appendOpsExpress] = 7
	b.minute(1439)[operationCounter(protocol.OpSetDefaultLocation)] = ^uint64(0)
	f.Add(b.encode())
	f.Add((&bucket{}).encode())
	f.Add(span{1, 2}.encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = decodeSpan(data)
		_, _ = decodeSamples(data)
		b, err := decodeBucket(data)
		if err != nil {
			return
		}
		again, err := decodeBucket(b.encode())
		if err != nil || !reflect.DeepEqual(again, b) {
			t.Fatalf("%+v became %+v, %v", b, again, err)
		}
	})
}

// TestBucketSize: the sizes that docs/adr/0010 counts with.
func TestBucketSize(t *testing.T) {
	for _, test := range []struct {
		minutes uint32
		most    int
	}{{60, 3 << 10}, {dayMinutes, 64 << 10}} {
		var b bucket
		for n := range test.minutes {
			v := b.minute(n)
			for _, c := range []counter{appendOpsExpress, appendBytesExpress, readOpsUnary, readOpsStreaming, readBytes, operationCounter(protocol.OpCheckTail)} {
				v[c] = 1 << 33
			}
		}
		if n := len(b.encode()); n > test.most {
			t.Errorf("%d busy minutes take %d bytes", test.minutes, n)
		}
	}
}

// The cost of counting:
//
//	go test -run '^$' -bench Counting -benchmem ./broker/usage
func BenchmarkCounting(b *testing.B) {
	for _, parallel := range []bool{false, true} {
		b.Run(fmt.Sprintf("what=append/parallel=%t", parallel), func(b *testing.B) {
			m := New(nil, Prices{})
			now := time.Now()
			b.ReportAllocs()
			if !parallel {
				var conn ConnectionMinute
				s := m.Of("alpha-basin")
				for b.Loop() {
					s.Appended(&conn, protocol.StorageExpress, 100, now)
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				var conn ConnectionMinute
				s := m.Of("alpha-basin")
				for pb.Next() {
					s.Appended(&conn, protocol.StorageExpress, 100, now)
				}
			})
		})
	}
	b.Run("what=read", func(b *testing.B) {
		m := New(nil, Prices{})
		name := protocol.BasinName("alpha-basin")
		b.ReportAllocs()
		for b.Loop() {
			m.Of(name).read(100)
		}
	})
}

// TestCountingAllocatesNothing on the way of a batch.
func TestCountingAllocatesNothing(t *testing.T) {
	m := New(nil, Prices{})
	var conn ConnectionMinute
	s := m.Of("alpha-basin")
	now := time.Now()
	if n := testing.AllocsPerRun(1000, func() {
		s.Appended(&conn, protocol.StorageExpress, 100, now)
		s.delivered(&conn, 100)
		s.read(1)
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}
