package conformance

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/weirstream/weir/protocol"
)

// Headers that every case of HTTP uses, spelled as S2 does.
const (
	jsonBody  = "content-type: application/json"
	protoBody = "content-type: application/protobuf"
	s2sBody   = "content-type: s2s/proto"
	wantJSON  = "accept: application/json"
	wantProto = "accept: application/protobuf"
	wantSSE   = "accept: text/event-stream"
	base64Fmt = "s2-format: base64"
)

// in is the header that names the stream's basin.
func (s *Stream) in() string { return "s2-basin: " + string(s.StreamRef.Basin) }

// in is the header that names the basin.
func (b *Basin) in() string { return "s2-basin: " + string(b.Name) }

// path is the stream's path; more is added to it.
func (s *Stream) path(more string) string {
	return "/v1/streams/" + url.PathEscape(string(s.StreamRef.Stream)) + more
}

// records is the path of the stream's records, with a query.
func (s *Stream) records(query string) string { return s.path("/records") + query }

// request makes a request. Headers are lines of "name: value", and may repeat.
func (e *WebEnv) request(method, path string, body io.Reader, headers ...string) *http.Request {
	e.t.Helper()
	req, err := http.NewRequestWithContext(e.ctx, method, e.Base+path, body)
	e.must(err, "make a request")
	req.Header.Set("Accept-Encoding", "identity") // otherwise the transport adds a value of its own
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		if strings.EqualFold(name, "accept-encoding") {
			req.Header.Del(name)
		}
		req.Header.Add(name, value)
	}
	return req
}

// Answer is the response to a request.
type Answer struct {
	e      *WebEnv
	what   string
	Status int
	Head   http.Header
	Body   []byte
}

// ask sends a request and reads the whole answer.
func (e *WebEnv) ask(method, path, body string, headers ...string) *Answer {
	e.t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	return e.send(e.request(method, path, r, headers...))
}

func (e *WebEnv) get(path string, headers ...string) *Answer {
	e.t.Helper()
	return e.ask(http.MethodGet, path, "", headers...)
}

func (e *WebEnv) post(path, body string, headers ...string) *Answer {
	e.t.Helper()
	return e.ask(http.MethodPost, path, body, headers...)
}

func (e *WebEnv) send(req *http.Request) *Answer {
	e.t.Helper()
	resp, err := e.Client.Do(req)
	e.must(err, "ask")
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	e.must(err, "read the answer")
	return &Answer{e, req.Method + " " + req.URL.RequestURI(), resp.StatusCode, resp.Header, body}
}

// is checks the status.
func (a *Answer) is(status int) *Answer {
	a.e.t.Helper()
	if a.Status != status {
		a.e.t.Fatalf("%s: got status %d and %.300q, want status %d", a.what, a.Status, a.Body, status)
	}
	return a
}

// ok checks that the answer is a success in JSON.
func (a *Answer) ok() *Answer {
	a.e.t.Helper()
	return a.is(http.StatusOK).media("application/json")
}

// media checks the type of the body.
func (a *Answer) media(want string) *Answer {
	a.e.t.Helper()
	got, _, err := mime.ParseMediaType(a.Head.Get("Content-Type"))
	if err != nil || got != want {
		a.e.t.Fatalf("%s: got content type %q, want %s", a.what, a.Head.Get("Content-Type"), want)
	}
	return a
}

// has checks a header; "" means that it is absent.
func (a *Answer) has(name, want string) *Answer {
	a.e.t.Helper()
	equal(a.e.t, a.what+": header "+name, a.Head.Get(name), want)
	return a
}

// says checks the body, byte for byte.
func (a *Answer) says(want string) *Answer {
	a.e.t.Helper()
	if string(a.Body) != want {
		a.e.t.Fatalf("%s: got body %.300q, want %.300q", a.what, a.Body, want)
	}
	return a
}

// refuses checks that the answer is an error with the status, and a body of exactly the code and a message
// (data plane 8.12). It returns the message.
func (a *Answer) refuses(status int, code protocol.Code) string {
	a.e.t.Helper()
	a.is(status).media("application/json")
	var body map[string]string
	if err := json.Unmarshal(a.Body, &body); err != nil || len(body) != 2 || body["message"] == "" {
		a.e.t.Fatalf("%s: got error body %.300q, want a code and a message", a.what, a.Body)
	}
	equal(a.e.t, a.what+": code", protocol.Code(body["code"]), code)
	return body["message"]
}

// fails is refuses for a code that goes with its own status.
func (a *Answer) fails(code protocol.Code) string {
	a.e.t.Helper()
	return a.refuses(code.Status(), code)
}

// batch reads the answer as a batch, in protobuf or in JSON with Base64.
func (a *Answer) batch() Got {
	a.e.t.Helper()
	a.is(http.StatusOK)
	batch, err := protocol.UnmarshalReadBatch(a.Body)
	if strings.HasPrefix(a.Head.Get("Content-Type"), "application/json") {
		batch, err = protocol.DecodeReadBatchJSON(a.Body, protocol.FormatBase64)
	}
	a.e.must(err, a.what)
	return a.e.got(batch)
}

// ack reads the answer as an ack in JSON.
func (a *Answer) ack() protocol.AppendAck {
	a.e.t.Helper()
	ack, err := protocol.DecodeJSON[protocol.AppendAck](a.ok().Body)
	a.e.must(err, a.what)
	return ack
}
