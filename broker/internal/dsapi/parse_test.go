package dsapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

func TestOffsetsSort(t *testing.T) {
	seqs := []uint64{0, 1, 9, 10, 99, 1 << 32, 1<<63 - 1, 1 << 63, ^uint64(0)}
	var last string
	for _, seq := range seqs {
		s := offsetOf(seq)
		if back, ok := parseOffset(s); !ok || back != seq || s <= last || strings.ContainsAny(s, ",&=?/") {
			t.Errorf("%d is %q", seq, s)
		}
		last = s
	}
	for _, bad := range []string{"", "-1", "now", "0", "1", "0000000000000000001x", "99999999999999999999", "+0000000000000000001", "000000000000000000001"} {
		if _, ok := parseOffset(bad); ok {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestCursorsGoForward(t *testing.T) {
	now := time.UnixMilli(1_732_900_000_000)
	first := cursorAfter("", now)
	if again := cursorAfter("", now); again != first {
		t.Errorf("%s and %s in one interval", first, again)
	}
	if next := cursorAfter(first, now); len(next) != len(first) || next <= first {
		t.Errorf("%s after %s", next, first)
	}
	if other := cursorAfter("no number", now); other != first {
		t.Errorf("%s", other)
	}
}

// dataOf is the data of the one event that a client makes of a text, by the rules of server-sent events.
func dataOf(t *testing.T, event string) string {
	t.Helper()
	text, ok := strings.CutSuffix(event, "\n\n")
	lines := strings.Split(text, "\n")
	if !ok || strings.Contains(text, "\r") || lines[0] != "event: data" {
		t.Fatalf("%q is no event", event)
	}
	var data []string
	for _, line := range lines[1:] {
		value, ok := strings.CutPrefix(line, "data:")
		if !ok {
			t.Fatalf("a line of the event is %q", line)
		}
		data = append(data, strings.TrimPrefix(value, " "))
	}
	return strings.Join(data, "\n")
}

// Messages come back from events as they were, with one kind of line ends, and no line of them becomes a field of an event.
func FuzzEvents(f *testing.F) {
	for _, text := range []string{"", "a", "a\nb", " a\r\n b", "a\rb\n", "\n\r\n\r", "x\n\nevent: control", "\r\r\n\n", "  "} {
		f.Add([]byte(text), []byte(text))
	}
	f.Fuzz(func(t *testing.T, one, two []byte) {
		recs := protocol.RecordsOf(protocol.SequencedRecord{Body: one}, protocol.SequencedRecord{SeqNum: 1, Headers: []protocol.Header{{Value: []byte("fence")}}, Body: []byte("x")},
			protocol.SequencedRecord{SeqNum: 2, Body: two})
		one, two = slices.Clip(one), slices.Clip(two)
		lines := strings.NewReplacer("\r\n", "\n", "\r", "\n")
		for _, e := range []encoder{pageOfBytes, pageOfJSON, eventOfBytes, eventOfText, eventOfJSON} {
			if got, room := len(e.append(nil, recs)), e.room(recs); got > room || got < room/8 {
				t.Errorf("style %d: %d bytes in a room of %d", e.style, got, room)
			}
		}
		if got, want := dataOf(t, string(appendTextEvent(nil, recs))), lines.Replace(string(one)+string(two)); got != want {
			t.Errorf("text %q is %q", want, got)
		}
		if got, want := dataOf(t, string(appendArrayEvent(nil, recs))), "["+lines.Replace(string(one))+","+lines.Replace(string(two))+"]"; got != want {
			t.Errorf("array %q is %q", want, got)
		}
		got, err := base64.StdEncoding.DecodeString(dataOf(t, string(appendBytesEvent(nil, recs))))
		if want := string(one) + string(two); err != nil || string(got) != want {
			t.Errorf("bytes %q are %q, %v", want, got, err)
		}
	})
}

// FuzzElements: what is taken as JSON is JSON, and comes back as the array that it was, one level flat.
func FuzzElements(f *testing.F) {
	for _, s := range []string{`{"a":1}`, `[1,[2],"x"]`, ` [ ] `, `[`, `[1] 2`, `nul`, "\"\u2028\"", `[[[]]]`, `1e999`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		parts, err := elements(body)
		if (err == nil) != json.Valid(body) {
			t.Fatalf("%q: %v", body, err)
		}
		if err != nil {
			return
		}
		var want bytes.Buffer
		trimmed := bytes.Trim(body, jsonSpace)
		if trimmed[0] != '[' {
			trimmed = append(append([]byte{'['}, trimmed...), ']')
		}
		if err := json.Compact(&want, trimmed); err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if err := json.Compact(&got, arrayOf(parts)); err != nil || got.String() != want.String() {
			t.Fatalf("%q comes back as %q, %v", body, got.Bytes(), err)
		}
	})
}

// arrayOf is what a read of the messages answers.
func arrayOf(parts [][]byte) []byte {
	if len(parts) == 0 {
		return []byte("[]")
	}
	recs := make([]protocol.SequencedRecord, len(parts))
	for i := range parts {
		recs[i] = protocol.SequencedRecord{SeqNum: uint64(i), Body: parts[i]}
	}
	return appendArray(nil, protocol.RecordsOf(recs...))
}

// The path of each stream, whole or below its basin, names it as the source of a fork.
func FuzzSourceName(f *testing.F) {
	for _, path := range []string{"/chat/7", "/ds/demo-basin/chat/reply%207", "/ds/demo-basin/ds/x", "/ds/other-basin/x", "/ds/demo-basin", "/", "chat", "/%", "/%2F"} {
		f.Add(path)
	}
	const basin protocol.BasinName = "demo-basin"
	f.Fuzz(func(t *testing.T, path string) {
		name, err := sourceName(path, basin, false)
		if err != nil {
			if protocol.CodeOf(err) != protocol.CodeBadHeader {
				t.Errorf("%q: %v", path, err)
			}
			return
		}
		whole := Path + string(basin) + "/" + url.PathEscape(string(name))
		if again, err := sourceName(whole, basin, false); err != nil || again != name {
			t.Errorf("%q is %q, and %q is %q, %v", path, name, whole, again, err)
		}
		alone := "/" + url.PathEscape(string(name))
		if again, err := sourceName(alone, basin, true); err != nil || again != name {
			t.Errorf("%q is %q, and on a port of its own %q is %q, %v", path, name, alone, again, err)
		}
	})
}

func TestForkOffsets(t *testing.T) {
	for text, want := range map[string]uint64{"-1": 0, "0000000000000000_0000000000000000": 0, offsetOf(0): 0, offsetOf(7): 7} {
		if seq, ok := parseForkOffset(text); !ok || seq != want {
			t.Errorf("%q is %d, %t", text, seq, ok)
		}
	}
	for _, bad := range []string{"", "now", "7", "0000000000000000_0000000000000001"} {
		if _, ok := parseForkOffset(bad); ok {
			t.Errorf("%q is taken", bad)
		}
	}
}
