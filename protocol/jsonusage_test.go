package protocol_test

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

func metricsAnswer() protocol.MetricsAnswer {
	point := func(secs int64, v float64) protocol.MetricPoint {
		return protocol.MetricPoint{At: time.Unix(secs, 0).UTC(), Value: v}
	}
	return protocol.MetricsAnswer{Values: []protocol.Metric{
		{Kind: protocol.MetricLabel, Name: "active_basins", Labels: []string{"alpha-basin"}},
		{Kind: protocol.MetricAccumulation, Name: "append", Unit: protocol.UnitOperations, Interval: protocol.IntervalHour,
			Points: []protocol.MetricPoint{point(1735689600, 12), point(1735693200, .5)}},
		{Kind: protocol.MetricGauge, Name: "storage", Unit: protocol.UnitBytes, Points: []protocol.MetricPoint{point(4294967295, 1e24)}},
		{Kind: protocol.MetricScalar, Name: "x", Unit: protocol.UnitBytes, Value: 1},
	}}
}

// TestMetricsAnswer: control plane 6.4 and row cp A.21/402.
func TestMetricsAnswer(t *testing.T) {
	const want = `{"values":[{"label":{"name":"active_basins","values":["alpha-basin"]}},` +
		`{"accumulation":{"name":"append","unit":"operations","interval":"hour","values":[[1735689600,12],[1735693200,0.5]]}},` +
		`{"gauge":{"name":"storage","unit":"bytes","values":[[4294967295,1e+24]]}},` +
		`{"scalar":{"name":"x","unit":"bytes","value":1}}]}`
	sameJSON(t, metricsAnswer(), want)
	if got := throughJSON(t, metricsAnswer()); !reflect.DeepEqual(got, metricsAnswer()) {
		t.Fatalf("got %+v", got)
	}
	sameJSON(t, protocol.MetricsAnswer{}, `{"values":[]}`)
	sameJSON(t, protocol.MetricsAnswer{Values: []protocol.Metric{{Kind: protocol.MetricLabel, Name: "a"}, {Kind: protocol.MetricGauge, Name: "b"}}},
		`{"values":[{"label":{"name":"a","values":[]}},{"gauge":{"name":"b","unit":"","values":[]}}]}`)
	for _, bad := range []protocol.Metric{{Name: "no kind"}, {Kind: 9}, {Kind: protocol.MetricScalar, Value: math.NaN()},
		{Kind: protocol.MetricGauge, Points: []protocol.MetricPoint{{Value: math.Inf(1)}}}} {
		if _, err := (protocol.MetricsAnswer{Values: []protocol.Metric{bad}}).MarshalJSON(); err == nil {
			t.Errorf("%+v was encoded", bad)
		}
	}
}

func TestMetricsAnswerIsStrict(t *testing.T) {
	good := `{"gauge":{"name":"a","unit":"b","values":[[1,2]]}}`
	if _, err := protocol.DecodeJSON[protocol.MetricsAnswer]([]byte(`{"values":[` + good + `],"more":1}`)); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{`[]`, `{}`, `{"values":null}`, `{"values":[{}]}`, `{"values":[1]}`,
		`{"values":[{"gauge":{"name":"a","unit":"b","values":[]},"label":{"name":"a","values":[]}}]}`,
		`{"values":[` + good + `,]}`, `{"values":[` + good + `]} x`} {
		_, err := protocol.DecodeJSON[protocol.MetricsAnswer]([]byte(bad))
		if protocol.CodeOf(err) != protocol.CodeBadJSON {
			t.Errorf("%s: got %v", bad, err)
		}
	}
	for _, change := range [][2]string{{"[1,2]", "[1.0,2]"}, {"[1,2]", "[4294967296,2]"}, {"[1,2]", "[-1,2]"}, {"[1,2]", "[1]"},
		{"[1,2]", "[1,2,3]"}, {"[1,2]", `["1",2]`}, {"[1,2]", "[1,1e999]"}, {"[1,2]", "1"}, {`"name":"a",`, ""}, {`"unit":"b",`, ""},
		{`"values"`, `"Values"`}, {"gauge", "accumulation"}, {"gauge", "scalar"}} {
		bad := `{"values":[` + strings.Replace(good, change[0], change[1], 1) + `]}`
		_, err := protocol.DecodeJSON[protocol.MetricsAnswer]([]byte(bad))
		if protocol.CodeOf(err) != protocol.CodeBadJSON {
			t.Errorf("%s: got %v", bad, err)
		}
	}
}

func TestMetricsQueryJSON(t *testing.T) {
	start, end := uint32(1), uint32(math.MaxUint32)
	for want, q := range map[string]protocol.MetricsQuery{
		`{"set":""}`: {},
		`{"set":"storage","start":1,"end":4294967295,"interval":"hour"}`: {Set: protocol.MetricStorage, Start: &start, End: &end,
			Interval: protocol.IntervalHour},
		`{"set":"x\"y","interval":"week"}`: {Set: `x"y`, Interval: "week"},
	} {
		if got := string(protocol.EncodeMetricsQueryJSON(q)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got, err := protocol.DecodeMetricsQueryJSON([]byte(want)); err != nil || !reflect.DeepEqual(got, q) {
			t.Errorf("%s: got %+v, %v", want, got, err)
		}
	}
	for _, same := range []string{``, `{}`, `{"set":null,"start":null,"end":null,"interval":null,"x":1}`} {
		if got, err := protocol.DecodeMetricsQueryJSON([]byte(same)); err != nil || !reflect.DeepEqual(got, protocol.MetricsQuery{}) {
			t.Errorf("%s: got %+v, %v", same, got, err)
		}
	}
	for _, bad := range []string{`null`, `[]`, `{"set":1}`, `{"start":-1}`, `{"start":1.0}`, `{"end":4294967296}`, `{"end":"1"}`,
		`{"interval":1}`, `{"set":"a","set":"b"}`, `{} {}`} {
		if _, err := protocol.DecodeMetricsQueryJSON([]byte(bad)); protocol.CodeOf(err) != protocol.CodeBadJSON {
			t.Errorf("%s: got %v", bad, err)
		}
	}
}

func FuzzMetricsJSON(f *testing.F) {
	text, _ := metricsAnswer().MarshalJSON()
	f.Add(text)
	f.Add([]byte(`{"set":"storage","start":1,"end":4294967295,"interval":"hour"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		q, err := protocol.DecodeMetricsQueryJSON(data)
		typed(t, err, protocol.CodeBadJSON)
		if err == nil {
			if again, err := protocol.DecodeMetricsQueryJSON(protocol.EncodeMetricsQueryJSON(q)); err != nil || !reflect.DeepEqual(again, q) {
				t.Fatalf("%+v became %+v, %v", q, again, err)
			}
		}
		a, err := protocol.DecodeJSON[protocol.MetricsAnswer](data)
		typed(t, err, protocol.CodeBadJSON)
		if err != nil {
			return
		}
		text, err := a.MarshalJSON()
		if err != nil || !json.Valid(text) {
			t.Fatalf("%q, %v", text, err)
		}
		if again, err := protocol.DecodeJSON[protocol.MetricsAnswer](text); err != nil || !reflect.DeepEqual(again, a) {
			t.Fatalf("%+v became %+v, %v", a, again, err)
		}
	})
}
