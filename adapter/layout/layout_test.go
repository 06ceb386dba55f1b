package layout

import (
	"strings"
	"testing"

	"github.com/weirstream/weir/protocol"
)

func TestLogNames(t *testing.T) {
	id := NewStreamID(35)
	for number, want := range map[int]struct{ stream, filter, subject string }{
		0:   {"S2_LOG_express_0", "s2.log.express.0.>", "s2.log.express.0.my-basin.z.ID"},
		7:   {"S2_LOG_express_7", "s2.log.express.7.>", "s2.log.express.7.my-basin.z.ID"},
		64:  {"S2_LOG_standard_0", "s2.log.standard.0.>", "s2.log.standard.0.my-basin.z.ID"},
		128: {"S2_LOG_express_0_my-basin", "s2.log.express.own0.my-basin.>", "s2.log.express.own0.my-basin.z.ID"},
		255: {"S2_LOG_standard_63_my-basin", "s2.log.standard.own63.my-basin.>", "s2.log.standard.own63.my-basin.z.ID"},
	} {
		want.subject = strings.Replace(want.subject, "ID", id.String(), 1)
		l, ok := LogOf("my-basin", number)
		if !ok || l.Number() != number {
			t.Errorf("number %d: %+v has number %d", number, l, l.Number())
		}
		if got := l.Stream("s2"); got != want.stream {
			t.Errorf("number %d: stream %s, want %s", number, got, want.stream)
		}
		if got := l.Filter("s2"); got != want.filter {
			t.Errorf("number %d: filter %s, want %s", number, got, want.filter)
		}
		if got := l.Subject("s2", "my-basin", id); got != want.subject {
			t.Errorf("number %d: subject %s, want %s", number, got, want.subject)
		}
		if back, ok := ParseLog("s2", want.stream); !ok || back != l {
			t.Errorf("%s was parsed as %+v", want.stream, back)
		}
		if p, ok := ParseSubject("s2", want.subject); !ok || p != (Place{l, "my-basin", id}) {
			t.Errorf("%s was parsed as %+v", want.subject, p)
		}
	}
	for _, number := range []int{-1, 256} {
		if l, ok := LogOf("my-basin", number); ok {
			t.Errorf("number %d is %+v", number, l)
		}
	}
	// The names of the layout before this one were S2_LOG_<basin>_<n>.
	for _, name := range []string{"", "S2_LOG_", "S2_LOG_my-basin_0", "S2_LOG_express_64", "S2_LOG_express_00", "S2_LOG_express_0_", "S2_LOG_express_0_x", "T_LOG_express_0"} {
		if l, ok := ParseLog("s2", name); ok {
			t.Errorf("%q was parsed as %+v", name, l)
		}
	}
}

func FuzzParseSubject(f *testing.F) {
	for _, l := range []Log{{protocol.StorageExpress, 0, ""}, {protocol.StorageStandard, 63, "my-basin"}} {
		f.Add(l.Subject("s2", "my-basin", NewStreamID(35)))
	}
	f.Fuzz(func(t *testing.T, subject string) {
		if p, ok := ParseSubject("s2", subject); ok && p.Log.Subject("s2", p.Basin, p.ID) != subject {
			t.Fatalf("%q was parsed as %+v", subject, p)
		}
	})
}
