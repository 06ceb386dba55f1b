package natsapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/weirstream/weir/broker/internal/natsapi"
	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/protocol"
)

// What issue 2 shows must work as it stands.
func TestByHand(t *testing.T) {
	e := newEnv(t, natsapi.Options{})
	const appendTo, readFrom = "s2.v1.append.demo-basin.greetings", "s2.v1.read.demo-basin.greetings"

	got := e.request(appendTo, "hello", "lang", "en")
	equal(t, "ack", string(got.Data),
		`{"start":{"seq_num":0,"timestamp":0},"end":{"seq_num":1,"timestamp":0},"tail":{"seq_num":1,"timestamp":0}}`)
	got = e.request(readFrom, `{"seq_num":0,"count":10}`)
	equal(t, "batch", string(got.Data), `{"records":[{"seq_num":0,"timestamp":0,"headers":[["lang","en"]],"body":"hello"}]}`)
	equal(t, "type", got.Header.Get("Content-Type"), "application/json")
	got = e.request(readFrom, `{"seq_num":0,"count":10}`, "S2-Format", "base64")
	equal(t, "base64", string(got.Data), `{"records":[{"seq_num":0,"timestamp":0,"headers":[["bGFuZw==","ZW4="]],"body":"aGVsbG8="}]}`)

	got = e.request("s2.v1.tail.demo-basin.greetings", "")
	equal(t, "tail", string(got.Data), `{"tail":{"seq_num":1,"timestamp":0}}`)
	got = e.request(readFrom, "")
	equal(t, "unwritten", string(got.Data), `{"tail":{"seq_num":1,"timestamp":0}}`)
	equal(t, "unwritten code", got.Header.Get("Nats-Service-Error-Code"), "416")

	e.request(appendTo, `{"records":[{"headers":[["","fence"]],"body":"tok"}]}`, "content-type", "application/json; charset=utf-8")
	got = e.request(appendTo, "again", "S2-Fencing-Token", "other")
	equal(t, "fenced", string(got.Data), `{"fencing_token_mismatch":"tok"}`)
	got = e.request(appendTo, "again", "s2-match-seq-num", "7")
	equal(t, "mismatch", string(got.Data), `{"seq_num_mismatch":2}`)
	got = e.request(appendTo, "again", "S2-Match-Seq-Num", "2", "S2-Timestamp", "12")
	equal(t, "conditional", failure(got).Code, "")
}

func TestRawRecordHeaders(t *testing.T) {
	e := newEnv(t, natsapi.Options{})
	e.request("s2.v1.append.demo-basin.a.b%2Ec", "x", "b", "1", "b", "2", "A", "3", "Nats-Request-Info", "{}", "Accept", "x/y",
		"S2-Timeout", "5000")
	batch := must[protocol.ReadBatch](t)(e.svc.Read(t.Context(), protocol.StreamRef{Basin: basin, Stream: "a/b.c"},
		protocol.ReadRequest{Start: protocol.FromSeqNum(0)}))
	var got []string
	for _, h := range batch.Records.Slice()[0].Headers {
		got = append(got, string(h.Name)+"="+string(h.Value))
	}
	equal(t, "headers", strings.Join(got, " "), "A=3 b=1 b=2")
}

func TestBadInput(t *testing.T) {
	e := newEnv(t, natsapi.Options{})
	huge := strings.Repeat("x", protocol.MaxRequestBytes+1)
	const stream = ".demo-basin.greetings"
	for _, c := range []struct {
		name, subject, body string
		head                []string
		want                protocol.Code
	}{
		{"short basin name", "append.demo.greetings", "x", nil, protocol.CodeBadPath},
		{"no stream", "append.demo-basin", "x", nil, protocol.CodeBadPath},
		{"escape cut short", "append.demo-basin.a%2", "x", nil, protocol.CodeBadPath},
		{"escape without need", "append.demo-basin.%41", "x", nil, protocol.CodeBadPath},
		{"NUL in the name", "append.demo-basin.a%00", "x", nil, protocol.CodeBadPath},
		{"dots as a name", "read.demo-basin.%2E%2E", "", nil, protocol.CodeBadPath},
		{"basin of two tokens", "basin.get.demo-basin.x", "", nil, protocol.CodeBadPath},
		{"upper case basin", "basin.ensure.DEMO-BASIN", "", nil, protocol.CodeBadPath},
		{"stream verb without stream", "stream.get.demo-basin", "", nil, protocol.CodeBadPath},
		{"negative condition", "append" + stream, "x", []string{"S2-Match-Seq-Num", "-1"}, protocol.CodeBadHeader},
		{"overflowing condition", "append" + stream, "x", []string{"S2-Match-Seq-Num", "18446744073709551616"}, protocol.CodeBadHeader},
		{"condition given twice", "append" + stream, "x", []string{"S2-Match-Seq-Num", "1", "s2-match-seq-num", "1"}, protocol.CodeBadHeader},
		{"condition repeated", "append" + stream, "x", []string{"S2-Match-Seq-Num", "1", "S2-Match-Seq-Num", "1"}, protocol.CodeBadHeader},
		{"unknown control header", "append" + stream, "x", []string{"S2-Match-Sequence", "1"}, protocol.CodeBadHeader},
		{"unknown content type", "append" + stream, "x", []string{"Content-Type", "text/html"}, protocol.CodeBadHeader},
		{"unknown format", "append" + stream, `{"records":[{}]}`, []string{"Content-Type", "application/json", "S2-Format", "hex"}, protocol.CodeBadHeader},
		{"raw condition beside JSON", "append" + stream, `{"records":[{}]}`, []string{"Content-Type", "application/json", "S2-Fencing-Token", "a"}, protocol.CodeBadHeader},
		{"long fencing token", "append" + stream, "x", []string{"S2-Fencing-Token", strings.Repeat("t", 37)}, protocol.CodeInvalid},
		{"garbage JSON", "append" + stream, "{", []string{"Content-Type", "application/json"}, protocol.CodeBadJSON},
		{"garbage protobuf", "append" + stream, "\xff\xff", []string{"Content-Type", "application/protobuf"}, protocol.CodeBadProto},
		{"empty protobuf", "append" + stream, "", []string{"Content-Type", "application/protobuf"}, protocol.CodeInvalid},
		{"huge raw record", "append" + stream, huge, nil, protocol.CodeInvalid},
		{"raw record above 1 MiB", "append" + stream, huge[:1<<20], nil, protocol.CodeInvalid},
		{"huge JSON", "append" + stream, huge, []string{"Content-Type", "application/json"}, protocol.CodeBadJSON},
		{"huge protobuf", "append" + stream, huge, []string{"Content-Type", "application/protobuf"}, protocol.CodeBadProto},
		{"huge read options", "read" + stream, huge, nil, protocol.CodeBadJSON},
		{"huge create", "basin.create.demo-basin", huge, nil, protocol.CodeBadJSON},
		{"negative count", "read" + stream, `{"count":-1}`, nil, protocol.CodeBadJSON},
		{"overflowing count", "read" + stream, `{"count":18446744073709551616}`, nil, protocol.CodeBadJSON},
		{"two starts", "read" + stream, `{"seq_num":0,"timestamp":0}`, nil, protocol.CodeInvalid},
		{"timestamp beyond until", "read" + stream, `{"timestamp":5,"until":5}`, nil, protocol.CodeInvalid},
		{"unknown session", "read" + stream, "", []string{"S2-Session", "write"}, protocol.CodeBadHeader},
		{"append session on read", "read" + stream, "", []string{"S2-Session", "append"}, protocol.CodeBadHeader},
		{"read session on append", "append" + stream, "", []string{"S2-Session", "read"}, protocol.CodeBadHeader},
		{"long request token", "basin.create.demo-basin", "", []string{"S2-Request-Token", strings.Repeat("t", 37)}, protocol.CodeBadHeader},
		{"create without a name", "basin.create", "{}", nil, protocol.CodeBadJSON},
		{"create with two names", "basin.create.demo-basin", `{"basin":"other-basin"}`, nil, protocol.CodeBadJSON},
		{"create stream with two names", "stream.create.demo-basin.a", `{"stream":"b"}`, nil, protocol.CodeBadJSON},
		{"retention of 0", "stream.create.demo-basin.a", `{"config":{"retention_policy":{"age":0}}}`, nil, protocol.CodeInvalid},
		{"reconfigure with nothing", "basin.reconfigure.demo-basin", "", nil, protocol.CodeBadJSON},
		{"negative limit", "basin.list", `{"limit":-1}`, nil, protocol.CodeBadJSON},
		{"missing basin", "basin.get.demo-basin", "", nil, protocol.CodeBasinNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := e.request("s2.v1."+c.subject, c.body, c.head...)
			if f := failure(got); f.Code != c.want {
				t.Errorf("got %v, want %s", f, c.want)
			}
			if got.Header.Get("Nats-Service-Error") == "" {
				t.Error("no Nats-Service-Error header")
			}
		})
	}
	tail := must[protocol.StreamTail](t)(e.svc.CheckTail(t.Context(), greetings))
	equal(t, "records stored", tail.SeqNum, 0)
}

func TestBasinsAndStreams(t *testing.T) {
	e := newEnv(t, natsapi.Options{})
	got := e.request("s2.v1.basin.create.demo-basin", "", "S2-Request-Token", "abc")
	equal(t, "info", string(got.Data), `{"name":"demo-basin","location":null,"created_at":"2025-01-02T03:04:05.0000006Z","deleted_at":null,"state":"active"}`)
	equal(t, "result", got.Header.Get("S2-Provision-Result"), "created")
	equal(t, "token", fmt.Sprint(e.svc.tokens), "[abc]")
	got = e.request("s2.v1.basin.create", `{"basin":"other-basin","config":{"create_stream_on_append":true}}`)
	equal(t, "by body", got.Header.Get("S2-Provision-Result"), "created")
	got = e.request("s2.v1.basin.create.demo-basin", `{"basin":"demo-basin"}`)
	equal(t, "again", failure(got).Code, protocol.CodeResourceAlreadyExists)
	got = e.request("s2.v1.basin.list", "")
	if n := strings.Count(string(got.Data), `"name"`); n != 2 {
		t.Errorf("list: %s", got.Data)
	}
	got = e.request("s2.v1.stream.create.demo-basin", `{"stream":"a/b"}`)
	equal(t, "stream", failure(got).Code, "")
	got = e.request("s2.v1.stream.create.demo-basin.a.c", `{"config":{"storage_class":"standard"}}`)
	equal(t, "named stream", failure(got).Code, "")
	got = e.request("s2.v1.stream.get.demo-basin.a.c", "")
	if !strings.Contains(string(got.Data), `"storage_class":"standard"`) {
		t.Errorf("config: %s", got.Data)
	}
	got = e.request("s2.v1.basin.delete.other-basin", "")
	equal(t, "delete", len(got.Data), 0)
}

func TestClientUnary(t *testing.T) {
	e := newEnv(t, natsapi.Options{})
	c, ctx := e.client(), t.Context()
	_, result, err := c.CreateBasin(ctx, protocol.CreateBasinRequest{Basin: basin, RequestToken: ptr("tok")})
	equal(t, "create", result, protocol.ProvisionCreated)
	equal(t, "create", codeOf(t, err), "")
	_, _, err = c.CreateBasin(ctx, protocol.CreateBasinRequest{Basin: basin})
	equal(t, "create again", codeOf(t, err), protocol.CodeResourceAlreadyExists)
	placed, _, err := c.CreateBasin(ctx, protocol.CreateBasinRequest{Basin: "placed-basin", Location: "attic", DedicatedLogs: 3})
	equal(t, "create with a place", codeOf(t, err), "")
	equal(t, "location", placed.Location, "attic")
	equal(t, "dedicated logs", placed.DedicatedLogs, 3)
	_, result, err = c.EnsureBasin(ctx, basin, protocol.EnsureBasinRequest{Config: protocol.BasinConfig{CreateStreamOnRead: true}})
	equal(t, "ensure", result, protocol.ProvisionUpdated)
	equal(t, "ensure", codeOf(t, err), "")
	config := must[protocol.BasinConfig](t)(c.ReconfigureBasin(ctx, basin, protocol.BasinReconfiguration{CreateStreamOnAppend: ptr(true)}))
	equal(t, "reconfigured", config.CreateStreamOnAppend && config.CreateStreamOnRead, true)
	config = must[protocol.BasinConfig](t)(c.GetBasinConfig(ctx, basin))
	equal(t, "config", config.CreateStreamOnAppend, true)
	page := must[protocol.BasinPage](t)(c.ListBasins(ctx, protocol.ListRequest{Prefix: "demo"}))
	equal(t, "basins", len(page.Basins), 1)

	ref := protocol.StreamRef{Basin: basin, Stream: "übung/ $x/*.>/"}
	if _, _, err := c.CreateStream(ctx, basin, protocol.CreateStreamRequest{Stream: ref.Stream}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.EnsureStream(ctx, ref, protocol.StreamConfig{Uncapped: ptr(true)}); err != nil {
		t.Fatal(err)
	}
	equal(t, "uncapped", must[protocol.ResolvedStreamConfig](t)(c.GetStreamConfig(ctx, ref)).Uncapped, true)
	change := protocol.StreamReconfiguration{Uncapped: protocol.Set(false)}
	equal(t, "capped", must[protocol.ResolvedStreamConfig](t)(c.ReconfigureStream(ctx, ref, change)).Uncapped, false)
	streams := must[protocol.StreamPage](t)(c.ListStreams(ctx, basin, protocol.ListRequest{}))
	equal(t, "streams", streams.Streams[0].Name, ref.Stream)

	ack := must[protocol.AppendAck](t)(c.Append(ctx, ref, protocol.AppendInput{Records: []protocol.Record{{
		Headers: []protocol.Header{{Name: []byte("Nats-Rollup"), Value: []byte{0xff}}}, Body: []byte("b"),
	}}}))
	equal(t, "end", ack.End.SeqNum, 1)
	batch := must[protocol.ReadBatch](t)(c.Read(ctx, ref, protocol.ReadRequest{Start: protocol.FromSeqNum(0)}))
	equal(t, "header", string(batch.Records.Slice()[0].Headers[0].Value), "\xff")
	equal(t, "tail", must[protocol.StreamTail](t)(c.CheckTail(ctx, ref)).SeqNum, 1)

	_, err = c.Append(ctx, ref, protocol.AppendInput{Records: []protocol.Record{{}}, MatchSeqNum: ptr(uint64(9))})
	var e412 *protocol.Error
	if !errors.As(err, &e412) || e412.SeqNumMismatch == nil || *e412.SeqNumMismatch != 1 {
		t.Errorf("mismatch: %v", err)
	}
	_, err = c.Read(ctx, ref, protocol.ReadRequest{})
	equal(t, "at the tail", codeOf(t, err), protocol.CodeUnwritten)
	if err := c.DeleteStream(ctx, ref); err != nil {
		t.Error(err)
	}
	if err := c.DeleteBasin(ctx, basin); err != nil {
		t.Error(err)
	}
	equal(t, "deleted", codeOf(t, c.DeleteBasin(ctx, basin)), protocol.CodeBasinNotFound)
}

func TestNobodyAnswers(t *testing.T) {
	e := newEnv(t, natsapi.Options{})
	c := client.New(e.nc, client.Options{Prefix: "elsewhere"})
	_, err := c.CheckTail(t.Context(), greetings)
	equal(t, "tail", codeOf(t, err), protocol.CodeUnavailable)
	if !strings.Contains(err.Error(), "no weir broker answers") {
		t.Error(err)
	}
	_, err = c.OpenReadSession(t.Context(), greetings, protocol.ReadRequest{})
	equal(t, "read session", codeOf(t, err), protocol.CodeUnavailable)
	_, err = c.OpenAppendSession(t.Context(), greetings)
	equal(t, "append session", codeOf(t, err), protocol.CodeUnavailable)
}

func TestTimeoutHasUnknownOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, natsapi.Options{})
		e.svc.gate = make(chan struct{})
		began := time.Now()
		_, err := e.client().Append(t.Context(), greetings, body("x"))
		equal(t, "code", codeOf(t, err), protocol.CodeRequestTimeout)
		equal(t, "took", time.Since(began), 10*time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err = e.client().Append(ctx, greetings, body("x"))
		equal(t, "code", codeOf(t, err), protocol.CodeClientHangup)
	})
}

func TestPanicIsAnswered(t *testing.T) {
	e := newEnv(t, natsapi.Options{})
	e.svc.fail = func(method string) error {
		if method == "CheckTail" {
			panic("secret")
		}
		return errors.New("secret")
	}
	for _, subject := range []string{"tail", "read"} {
		got := e.request("s2.v1."+subject+".demo-basin.greetings", "")
		equal(t, subject, got.Header.Get("Nats-Service-Error-Code"), "500")
		if strings.Contains(string(got.Data), "secret") {
			t.Errorf("%s tells internals: %s", subject, got.Data)
		}
	}
}

func TestBeyondMaxInflight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, natsapi.Options{MaxInflight: 2})
		e.svc.gate = make(chan struct{})
		answers := make(chan error)
		for range 3 {
			go func() {
				_, err := e.client().Append(t.Context(), greetings, body("x"))
				answers <- err
			}()
		}
		equal(t, "third", codeOf(t, <-answers), protocol.CodeRateLimited)
		close(e.svc.gate)
		equal(t, "first", codeOf(t, <-answers), "")
		equal(t, "second", codeOf(t, <-answers), "")
	})
}

func TestWithoutReply(t *testing.T) {
	e := newEnv(t, natsapi.Options{})
	sub := must[*nats.Subscription](t)(e.nc.SubscribeSync("$x.y"))
	for _, reply := range []string{"$x.y", "s2.v1.append.demo-basin.stolen"} {
		if err := e.nc.PublishRequest("s2.v1.append.demo-basin.greetings", reply, []byte("refused")); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.nc.Publish("s2.v1.append.demo-basin.greetings", []byte("stored")); err != nil {
		t.Fatal(err)
	}
	batch := must[protocol.ReadBatch](t)(e.client().Read(t.Context(), greetings,
		protocol.ReadRequest{Start: protocol.FromSeqNum(0), Clamp: true, Wait: ptr(10 * time.Second)}))
	equal(t, "stored", string(batch.Records.Slice()[0].Body), "stored")
	if n, _, _ := sub.Pending(); n != 0 {
		t.Error("answered to a reserved subject")
	}
	tail := must[protocol.StreamTail](t)(e.client().CheckTail(t.Context(), protocol.StreamRef{Basin: basin, Stream: "stolen"}))
	equal(t, "stolen", tail.SeqNum, 0)
}

// A batch in JSON may be several times its size; an answer beyond max_payload would end the door's connection.
func TestAnswersFitInMessages(t *testing.T) {
	e := newEnv(t, natsapi.Options{}, func(o *server.Options) { o.MaxPayload = 64 << 10 })
	record := protocol.Record{Body: bytes.Repeat([]byte{1}, 2<<10)} // six times as long in JSON
	for range 50 {
		must[protocol.AppendAck](t)(e.svc.Append(t.Context(), greetings, protocol.AppendInput{Records: []protocol.Record{record}}))
	}
	read := func(head ...string) int {
		got := e.request("s2.v1.read.demo-basin.greetings", `{"seq_num":0}`, head...)
		if f := failure(got); f.Code != "" {
			t.Fatal(f)
		}
		if head != nil {
			return must[protocol.ReadBatch](t)(protocol.UnmarshalReadBatch(got.Data)).Records.Len()
		}
		return must[protocol.ReadBatch](t)(protocol.DecodeReadBatchJSON(got.Data, protocol.FormatRaw)).Records.Len()
	}
	if n := read(); n < 3 || n > 6 {
		t.Errorf("%d records in JSON", n)
	}
	if n := read("Accept", "application/protobuf"); n < 25 || n > 31 {
		t.Errorf("%d records in protobuf", n)
	}
	var got int
	for rec, err := range e.client().Records(t.Context(), greetings, protocol.ReadRequest{Start: protocol.FromSeqNum(0), Count: ptr(uint64(1000))}) {
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "seq_num", rec.SeqNum, uint64(got))
		got++
	}
	equal(t, "records of the session", got, 50)

	big := protocol.StreamRef{Basin: basin, Stream: "big"}
	must[protocol.AppendAck](t)(e.svc.Append(t.Context(), big, protocol.AppendInput{Records: []protocol.Record{{Body: make([]byte, 100<<10)}}}))
	_, err := e.client().Read(t.Context(), big, protocol.ReadRequest{Start: protocol.FromSeqNum(0)})
	equal(t, "too big to read", codeOf(t, err), protocol.CodeInvalid)
	for _, err = range e.client().Records(t.Context(), big, protocol.ReadRequest{Start: protocol.FromSeqNum(0)}) {
		equal(t, "too big for a session", codeOf(t, err), protocol.CodeInvalid)
	}
	_, err = e.client().Append(t.Context(), big, protocol.AppendInput{Records: []protocol.Record{{Body: make([]byte, 100<<10)}}})
	equal(t, "too big to append", codeOf(t, err), protocol.CodeInvalid)
}

func TestDiscovery(t *testing.T) {
	e := newEnv(t, natsapi.Options{Version: "1.2.3"})
	e.request("s2.v1.tail.demo-basin.greetings", "")
	e.request("s2.v1.tail.demo", "")
	var info micro.Info
	if err := json.Unmarshal(e.request("$SRV.INFO.weir", "").Data, &info); err != nil {
		t.Fatal(err)
	}
	equal(t, "version", info.Version, "1.2.3")
	for _, ep := range info.Endpoints {
		if ep.Metadata["description"] == "" || ep.Metadata["subject"] == "" {
			t.Errorf("endpoint %s does not describe itself", ep.Name)
		}
	}
	var stats micro.Stats
	if err := json.Unmarshal(e.request("$SRV.STATS.weir", "").Data, &stats); err != nil {
		t.Fatal(err)
	}
	for _, ep := range stats.Endpoints {
		if ep.Name != "tail" {
			continue
		}
		var data struct {
			Served, Errors uint64
			LastCode       string `json:"last_code"`
		}
		if err := json.Unmarshal(ep.Data, &data); err != nil {
			t.Fatal(err)
		}
		equal(t, "served", data.Served, 2)
		equal(t, "errors", data.Errors, 1)
		equal(t, "last code", data.LastCode, "bad_path")
	}
}
