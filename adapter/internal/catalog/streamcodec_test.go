package catalog

import (
	"reflect"
	"runtime"
	"testing"
	"time"

	"fmt"

	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

func sampleRecords() []*StreamRecord {
	at := time.UnixMilli(1_790_000_000_123).UTC()
	return []*StreamRecord{
		{ID: layout.NewStreamID(7), Log: 3, CreatedAt: at, Config: protocol.DefaultStreamConfig},
		{ID: layout.NewStreamID(1 << 30), Log: 255, CreatedAt: at, DeletedAt: at.Add(time.Hour), Cipher: protocol.CipherAEGIS256, Key: "key",
			Config: protocol.ResolvedStreamConfig{StorageClass: protocol.StorageStandard, TimestampingMode: protocol.TimestampArrival, Uncapped: true,
				DeleteOnEmptyMinAge: 60, Expiry: protocol.Expiry{IdleSecs: 7, At: 1_790_000_000_999}}, Used: 1_790_000_000_500,
			Fork: &Fork{Segments: []Segment{{ID: layout.NewStreamID(3), Name: "a source", To: 5}, {ID: layout.NewStreamID(4), Name: "b", To: 9}},
				At: protocol.Position{SeqNum: 9, Timestamp: 77}, Trim: 2, Until: 1_790_000_000_777},
			Idle: &IdleRecord{Deadlines: []Deadline{{5, 6}, {1 << 40, 0}}, Done: 9}},
	}
}

func TestStreamRecordsComeBack(t *testing.T) {
	var d Decoder
	for _, want := range sampleRecords() {
		want.Name = "a name"
		for range 2 { // the second time the configuration is known
			got, err := d.decode(protocol.StreamRef{Basin: "test-basin", Stream: want.Name}, appendStream(nil, want))
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("got %+v, %v, want %+v", got, err, want)
			}
			e := NewEntry("test-basin", got, 4, &CheckTime{})
			if back := e.Record(); !reflect.DeepEqual(back, want) {
				t.Fatalf("its entry gives %+v, want %+v", back, want)
			}
		}
	}
}

// What a later version says may matter: it is refused, not passed over.
func TestLaterStreamRecordsAreRefused(t *testing.T) {
	var d Decoder
	good := appendStream(nil, sampleRecords()[0])
	for name, value := range map[string][]byte{
		"empty": {}, "JSON": []byte(`{"name":"s"}`), "a later version": append([]byte{2}, good[1:]...),
		"a field of a later version": append(append([]byte{}, good...), 14<<3, 1), "cut short": good[:len(good)-1],
		"no id": {streamVersion},
	} {
		if r, err := d.decode(protocol.StreamRef{}, value); err == nil {
			t.Errorf("%s was read as %+v", name, r)
		}
	}
}

func FuzzStreamRecord(f *testing.F) {
	for _, r := range sampleRecords() {
		f.Add(appendStream(nil, r))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		var d Decoder
		r, err := d.decode(protocol.StreamRef{Stream: "s"}, value)
		if err != nil {
			return
		}
		again, err := d.decode(protocol.StreamRef{Stream: "s"}, appendStream(nil, r))
		if err != nil || !reflect.DeepEqual(again.Config, r.Config) || again.ID != r.ID || again.Key != r.Key {
			t.Fatalf("%+v came back as %+v, %v", r, again, err)
		}
	})
}

// A million idle streams cost at most 120 MiB, their names included.
func TestMemoryOfAStream(t *testing.T) {
	const n = 100_000
	weigh := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var v View
	v.PutBasin(&BasinRecord{Name: "test-basin"}, 1)
	before := weigh()
	for i := range n {
		r := &StreamRecord{Name: protocol.StreamName(fmt.Sprintf("s-%07d", i)), ID: layout.NewStreamID(uint32(i / layout.BucketStreams)),
			CreatedAt: time.Now(), Config: protocol.DefaultStreamConfig}
		v.PutStream(NewEntry("test-basin", r, uint64(i+1), &CheckTime{}))
	}
	if each := (weigh() - before) / n; each*1e6 > 120<<20 {
		t.Errorf("a stream costs %d bytes", each)
	}
	runtime.KeepAlive(&v)
}

// go test -run '^$' -bench StreamRecord ./adapter/internal/catalog -benchmem -count 10 | benchstat -
func BenchmarkStreamRecord(b *testing.B) {
	value := appendStream(nil, sampleRecords()[0])
	b.Run("do=encode", func(b *testing.B) {
		b.ReportAllocs()
		r := sampleRecords()[0]
		for b.Loop() {
			value = appendStream(value[:0], r)
		}
		b.ReportMetric(float64(len(value)), "bytes")
	})
	b.Run("do=decode", func(b *testing.B) {
		b.ReportAllocs()
		var d Decoder
		for b.Loop() {
			if _, err := d.decode(protocol.StreamRef{Stream: "s"}, value); err != nil {
				b.Fatal(err)
			}
		}
	})
}
