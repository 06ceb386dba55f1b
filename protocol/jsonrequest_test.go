package protocol_test

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

func TestReadRequestJSON(t *testing.T) {
	u := func(n uint64) *uint64 { return &n }
	for text, want := range map[string]protocol.ReadRequest{
		``:   {},
		`{}`: {},
		`{"seq_num":null,"wait":null,"clamp":null,"count":null,"x":[1]}`: {},
		`{"seq_num":0}`:                    {Start: protocol.FromSeqNum(0)},
		`{"seq_num":18446744073709551615}`: {Start: protocol.FromSeqNum(math.MaxUint64)},
		`{"timestamp":5,"until":6}`:        {Start: protocol.FromTimestamp(5), Until: u(6)},
		`{"timestamp":6,"until":6}`:        {Start: protocol.FromTimestamp(6), Until: u(6)}, // left to Validate
		`{"tail_offset":7,"clamp":true}`:   {Start: protocol.FromTail(7), Clamp: true},
		`{"count":0,"bytes":0}`:            {Count: u(0), Bytes: u(0)},
		`{"count":18446744073709551615}`:   {Count: u(math.MaxUint64)},
		`{"wait":0}`:                       {Wait: ptr(time.Duration(0))},
		`{"wait":4294967295}`:              {Wait: ptr(4294967295 * time.Second)},
		`{"wait_ms":1}`:                    {Wait: ptr(time.Millisecond)},
		`{"wait":null,"wait_ms":1500}`:     {Wait: ptr(1500 * time.Millisecond)},
		`{"wait_ms":4294967296000}`:        {Wait: ptr(4294967296 * time.Second)},
	} {
		got, err := protocol.DecodeReadRequestJSON([]byte(text))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v", text, got, err)
		}
		again, err := protocol.DecodeReadRequestJSON(protocol.EncodeReadRequestJSON(&want))
		if err != nil || !reflect.DeepEqual(again, want) {
			t.Errorf("%s: after %s: got %+v, %v", text, protocol.EncodeReadRequestJSON(&want), again, err)
		}
	}
	for text, c := range map[string]struct {
		code protocol.Code
		want string
	}{
		`{"seq_num":1,"timestamp":1}`:      {protocol.CodeInvalid, "seq_num, timestamp, tail_offset: at most one"},
		`{"seq_num":1,"tail_offset":0}`:    {protocol.CodeInvalid, "at most one"},
		`{"seq_num":1,"tail_offset":0} x`:  {protocol.CodeBadJSON, "invalid JSON"},
		`{"seq_num":1,"seq_num":1}`:        {protocol.CodeBadJSON, "duplicate"},
		`{"wait":1,"wait_ms":1}`:           {protocol.CodeBadJSON, "wait, wait_ms: at most one"},
		`{"wait":4294967296}`:              {protocol.CodeBadJSON, "wait: want an integer from 0 to 4294967295, got 4294967296"},
		`{"wait":0.5}`:                     {protocol.CodeBadJSON, "wait: want an integer"},
		`{"wait":"1s"}`:                    {protocol.CodeBadJSON, "wait: want an integer, got a string"},
		`{"seq_num":-1}`:                   {protocol.CodeBadJSON, "seq_num: want an integer from 0 to 18446744073709551615, got -1"},
		`{"count":18446744073709551616}`:   {protocol.CodeBadJSON, "count: want an integer"},
		`{"bytes":1e3}`:                    {protocol.CodeBadJSON, "bytes: want an integer"},
		`{"until":-0}`:                     {protocol.CodeBadJSON, "until: want an integer"},
		`{"clamp":"yes"}`:                  {protocol.CodeBadJSON, "clamp: want true or false"},
		`null`:                             {protocol.CodeBadJSON, "want an object"},
		` `:                                {protocol.CodeBadJSON, "invalid JSON"},
		`[]`:                               {protocol.CodeBadJSON, "want an object"},
		strings.Repeat(`{"x":`, 100_000):   {protocol.CodeBadJSON, "invalid JSON"},
		`{"x":` + strings.Repeat("[", 1e6): {protocol.CodeBadJSON, "invalid JSON"},
	} {
		_, err := protocol.DecodeReadRequestJSON([]byte(text))
		wantCode(t, err, c.code, c.want)
		if len(err.Error()) > 1000 {
			t.Errorf("message of %d bytes", len(err.Error()))
		}
	}
	t.Run("waits that seconds cannot carry", func(t *testing.T) {
		for wait, want := range map[time.Duration]string{
			time.Nanosecond: `{"wait_ms":1}`, 1500*time.Millisecond + 1: `{"wait_ms":1501}`, -time.Second: `{"wait":0}`, 0: `{"wait":0}`,
			4294967296 * time.Second: `{"wait_ms":4294967296000}`, math.MaxInt64: `{"wait_ms":9223372036855}`,
		} {
			if got := protocol.EncodeReadRequestJSON(&protocol.ReadRequest{Wait: &wait}); string(got) != want {
				t.Errorf("%d ns: got %s, want %s", wait, got, want)
			}
		}
		for _, text := range []string{`{"wait_ms":9223372036855}`, `{"wait_ms":18446744073709551615}`} {
			if got, err := protocol.DecodeReadRequestJSON([]byte(text)); err != nil || *got.Wait != math.MaxInt64 {
				t.Errorf("%s: got %v, %v", text, *got.Wait, err)
			}
		}
	})
}

func TestListRequestJSON(t *testing.T) {
	for text, want := range map[string]protocol.ListRequest{
		``: {}, `{}`: {}, `{"prefix":null,"start_after":null,"limit":null}`: {},
		`{"prefix":"a","start_after":"b","limit":5}`: {Prefix: "a", StartAfter: "b", Limit: 5},
		`{"limit":0}`:                    {},
		`{"limit":18446744073709551615}`: {Limit: math.MaxInt},
	} {
		got, err := protocol.DecodeListRequestJSON([]byte(text))
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v", text, got, err)
		}
		if again, err := protocol.DecodeListRequestJSON(protocol.EncodeListRequestJSON(want)); err != nil || again != want {
			t.Errorf("%s: after the wire %+v, %v", text, again, err)
		}
	}
	for text, want := range map[string]string{
		`{"limit":-1}`: "limit: want an integer from 0", `{"limit":1.5}`: "limit: want an integer", `{"limit":"5"}`: "limit: want an integer, got a string",
		`{"prefix":1}`: "prefix: want a string", `null`: "want an object", `{"prefix":"a","prefix":"a"}`: "duplicate", ` `: "invalid JSON",
	} {
		_, err := protocol.DecodeListRequestJSON([]byte(text))
		wantCode(t, err, protocol.CodeBadJSON, want)
	}
}

func TestTailJSON(t *testing.T) {
	p := protocol.StreamTail{Position: protocol.Position{SeqNum: math.MaxUint64, Timestamp: 7}}
	if got := protocol.EncodeTailJSON(p); string(got) != `{"tail":{"seq_num":18446744073709551615,"timestamp":7}}` {
		t.Fatalf("got %s", got)
	}
	if got, err := protocol.DecodeTailJSON(protocol.EncodeTailJSON(p)); err != nil || got != p {
		t.Fatalf("got %v, %v", got, err)
	}
	for text, want := range map[string]string{
		`{}`: "tail: is required", `{"tail":null}`: "tail: is required", `{"tail":{"seq_num":1}}`: "tail: seq_num and timestamp are required", ``: "invalid JSON",
	} {
		_, err := protocol.DecodeTailJSON([]byte(text))
		wantCode(t, err, protocol.CodeBadJSON, want)
	}
	sameJSON(t, p.Position, `{"seq_num":18446744073709551615,"timestamp":7}`)
	p.Closed = true
	if got := protocol.EncodeTailJSON(p); string(got) != `{"tail":{"seq_num":18446744073709551615,"timestamp":7},"closed":true}` {
		t.Fatalf("got %s", got)
	}
	if got, err := protocol.DecodeTailJSON(protocol.EncodeTailJSON(p)); err != nil || got != p {
		t.Fatalf("got %v, %v", got, err)
	}
}
