package protocol

import (
	"math"
	"strconv"
	"time"

	"github.com/weirstream/weir/internal/strictjson"
)

// MetricsAnswer is the answer to a query of usage metrics (control plane 6.4):
//
//	{"values":[{"label":{"name":"…","values":["…"]}},
//	           {"accumulation":{"name":"…","unit":"…","interval":"…","values":[[seconds,value],…]}},
//	           {"gauge":{"name":"…","unit":"…","values":[[seconds,value],…]}},
//	           {"scalar":{"name":"…","unit":"…","value":1}}]}
//
// Each element has exactly one of the four members. Seconds are integers of 32 bits, values any finite number.
type MetricsAnswer struct {
	Values []Metric // of the query's set
}

// metricKindNames are the members that distinguish the kinds.
var metricKindNames = [...]string{MetricLabel: "label", MetricAccumulation: "accumulation", MetricGauge: "gauge", MetricScalar: "scalar"}

// MarshalJSON gives the form above. It fails for a value that is not finite.
func (a MetricsAnswer) MarshalJSON() ([]byte, error) {
	dst := []byte(`{"values":[`)
	for i := range a.Values {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = a.Values[i].appendJSON(dst); err != nil {
			return nil, err
		}
	}
	return append(dst, `]}`...), nil
}

// UnmarshalJSON is the strict inverse of MarshalJSON. The error has code bad_json.
func (a *MetricsAnswer) UnmarshalJSON(data []byte) error { return readWhole(data, a) }

func (a *MetricsAnswer) readJSON(r *strictjson.Reader) error {
	*a = MetricsAnswer{}
	has := false
	err := r.Object(func(name []byte) error {
		if string(name) != "values" {
			return r.Skip()
		}
		has = true
		return r.Array(func(int) error {
			m, err := readMetric(r)
			a.Values = append(a.Values, m)
			return err
		})
	})
	if err == nil && !has {
		err = r.Bad("values is required")
	}
	return err
}

func (m *Metric) appendJSON(dst []byte) ([]byte, error) {
	if m.Kind < MetricLabel || m.Kind > MetricScalar {
		return nil, Errorf(CodeOther, "metric %q has no kind", m.Name)
	}
	dst = append(append(append(dst, `{"`...), metricKindNames[m.Kind]...), `":{"name":`...)
	dst = appendJSONText(dst, m.Name)
	if m.Kind == MetricLabel {
		dst = append(dst, `,"values":[`...)
		for i, label := range m.Labels {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSONText(dst, label)
		}
		return append(dst, `]}}`...), nil
	}
	dst = appendJSONText(append(dst, `,"unit":`...), m.Unit)
	if m.Kind == MetricAccumulation {
		dst = appendJSONText(append(dst, `,"interval":`...), m.Interval)
	}
	var err error
	if m.Kind == MetricScalar {
		dst, err = appendJSONNumber(append(dst, `,"value":`...), m.Value)
		return append(dst, `}}`...), err
	}
	dst = append(dst, `,"values":[`...)
	for i, p := range m.Points {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendUint(append(dst, '['), uint64(uint32(p.At.Unix())), 10) // Unix is in range: times are of the clock
		if dst, err = appendJSONNumber(append(dst, ','), p.Value); err != nil {
			return nil, err
		}
		dst = append(dst, ']')
	}
	return append(dst, `]}}`...), nil
}

func appendJSONNumber(dst []byte, v float64) ([]byte, error) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil, Errorf(CodeOther, "a metric's value is not finite")
	}
	form := byte('f')
	if abs := math.Abs(v); abs >= 1e21 || abs != 0 && abs < 1e-6 {
		form = 'e'
	}
	return strconv.AppendFloat(dst, v, form, -1, 64), nil
}

// readMetric reads an object with exactly one of the four members that distinguish the kinds.
func readMetric(r *strictjson.Reader) (m Metric, err error) {
	kinds := 0
	err = r.Object(func(name []byte) error {
		for kind := MetricLabel; kind <= MetricScalar; kind++ {
			if string(name) == metricKindNames[kind] {
				kinds++
				return m.readBody(r, kind)
			}
		}
		return r.Skip()
	})
	if err == nil && kinds != 1 {
		err = r.Bad("want exactly one of label, accumulation, gauge and scalar")
	}
	return m, err
}

// readBody reads the value under the name of a kind; all members of the kind are required.
func (m *Metric) readBody(r *strictjson.Reader, kind MetricKind) error {
	*m = Metric{Kind: kind}
	var name, unit, interval, values, value bool
	err := r.Object(func(member []byte) error {
		switch key := string(member); {
		case key == "name":
			name = true
			return strictjson.Into(r, &m.Name, (*strictjson.Reader).Text)
		case key == "unit" && kind != MetricLabel:
			unit = true
			return strictjson.Into(r, &m.Unit, (*strictjson.Reader).Text)
		case key == "interval" && kind == MetricAccumulation:
			interval = true
			return strictjson.Into(r, &m.Interval, strictjson.Enum(IntervalMinute, IntervalHour, IntervalDay))
		case key == "values" && kind == MetricLabel:
			values = true
			return r.Array(func(int) error {
				label, err := r.Text()
				m.Labels = append(m.Labels, label)
				return err
			})
		case key == "values" && kind != MetricScalar:
			values = true
			return r.Array(func(int) error {
				p, err := readMetricPoint(r)
				m.Points = append(m.Points, p)
				return err
			})
		case key == "value" && kind == MetricScalar:
			value = true
			return strictjson.Into(r, &m.Value, readNumber)
		}
		return r.Skip()
	})
	complete := name && (unit || kind == MetricLabel) && (interval || kind != MetricAccumulation) && (values || value)
	if err == nil && !complete {
		err = r.Bad("a member that every %s has is missing", metricKindNames[kind])
	}
	return err
}

// readMetricPoint reads [seconds, value].
func readMetricPoint(r *strictjson.Reader) (p MetricPoint, err error) {
	n := 0
	err = r.Array(func(i int) error {
		n++
		switch i {
		case 0:
			secs, err := r.UintMax(math.MaxUint32)
			p.At = time.Unix(int64(secs), 0).UTC() // 32 bits
			return err
		case 1:
			return strictjson.Into(r, &p.Value, readNumber)
		}
		return r.Bad("a point has two elements")
	})
	if err == nil && n != 2 {
		err = r.Bad("a point has two elements")
	}
	return p, err
}

func readNumber(r *strictjson.Reader) (float64, error) {
	raw, err := r.Scalar('0', "a number")
	if err != nil {
		return 0, err
	}
	v, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		return 0, r.Bad("%s is out of range", truncate(raw, 32))
	}
	return v, nil
}

// EncodeMetricsQueryJSON gives {"set": text, "start": u32, "end": u32, "interval": text} without the members that are
// not set: the body of a query over NATS.
func EncodeMetricsQueryJSON(q MetricsQuery) []byte {
	dst := appendJSONText([]byte(`{"set":`), q.Set)
	if q.Start != nil {
		dst = strconv.AppendUint(append(dst, `,"start":`...), uint64(*q.Start), 10)
	}
	if q.End != nil {
		dst = strconv.AppendUint(append(dst, `,"end":`...), uint64(*q.End), 10)
	}
	if q.Interval != "" {
		dst = appendJSONText(append(dst, `,"interval":`...), q.Interval)
	}
	return append(dst, '}')
}

// DecodeMetricsQueryJSON is the inverse of [EncodeMetricsQueryJSON]; null is the same as absence, and so is the empty
// text. Whether the set, the times and the interval fit is validated by the service. The error has code bad_json.
func DecodeMetricsQueryJSON(data []byte) (q MetricsQuery, err error) {
	if len(data) == 0 {
		return q, nil
	}
	seconds := func(r *strictjson.Reader) (uint32, error) {
		n, err := r.UintMax(math.MaxUint32)
		return uint32(n), err // 32 bits
	}
	err = readJSONText(data, func(r *strictjson.Reader) error {
		return r.Object(func(name []byte) error {
			switch string(name) {
			case "set":
				return strictjson.IntoUnlessNull(r, &q.Set, readText[MetricSet])
			case "start":
				return strictjson.IntoOptional(r, &q.Start, seconds)
			case "end":
				return strictjson.IntoOptional(r, &q.End, seconds)
			case "interval":
				return strictjson.IntoUnlessNull(r, &q.Interval, readText[MetricInterval])
			}
			return r.Skip()
		})
	})
	return q, err
}

func readText[T ~string](r *strictjson.Reader) (T, error) {
	s, err := r.Text()
	return T(s), err
}
