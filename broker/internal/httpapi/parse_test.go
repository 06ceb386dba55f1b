package httpapi

import (
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/s2s"
)

// TestMatch: routing is by the raw path, nothing is cleaned (data plane 8.1, control plane 8.4).
func TestMatch(t *testing.T) {
	for _, c := range []struct {
		method, path string
		want         string // the route, or the methods that the path takes
		params       [maxParams]string
	}{
		{"GET", "/v1/basins", "list_basins", [2]string{}},
		{"PUT", "/v1/basins/my-basin", "ensure_basin", [2]string{"my-basin"}},
		{"GET", "/v1/streams/a%2Fb", "get_stream_config", [2]string{"a%2Fb"}},
		{"POST", "/v1/streams/a+b%20c/records", "append", [2]string{"a+b%20c"}},
		{"GET", "/v1/streams/%2E%2E/records/tail", "check_tail", [2]string{"%2E%2E"}},
		{"GET", "/v1/streams/../records", "read", [2]string{".."}},
		{"GET", "/v1/streams/records", "get_stream_config", [2]string{"records"}},
		{"GET", "/v1/metrics/b/s", "stream_metrics", [2]string{"b", "s"}},
		{"GET", "/metrics", "prometheus", [2]string{}},
		{"HEAD", "/health", "health", [2]string{}},
		{"HEAD", "/v1/basins", "list_basins", [2]string{}},
		{"DELETE", "/v1/basins", "GET, POST", [2]string{}},
		{"POST", "/v1/streams/s", "GET, PUT, PATCH, DELETE", [2]string{}},
		{"PUT", "/v1/streams/s/records", "GET, POST", [2]string{}},
		{"GET", "/v1/basins/", "", [2]string{}},
		{"GET", "/v1/streams//records", "", [2]string{}},
		{"GET", "/v1/streams/a/b", "", [2]string{}},
		{"GET", "/v1/streams/s/records/", "", [2]string{}},
		{"GET", "/v1/streams/s/records/tail/x", "", [2]string{}},
		{"GET", "//v1/basins", "", [2]string{}},
		{"GET", "/V1/basins", "", [2]string{}},
		{"GET", "/v1/basins/../basins", "", [2]string{}},
		{"GET", "/", "", [2]string{}},
		{"OPTIONS", "*", "", [2]string{}},
		{"GET", "", "", [2]string{}},
	} {
		r, params, allowed := match(c.method, c.path)
		got := strings.Join(allowed, ", ")
		if r != nil {
			got = r.name
		}
		if got != c.want || params != c.params {
			t.Errorf("%s %s: got %q %q, want %q %q", c.method, c.path, got, params, c.want, c.params)
		}
	}
}

func ptr[T any](v T) *T { return &v }

// TestReadQuery: data plane 8.4, row 322.
func TestReadQuery(t *testing.T) {
	const most = uint64(math.MaxUint64)
	for in, want := range map[string]protocol.ReadRequest{
		"":                                      {},
		"seq_num=7":                             {Start: protocol.FromSeqNum(7)},
		"timestamp=18446744073709551615":        {Start: protocol.FromTimestamp(most)},
		"tail_offset=00":                        {},
		"clamp=true&count=0&bytes=1&until=2":    {Clamp: true, Count: ptr(uint64(0)), Bytes: ptr(uint64(1)), Until: ptr(uint64(2))},
		"clamp=false&wait=4294967295":           {Wait: ptr(4294967295 * time.Second)},
		"other=1&other=2&seq_num=1&Seq_Num=x&&": {Start: protocol.FromSeqNum(1)},
		"%73eq_num=%31":                         {Start: protocol.FromSeqNum(1)},
		"%zz=1&count=3":                         {Count: ptr(uint64(3))},
	} {
		got, err := parseReadQuery(in)
		if err != nil || !reflect.DeepEqual(got.req, want) {
			t.Errorf("%q: got %+v, %v", in, got.req, err)
		}
	}
	for _, in := range []string{
		"seq_num=-1", "count=abc", "wait=4294967296", "clamp=yes", "clamp=", "clamp", "seq_num=", "seq_num", "count=1&count=1",
		"seq_num=1.5", "seq_num=+1", "seq_num=%2B1", "until=18446744073709551616", "bytes= 1", "timestamp=0x1", "count=%zz", "clamp=TRUE",
		"tail_offset=1e3",
	} {
		if _, err := parseReadQuery(in); protocol.CodeOf(err) != protocol.CodeBadQuery {
			t.Errorf("%q: %v, want code bad_query", in, err)
		}
	}
}

// TestResume: what last-event-id makes of a query (data plane 8.8, rows 331 and 333).
func TestResume(t *testing.T) {
	for _, c := range []struct {
		query string
		after *eventID
		want  protocol.ReadRequest
		code  protocol.Code
	}{
		{"seq_num=0&count=10&bytes=1000", &eventID{1, 2, 26},
			protocol.ReadRequest{Start: protocol.FromSeqNum(2), Count: ptr(uint64(8)), Bytes: ptr(uint64(974))}, ""},
		{"count=1&bytes=1", &eventID{math.MaxUint64, 2, 26},
			protocol.ReadRequest{Start: protocol.FromSeqNum(math.MaxUint64), Count: ptr(uint64(0)), Bytes: ptr(uint64(0))}, ""},
		{"timestamp=5&until=5", &eventID{9, 1, 1},
			protocol.ReadRequest{Start: protocol.FromSeqNum(10), Until: ptr(uint64(5))}, ""},
		{"timestamp=5&until=5", nil, protocol.ReadRequest{}, protocol.CodeInvalid},
		{"timestamp=5&seq_num=5", &eventID{9, 1, 1}, protocol.ReadRequest{}, protocol.CodeInvalid},
		{"seq_num=1&tail_offset=0", nil, protocol.ReadRequest{}, protocol.CodeInvalid},
	} {
		q, err := parseReadQuery(c.query)
		if err != nil {
			t.Fatal(err)
		}
		got, err := q.request(c.after)
		if protocol.CodeOf(err) != c.code || c.code == "" && !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q after %v: got %+v, %v", c.query, c.after, got, err)
		}
	}
}

func TestEventID(t *testing.T) {
	if id, ok := parseEventID("1,2,18446744073709551615"); !ok || id != (eventID{1, 2, math.MaxUint64}) {
		t.Errorf("got %v, %t", id, ok)
	}
	for _, in := range []string{"", "1", "1,2", "x,2,3", "1, 2,3", "1,2,3,4", "1,2,", ",,", "1,2,3 ", "-1,2,3", "1,2,18446744073709551616"} {
		if id, ok := parseEventID(in); ok {
			t.Errorf("%q is taken as %v", in, id)
		}
	}
}

// TestListQuery: control plane 1.3.
func TestListQuery(t *testing.T) {
	got, err := parseListQuery("prefix=a%2Fb+c&start_after=a&limit=18446744073709551615", protocol.CheckStreamPrefix)
	if want := (protocol.ListRequest{Prefix: "a/b c", StartAfter: "a", Limit: 1000}); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, in := range []string{"limit=-1", "limit=", "limit=1.5", "limit=x", "prefix=a&prefix=a", "prefix=%ff", "start_after=%00",
		"prefix=" + strings.Repeat("x", 513)} {
		if _, err := parseListQuery(in, protocol.CheckStreamPrefix); protocol.CodeOf(err) != protocol.CodeBadQuery {
			t.Errorf("%q: %v, want code bad_query", in, err)
		}
	}
	if _, err := parseListQuery("prefix=A", protocol.CheckBasinPrefix); protocol.CodeOf(err) != protocol.CodeBadQuery {
		t.Errorf("a basin prefix: %v", err)
	}
}

// TestAcceptedCoding: data plane 8.10.
func TestAcceptedCoding(t *testing.T) {
	for in, want := range map[string]s2s.Compression{
		"":                           s2s.NoCompression,
		"gzip":                       s2s.Gzip,
		"gzip, zstd":                 s2s.Zstd,
		"zstd;q=0.5, gzip;q=0.5":     s2s.Zstd,
		"zstd;q=0.5, gzip;q=0.501":   s2s.Gzip,
		"GZIP ; Q=1.0":               s2s.Gzip,
		"zstd;q=0, gzip;q=0":         s2s.NoCompression,
		"br, deflate, *":             s2s.NoCompression,
		"identity, gzip;q=0.5":       s2s.NoCompression,
		"identity;q=0.1, gzip;q=0.5": s2s.Gzip,
		"gzip, identity":             s2s.Gzip,
		"gzip;q=nan":                 s2s.NoCompression,
		"gzip;q=2":                   s2s.NoCompression,
		"gzip;level=1":               s2s.NoCompression,
		", ,gzip,":                   s2s.Gzip,
	} {
		if got := acceptedCoding([]string{in}); got != want {
			t.Errorf("%q: got %v, want %v", in, got, want)
		}
	}
	if got := acceptedCoding([]string{"gzip", "zstd"}); got != s2s.Zstd {
		t.Errorf("two headers: got %v", got)
	}
}

// TestFitFrame: a batch of very many tiny headers is split, without its tail in the first part (data plane 8.9).
func TestFitFrame(t *testing.T) {
	headers := make([]protocol.Header, 140_000)
	for i := range headers {
		headers[i] = protocol.Header{Name: []byte("n"), Value: []byte("v")}
	}
	tail := protocol.Position{SeqNum: 3}
	b := protocol.ReadBatch{Tail: &tail, Records: protocol.RecordsOf(
		protocol.SequencedRecord{SeqNum: 0, Headers: headers}, protocol.SequencedRecord{SeqNum: 1, Headers: headers},
		protocol.SequencedRecord{SeqNum: 2, Body: []byte("x")})}
	part, rest, err := sessionFrame.Fit(b)
	if err != nil || part.Records.Len() != 1 || part.Tail != nil || rest.Len() != 2 || rest.First().SeqNum != 1 {
		t.Fatalf("%d and %d records, tail %v, %v", part.Records.Len(), rest.Len(), part.Tail, err)
	}
	part, rest, err = sessionFrame.Fit(protocol.ReadBatch{Records: rest, Tail: &tail})
	if err != nil || part.Records.Len() != 2 || part.Tail != &tail || rest.Len() != 0 {
		t.Fatalf("%d and %d records, tail %v, %v", part.Records.Len(), rest.Len(), part.Tail, err)
	}
	huge := protocol.ReadBatch{Records: protocol.RecordsOf(protocol.SequencedRecord{Headers: slices.Concat(headers, headers, headers)})}
	if _, _, err := sessionFrame.Fit(huge); protocol.CodeOf(err) != protocol.CodeInvalid {
		t.Errorf("a record that fits in no frame: %v", err)
	}
}

// FuzzQuery: any query is parsed or refused with bad_query; what is accepted means the same when it is written out again.
func FuzzQuery(f *testing.F) {
	f.Add("seq_num=1&count=2&bytes=3&until=4&wait=5&clamp=true")
	f.Add("prefix=a%2Fb&start_after=c&limit=10")
	f.Add("timestamp=1&timestamp=2&%zz=+&;=&=")
	f.Fuzz(func(t *testing.T, raw string) {
		if _, err := parseListQuery(raw, protocol.CheckStreamPrefix); err != nil && protocol.CodeOf(err) != protocol.CodeBadQuery {
			t.Fatalf("list: %v", err)
		}
		rq, err := parseReadQuery(raw)
		if err != nil {
			if protocol.CodeOf(err) != protocol.CodeBadQuery {
				t.Fatalf("read: %v", err)
			}
			return
		}
		q, _ := parseQuery(raw, readParams)
		again := url.Values{}
		for i, name := range readParams {
			if q.values[i] != nil {
				again.Set(name, *q.values[i])
			}
		}
		if back, err := parseReadQuery(again.Encode()); err != nil || !reflect.DeepEqual(back, rq) {
			t.Fatalf("%q means %+v, written out %+v, %v", raw, rq, back, err)
		}
	})
}

// FuzzHeaders: no value of any header that the door reads makes it fail in an unknown way.
func FuzzHeaders(f *testing.F) {
	f.Add("test-basin", "application/json; charset=utf-8", "gzip;q=0.5, zstd", "1,2,3")
	f.Add("", "s2s/proto", "\xff", "base64")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		values := []string{a, b, c, d}
		for i := range values {
			at := func(k int) []string { return []string{values[(i+k)%len(values)]} }
			call := &call{r: httptest.NewRequest(http.MethodGet, "/v1/streams/s/records", nil)}
			call.r.Header = http.Header{headerBasin: at(0), "Content-Type": at(1), "Accept": at(1), "Accept-Encoding": at(2),
				headerLastEventID: at(3), headerFormat: at(3), headerRequestToken: at(0), headerEncryptionKey: at(2), headerStreamConfig: at(3), "Content-Encoding": at(2)}
			_, basinErr := call.basinHeader()
			_, tokenErr := call.requestToken()
			_, formatErr := call.recordFormat()
			_, idErr := call.lastEventID()
			_, optionsErr := call.recordOptions()
			for _, err := range []error{basinErr, tokenErr, formatErr, idErr, optionsErr} {
				if err != nil && protocol.CodeOf(err) != protocol.CodeBadHeader {
					t.Fatalf("%q: %v", values, err)
				}
			}
			call.media("Content-Type")
			call.contentEncoding()
			acceptedCoding(call.r.Header["Accept-Encoding"])
			s2s.Negotiate(call.r.Header["Accept-Encoding"])
		}
	})
}
