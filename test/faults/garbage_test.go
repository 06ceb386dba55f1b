package faults

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/protocol"
)

// garbage is a message that must be refused, with the code.
type garbage struct {
	name string
	msg  *nats.Msg
	code protocol.Code
}

const (
	garbageBasin  = "garbage-basin"
	garbageStream = "s"
)

// jsonVerbs are the subjects whose bodies are JSON; those that would change something name what is there already, or
// would make what must not be there afterwards.
var jsonVerbs = []string{
	"basin.list", "basin.create", "basin.create.unborn-basin", "basin.ensure." + garbageBasin, "basin.reconfigure." + garbageBasin,
	"stream.list." + garbageBasin, "stream.create." + garbageBasin, "stream.create." + garbageBasin + ".unborn",
	"stream.ensure." + garbageBasin + "." + garbageStream, "stream.reconfigure." + garbageBasin + "." + garbageStream,
	"read." + garbageBasin + "." + garbageStream,
}

// basinVerbs and streamVerbs take the name of a basin, or of a basin and a stream, in their subject.
var (
	basinVerbs  = []string{"basin.create", "basin.ensure", "basin.get", "basin.reconfigure", "basin.delete", "stream.list"}
	streamVerbs = []string{"stream.create", "stream.ensure", "stream.get", "stream.reconfigure", "stream.delete", "append", "read", "tail"}
)

func message(verb string, body []byte, head ...string) *nats.Msg {
	m := &nats.Msg{Subject: subjects.Root() + "." + verb, Data: body, Header: nats.Header{}}
	for i := 0; i < len(head); i += 2 {
		m.Header[head[i]] = append(m.Header[head[i]], head[i+1])
	}
	return m
}

// noise is random, but the same in every run.
func noise(n int) []byte {
	rng := rand.New(rand.NewPCG(1, 2)) // garbage need not be secret
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// largest is about the largest message that the server takes.
const largest = 8<<20 - 4<<10

func garbageBodies() (out []garbage) {
	json := map[string][]byte{
		"cut short":           []byte(`{`),
		"two values":          []byte(`{}{}`),
		"an array":            []byte(`[]`),
		"a string":            []byte(`"basin"`),
		"a number":            []byte(`1e999`),
		"deep arrays":         bytes.Repeat([]byte("["), 1<<20),
		"deep objects":        bytes.Repeat([]byte(`{"config":`), 1<<17),
		"random bytes":        noise(4096),
		"invalid UTF-8":       []byte("{\"\xff\":\"\xc0\xaf\"}"),
		"zero bytes":          make([]byte, 1024),
		"8 MiB of spaces":     bytes.Repeat([]byte(" "), largest),
		"8 MiB of zero bytes": make([]byte, largest),
	}
	for _, verb := range jsonVerbs {
		for what, body := range json {
			out = append(out, garbage{verb + " with " + what, message(verb, body), protocol.CodeBadJSON})
		}
	}
	numbers := map[string]string{
		"basin.list":                         `{"limit":%s}`,
		"stream.list." + garbageBasin:        `{"limit":%s}`,
		"basin.create.unborn-basin":          `{"config":{"default_stream_config":{"retention_policy":{"age":%s}}}}`,
		"basin.ensure." + garbageBasin:       `{"config":{"default_stream_config":{"delete_on_empty":{"min_age_secs":%s}}}}`,
		"stream.create." + garbageBasin:      `{"stream":"unborn","config":{"retention_policy":{"age":%s}}}`,
		"stream.ensure.garbage-basin.s":      `{"retention_policy":{"age":%s}}`,
		"read.garbage-basin.s":               `{"seq_num":%s}`,
		"read.garbage-basin.s ":              `{"count":%s}`,
		"read.garbage-basin.s  ":             `{"seq_num":0,"wait":%s}`,
		"read.garbage-basin.s   ":            `{"timestamp":%s}`,
		"stream.reconfigure.garbage-basin.s": `{"retention_policy":{"age":%s}}`,
	}
	for verb, format := range numbers {
		for _, n := range []string{"-1", "18446744073709551616", "1.5", "1e400", `"x"`, "true", "[1]"} {
			m := message(strings.TrimSpace(verb), fmt.Appendf(nil, format, n))
			out = append(out, garbage{m.Subject + " with " + string(m.Data), m, protocol.CodeBadJSON})
		}
	}
	return out
}

func garbageAppends() (out []garbage) {
	verb := "append." + garbageBasin + "." + garbageStream
	add := func(name string, code protocol.Code, body []byte, head ...string) {
		out = append(out, garbage{verb + " with " + name, message(verb, body, head...), code})
	}
	const json, proto = protocol.MediaJSON, protocol.MediaProtobuf
	ct := protocol.HeaderContentType
	add("8 MiB in raw form", protocol.CodeInvalid, make([]byte, largest))
	add("1 MiB in raw form, one byte too many", protocol.CodeInvalid, make([]byte, 1<<20-7))
	add("8 MiB of JSON", protocol.CodeBadJSON, bytes.Repeat([]byte(" "), largest), ct, json)
	add("8 MiB of protobuf", protocol.CodeBadProto, make([]byte, largest), ct, proto)
	add("no JSON", protocol.CodeBadJSON, nil, ct, json)
	add("no records in JSON", protocol.CodeInvalid, []byte(`{"records":[]}`), ct, json)
	add("no records in protobuf", protocol.CodeInvalid, nil, ct, proto)
	add("deep JSON", protocol.CodeBadJSON, bytes.Repeat([]byte(`{"records":[`), 1<<17), ct, json)
	add("random bytes as JSON", protocol.CodeBadJSON, noise(4096), ct, json)
	add("random bytes as protobuf", protocol.CodeBadProto, noise(4096), ct, proto)
	add("a protobuf field cut short", protocol.CodeBadProto, []byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f}, ct, proto)
	add("a protobuf group without an end", protocol.CodeBadProto, []byte{0x0b}, ct, proto)
	add("a protobuf varint that is too long", protocol.CodeBadProto, bytes.Repeat([]byte{0xff}, 11), ct, proto)
	add("1001 records", protocol.CodeInvalid, []byte(`{"records":[`+strings.Repeat(`{"body":""},`, 1000)+`{"body":""}]}`), ct, json)
	add("invalid base64", protocol.CodeInvalid, []byte(`{"records":[{"body":"%%%"}]}`), ct, json, protocol.HeaderFormat, "base64")
	add("a negative timestamp", protocol.CodeBadJSON, []byte(`{"records":[{"timestamp":-1,"body":""}]}`), ct, json)
	add("an overflowing match_seq_num", protocol.CodeBadJSON, []byte(`{"match_seq_num":18446744073709551616,"records":[{"body":""}]}`), ct, json)
	add("a header of three", protocol.CodeBadJSON, []byte(`{"records":[{"headers":[["a","b","c"]],"body":""}]}`), ct, json)
	add("a header without a name", protocol.CodeInvalid, []byte(`{"records":[{"headers":[["","x"],["a","b"]],"body":""}]}`), ct, json)
	add("an unknown command", protocol.CodeInvalid, []byte(`{"records":[{"headers":[["","explode"]],"body":""}]}`), ct, json)
	add("a fencing token that is too long", protocol.CodeBadJSON, []byte(`{"fencing_token":"`+strings.Repeat("x", 37)+`","records":[{"body":""}]}`), ct, json)
	add("raw controls beside JSON", protocol.CodeBadHeader, []byte(`{"records":[{"body":""}]}`), ct, json, protocol.HeaderMatchSeqNum, "0")
	return out
}

func garbageSubjects() (out []garbage) {
	long := strings.Repeat("x", 513)
	for _, verb := range basinVerbs {
		for _, name := range []string{"UPPER-CASE", "short", strings.Repeat("x", 49), "two.tokens.of-names", "-begins-with", "ends-with-", "under_score", "%61bcdefgh", "\xff\xfe-not-utf8", "$SYS-basin", "s2.log.something"} {
			if verb == "stream.create" && strings.Contains(name, ".") {
				continue
			}
			out = append(out, garbage{verb + " of " + name, message(verb+"."+name, nil), protocol.CodeBadPath})
		}
	}
	for _, verb := range streamVerbs {
		for _, name := range []string{"%zz", "a%4", "a%", "%2f", "%2F", "%41", "a%2Eb%2e", "%C3%28", "%FF", "$a", long, strings.Repeat("%2E", 513), strings.Repeat("%.", 513) + "%", "a%00%0", "\xff\xfe", "\u00a0"} {
			out = append(out, garbage{verb + " of " + name, message(verb+"."+garbageBasin+"."+name, nil), protocol.CodeBadPath})
		}
		out = append(out, garbage{verb + " in no basin", message(verb+".UPPER."+garbageStream, nil), protocol.CodeBadPath})
		if verb != "stream.create" {
			out = append(out, garbage{verb + " of no stream", message(verb+"."+garbageBasin, nil), protocol.CodeBadPath})
		}
	}
	return out
}

func garbageHeaders() (out []garbage) {
	wild := [][]string{
		{"S2-Timeout", "-1"}, {"S2-Timeout", "soon"}, {"S2-Timeout", "18446744073709551616"}, {"s2-timeout", ""},
		{"S2-Match-Seq-Num", "-1"}, {"S2-Match-Seq-Num", "0x10"}, {"S2-Match-Seq-Num", "18446744073709551616"},
		{"S2-Timestamp", "1e3"}, {"S2-Session", "both"}, {"S2-Session", ""}, {"S2-Window", "-5"}, {"S2-Window", "1 MiB"},
		{"S2-Seq", "one"}, {"S2-Format", "hex"}, {"S2-Request-Token", strings.Repeat("x", 37)}, {"S2-Not-A-Header", "x"},
		{"Content-Type", "text/html"}, {"Content-Type", "application/"}, {"S2-Timeout", "1", "s2-timeout", "2"},
		{"S2-Session", "read", "S2-Session", "append"},
	}
	verbs := append([]string{"basin.get." + garbageBasin, "basin.delete." + garbageBasin, "stream.get." + garbageBasin + "." + garbageStream,
		"stream.delete." + garbageBasin + "." + garbageStream, "append." + garbageBasin + "." + garbageStream, "tail." + garbageBasin + "." + garbageStream}, jsonVerbs...)
	for _, verb := range verbs {
		for _, h := range wild {
			out = append(out, garbage{verb + " with " + strings.Join(h, " "), message(verb, nil, h...), protocol.CodeBadHeader})
		}
	}
	return out
}

// TestFaultGarbage sends garbage to every subject. Each message gets the right code and status, nothing is stored, others
// are served meanwhile, and nothing of it stays in the process.
func TestFaultGarbage(t *testing.T) {
	b := start(t, onDisk(t.TempDir()))
	svc := b.Service()
	l := newLedger(t, svc, garbageBasin, garbageStream)
	l.mustAppend(t, svc, 2, 10)
	bystander := newLedger(t, svc, "quiet-basin", "s")
	bystander.mustAppend(t, svc, 1, 10)
	config, err := svc.GetBasinConfig(t.Context(), garbageBasin)
	must(t, err)
	streamConfig, err := svc.GetStreamConfig(t.Context(), l.ref)
	must(t, err)
	nc := b.conn()
	ask(t, nc, message("tail."+garbageBasin+"."+garbageStream, nil)) // what a first request leaves behind
	before := len(goroutines())

	work := startAppenders(t, svc, 2, []*ledger{bystander})
	var all []garbage
	for _, part := range [][]garbage{garbageBodies(), garbageAppends(), garbageSubjects(), garbageHeaders()} {
		all = append(all, part...)
	}
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := worker; i < len(all); i += 4 {
				g := all[i]
				answer := ask(t, nc, g.msg)
				e := failureOf(answer)
				switch {
				case e == nil:
					t.Errorf("%.120s: accepted: %.100s", g.name, answer.Data)
				case e.Code != g.code || answer.Header.Get(protocol.HeaderServiceErrorCode) != fmt.Sprint(g.code.Status()):
					t.Errorf("%.120s: got %s %s, want %s: %.200s", g.name, answer.Header.Get(protocol.HeaderServiceErrorCode), e.Code, g.code, e.Message)
				case e.Message == "" || len(answer.Data) > 4096:
					t.Errorf("%.120s: a message of %d bytes: %.100q", g.name, len(answer.Data), e.Message)
				}
			}
		})
	}
	wg.Wait()
	work.end()
	if bystander.count(acked) < 10 || bystander.count(acked)+bystander.count(open) != len(bystander.entries) {
		t.Errorf("meanwhile %d of %d other appends were acknowledged", bystander.count(acked), len(bystander.entries))
	}
	bystander.verify(t, svc)
	l.verify(t, svc)
	basins, err := svc.ListBasins(t.Context(), protocol.ListRequest{})
	must(t, err)
	streams, err := svc.ListStreams(t.Context(), garbageBasin, protocol.ListRequest{})
	must(t, err)
	if len(basins.Basins) != 2 || len(streams.Streams) != 1 {
		t.Errorf("garbage made something: %v, %v", basins.Basins, streams.Streams)
	}
	if c, err := svc.GetBasinConfig(t.Context(), garbageBasin); err != nil || !c.Equal(config) {
		t.Errorf("garbage changed the basin: %+v, %v", c, err)
	}
	if c, err := svc.GetStreamConfig(t.Context(), l.ref); err != nil || c != streamConfig {
		t.Errorf("garbage changed the stream: %+v, %v", c, err)
	}
	defer func() {
		if t.Failed() {
			t.Logf("there were %d goroutines, and there are\n%s", before, strings.Join(goroutines(), "\n\n"))
		}
	}()
	eventually(t, "the goroutines are gone", func() bool { return len(goroutines()) <= before+2 })
	t.Logf("%d messages", len(all))
}

// goroutines are the stacks of the goroutines that run weir's code. Those of the NATS server alone come and go with its
// JetStream streams.
func goroutines() []string {
	all := make([]byte, 16<<20)
	stacks := strings.Split(string(all[:runtime.Stack(all, true)]), "\n\n")
	return slices.DeleteFunc(stacks, func(s string) bool { return !strings.Contains(s, "weirstream/weir/") })
}
