package conformance

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

// Events is a read session over SSE.
type Events struct {
	e    *WebEnv
	resp *http.Response
	r    *bufio.Reader
}

// Event is one event as it is on the wire, field by field; "" where there is none.
type Event struct{ Name, ID, Data string }

// events opens a session over SSE, which must succeed.
func (e *WebEnv) events(path string, headers ...string) *Events {
	e.t.Helper()
	resp, err := e.Client.Do(e.request(http.MethodGet, path, nil, append(headers, wantSSE)...))
	e.must(err, "open events")
	e.t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(resp.Body)
		e.t.Fatalf("events of %s: got status %d and %.300q", path, resp.StatusCode, body)
	}
	for name, want := range map[string]string{"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no", "Content-Encoding": ""} {
		equal(e.t, name, resp.Header.Get(name), want)
	}
	if got := resp.Header.Get("Content-Type"); !strings.HasPrefix(got, "text/event-stream") {
		e.t.Fatalf("events have content type %q", got)
	}
	return &Events{e, resp, bufio.NewReader(resp.Body)}
}

// next reads an event. The fields come in the order event, id, data, each at most once, and nothing else comes.
func (v *Events) next() Event {
	v.e.t.Helper()
	var ev Event
	step := 0
	for {
		line, err := v.r.ReadString('\n')
		v.e.must(err, "read an event")
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			if step == 0 {
				v.e.t.Fatal("an event has no field")
			}
			return ev
		}
		for i, field := range []struct {
			name string
			into *string
		}{{"event: ", &ev.Name}, {"id: ", &ev.ID}, {"data: ", &ev.Data}} {
			if value, ok := strings.CutPrefix(line, field.name); ok && i >= step {
				*field.into, step, line = value, i+1, ""
				break
			}
		}
		if line != "" {
			v.e.t.Fatalf("an event has the line %q after %d fields", line, step)
		}
	}
}

// batch demands a batch with the given id.
func (v *Events) batch(id string) Got {
	v.e.t.Helper()
	ev := v.next()
	equal(v.e.t, "event", ev.Name, "batch")
	equal(v.e.t, "id", ev.ID, id)
	batch, err := protocol.DecodeReadBatchJSON([]byte(ev.Data), protocol.FormatRaw)
	v.e.must(err, "decode a batch")
	return v.e.got(batch)
}

// ping demands a heartbeat with the tail, stamped now.
func (v *Events) ping(tail protocol.Position) {
	v.e.t.Helper()
	ev := v.next()
	equal(v.e.t, "event", ev.Name, "ping")
	equal(v.e.t, "id", ev.ID, "")
	var stamp struct{ Timestamp uint64 }
	v.e.must(json.Unmarshal([]byte(ev.Data), &stamp), "decode a ping")
	if d := int64(now() - stamp.Timestamp); d < 0 || d > time.Minute.Milliseconds() {
		v.e.t.Fatalf("a ping is stamped %d ms ago", d)
	}
	equal(v.e.t, "data", ev.Data, fmt.Sprintf(`{"timestamp":%d,"tail":{"seq_num":%d,"timestamp":%d}}`,
		stamp.Timestamp, tail.SeqNum, tail.Timestamp))
}

// done demands the clean end: one event, and the end of the body.
func (v *Events) done() {
	v.e.t.Helper()
	equal(v.e.t, "the last event", v.next(), Event{Data: "[DONE]"})
	v.over()
}

func (v *Events) over() {
	v.e.t.Helper()
	if rest, err := io.ReadAll(v.r); err != nil || len(rest) > 0 {
		v.e.t.Fatalf("after the last event there is %q and %v", rest, err)
	}
}

// eventCases: data plane A.17, the form of events.
var eventCases = []WebCase{
	{Row: "A.17/329", Name: "the first batch", Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream()
		s.Append(text("lorem", "ipsum"))
		v := e.events(s.records("?seq_num=0&count=2"), s.in())
		v.batch("1,2,26").Bodies("lorem", "ipsum")
		v.done()
	}},
	{Row: "A.17/329", Name: "a session, byte for byte", Run: func(t *testing.T, e *WebEnv) {
		s := e.timed(1000, 2000)
		a := e.get(s.records("?seq_num=0&wait=0"), s.in(), wantSSE).is(200)
		a.says("event: batch\nid: 1,2,30\n" +
			`data: {"records":[{"seq_num":0,"timestamp":1000,"body":"at 1000"},{"seq_num":1,"timestamp":2000,"body":"at 2000"}],"tail":{"seq_num":2,"timestamp":2000}}` +
			"\n\ndata: [DONE]\n\n")
	}},
	{Row: "A.17/330", Name: "a later batch counts on", Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream()
		s.Append(text("lorem", "ipsum"))
		v := e.events(s.records("?seq_num=0"), s.in())
		v.batch("1,2,26").HasTail(s.Tail())
		v.ping(s.Tail())
		ack := s.Append(text("dolor"))
		v.batch("2,3,39").HasTail(ack.Tail)
	}},
	{Row: "A.17/335", Name: "a ping on entering follow, and then every 5 to 15 s", Timed: true, Run: func(t *testing.T, e *WebEnv) {
		s := e.full()
		start := time.Now()
		v := e.events(s.records("?tail_offset=0"), s.in())
		v.ping(s.Tail())
		e.took(start, 0)
		for range 20 {
			before := time.Now()
			v.ping(s.Tail())
			if gap := time.Since(before); gap < protocol.MinHeartbeatGap || gap > protocol.MaxHeartbeatGap+slack {
				t.Fatalf("a ping after %v", gap)
			}
		}
	}},
	{Row: "A.17/336", Name: "a clean end", Run: func(t *testing.T, e *WebEnv) {
		s := e.full()
		v := e.events(s.records("?seq_num=0&wait=0"), s.in())
		v.batch("4,5,45")
		v.done()
		e.get(s.records("?seq_num=0&count=0"), s.in(), wantSSE).is(200).says("data: [DONE]\n\n")
	}},
	{Row: "A.17/336", Name: "the wait is over", Timed: true, Run: func(t *testing.T, e *WebEnv) {
		s := e.full()
		start := time.Now()
		v := e.events(s.records("?tail_offset=0&wait=3"), s.in())
		v.ping(s.Tail())
		v.done()
		e.took(start, 3*time.Second)
	}},
	{Row: "A.17/337", Name: "a failure after the start", Run: func(t *testing.T, e *WebEnv) {
		s := e.full()
		v := e.events(s.records("?seq_num=0"), s.in())
		v.batch("4,5,45")
		v.ping(s.Tail())
		s.Delete()
		ev := v.next()
		if ev.Name == "batch" { // the terminal trim may come before
			if !strings.Contains(ev.Data, `"headers":[["","trim"]]`) {
				t.Fatalf("got batch %s of a deleted stream", ev.Data)
			}
			ev = v.next()
		}
		equal(t, "event", ev.Name, "error")
		equal(t, "id", ev.ID, "")
		var body map[string]string
		e.must(json.Unmarshal([]byte(ev.Data), &body), "decode the error")
		code := protocol.Code(body["code"])
		if len(body) != 2 || body["message"] == "" || code != protocol.CodeUnavailable && code != protocol.CodeStreamDeletionPending {
			t.Fatalf("got error %s", ev.Data)
		}
		v.over()
	}},
	{Row: "A.17/338", Name: "failures before the start", Run: func(t *testing.T, e *WebEnv) {
		s := e.full()
		e.get(s.records("?tail_offset=0&count=1"), s.in(), wantSSE).is(416).media("application/json").says(string(protocol.EncodeTailJSON(protocol.StreamTail{Position: s.Tail()})))
		e.get(s.records("?seq_num=6"), s.in(), wantSSE).is(416)
		missing := e.Basin().Missing("stream")
		e.get(missing.records("?seq_num=0"), missing.in(), wantSSE).fails(protocol.CodeStreamNotFound)
		e.get(s.records("?seq_num=0"), s.in(), wantSSE, "s2-encryption-key: "+strings.Repeat("k", 45)).fails(protocol.CodeBadHeader)
	}},
	{Row: "8.8", Name: "events in Base64", Run: func(t *testing.T, e *WebEnv) {
		s := e.timed(7)
		e.get(s.records("?seq_num=0&count=1"), s.in(), wantSSE, base64Fmt).is(200).
			says("event: batch\nid: 0,1,12\ndata: " + `{"records":[{"seq_num":0,"timestamp":7,"body":"YXQgNw=="}],"tail":{"seq_num":1,"timestamp":7}}` + "\n\ndata: [DONE]\n\n")
	}},
	{Row: "8.8", Name: "text with line ends stays on one line", Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream()
		s.Append(text("a\nb\r\nc\u2028d\rdata: x\n\n"))
		v := e.events(s.records("?seq_num=0&wait=0"), s.in())
		v.batch("0,1,28").Bodies("a\nb\r\nc\u2028d\rdata: x\n\n")
		v.done()
	}},
	{Row: "8.8", Name: "a client that leaves", Run: func(t *testing.T, e *WebEnv) {
		s := e.full()
		for range 20 {
			v := e.events(s.records("?seq_num=0"), s.in())
			v.batch("4,5,45")
			if err := v.resp.Body.Close(); err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
		}
		s.AppendRange(5, 6, text("x"))
	}},
}

// resumeCases: data plane A.17, the event id that a client came to.
var resumeCases = []WebCase{
	{Row: "A.17/331", Name: "resumed after an event", Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream()
		s.Append(text("lorem", "ipsum", "dolor", "sit", "amet"))
		v := e.events(s.records("?seq_num=0&count=10&bytes=1000"), s.in(), "last-event-id: 1,2,26")
		v.batch("4,5,62").Seqs(2, 5)
		v.done()
	}},
	{Row: "A.17/331", Name: "what is left of count and bytes", Run: func(t *testing.T, e *WebEnv) {
		s := e.small(20)
		const size = int(numberedSize)
		for query, n := range map[string]uint64{
			"count=10": 8, "count=3": 1, fmt.Sprintf("bytes=%d", 5*size): 3, fmt.Sprintf("bytes=%d", 5*size-1): 2,
			fmt.Sprintf("count=10&bytes=%d", 6*size): 4, "wait=0": 18, "count=2": 0, "bytes=1": 0, "count=1": 0,
		} {
			a := e.get(s.records("?seq_num=17&"+query), s.in(), wantSSE, fmt.Sprintf("last-event-id: 1,2,%d", 2*size)).is(200)
			want := fmt.Sprintf("id: %d,%d,%d\n", n+1, n+2, int(n+2)*size)
			if n > 0 && !strings.Contains(string(a.Body), want) || n == 0 && string(a.Body) != "data: [DONE]\n\n" {
				t.Fatalf("%s: got %.300q, want %d records", query, a.Body, n)
			}
		}
	}},
	{Row: "A.17/332", Name: "nothing is left, at the tail", Run: func(t *testing.T, e *WebEnv) {
		s := e.small(10)
		e.get(s.records("?seq_num=0&count=10"), s.in(), wantSSE, "last-event-id: 9,10,130").is(200).says("data: [DONE]\n\n")
		e.get(s.records("?seq_num=0&count=10"), s.in(), wantSSE, "last-event-id: 18446744073709551615,10,130").is(200).says("data: [DONE]\n\n")
		e.get(s.records("?seq_num=0&count=11"), s.in(), wantSSE, "last-event-id: 9,10,130").is(416).
			says(string(protocol.EncodeTailJSON(protocol.StreamTail{Position: s.Tail()})))
		e.get(s.records("?seq_num=0"), s.in(), wantSSE, "last-event-id: 18446744073709551615,0,0").is(416)
		v := e.events(s.records("?seq_num=0"), s.in(), "last-event-id: 9,10,130") // it follows
		v.ping(s.Tail())
		s.Append(text("lorem"))
		v.batch("10,11,143")
	}},
	{Row: "A.17/333", Name: "the start of the query does not count any more", Run: func(t *testing.T, e *WebEnv) {
		s := e.timed(1000, 2000, 3000)
		v := e.events(s.records("?timestamp=9000&until=2500"), s.in(), "last-event-id: 0,1,15")
		v.batch("1,2,30").Times(2000)
		v.done()
		e.events(s.records("?tail_offset=0&count=3"), s.in(), "last-event-id: 1,2,30").batch("2,3,45").Times(3000)
		e.events(s.records("?seq_num=0"), s.in(), "last-event-id: 1,18446744073709551615,18446744073709551610").
			batch("2,18446744073709551615,18446744073709551615").Times(3000)
		e.get(s.records("?seq_num=0&timestamp=0"), s.in(), wantSSE, "last-event-id: 0,1,15").fails(protocol.CodeInvalid)
	}},
	{Row: "A.17/334", Name: "ids that no event has", Run: func(t *testing.T, e *WebEnv) {
		s := e.full()
		for _, id := range []string{"1,2", "x,2,3", "1, 2,3", "1,2,3,4", "", "1", "-1,2,3", "1,2,18446744073709551616", "1.0,2,3", ",,", "+1,2,3"} {
			e.get(s.records("?seq_num=0&count=1"), s.in(), wantSSE, "last-event-id: "+id).fails(protocol.CodeBadHeader)
			// It is nothing to anybody else.
			e.get(s.records("?seq_num=0&count=1"), s.in(), wantProto, "last-event-id: "+id).batch().Seqs(0, 1)
		}
	}},
}
