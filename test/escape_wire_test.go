package test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/protocol"
)

// ask sends raw bytes of one request over HTTP/1.1 and returns the status and the body of the answer.
func (p *prison) ask(t *testing.T, method, path, body string, headers ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, p.web.Base, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.URL.Opaque = "//" + req.URL.Host + path // as it is, whatever it holds
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		req.Header[http.CanonicalHeaderKey(name)] = append(req.Header[http.CanonicalHeaderKey(name)], value)
	}
	resp, err := p.web.Client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// reader issues a token that may do everything with the stream "mine" of the secret basin, and nothing else.
func (p *prison) reader(t *testing.T) string {
	t.Helper()
	return p.inmate(t, "reader", func(r *protocol.IssueAccessTokenRequest) {
		r.Scope.Basins = protocol.ResourceSet{Kind: protocol.MatchExact, Name: "secret-basin"}
		r.Scope.Streams = protocol.ResourceSet{Kind: protocol.MatchExact, Name: "mine"}
		r.Scope.AccessTokens = protocol.ResourceSet{}
	})
}

// TestUnauthorizedSaysHow: RFC 9110, 11.6.1.
func TestUnauthorizedSaysHow(t *testing.T) {
	p := newPrison(t)
	resp, err := p.web.Client.Get(p.web.Base + "/v1/basins")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("status %d, %q", resp.StatusCode, resp.Header)
	}
}

// TestEscapeOverHTTP: what a client can do to a request beside the names in it.
func TestEscapeOverHTTP(t *testing.T) {
	p := newPrison(t)
	secret := p.reader(t)
	const basin = "s2-basin: secret-basin"
	bearer := "authorization: Bearer " + secret
	stream := "/v1/streams/vault%2Fstream/records?seq_num=0"
	for _, c := range []struct {
		name    string
		path    string
		status  int
		headers []string
	}{
		{"no credential", stream, 401, []string{basin}},
		{"no credential, malformed", "/v1/streams/%2E/records?seq_num=x&seq_num=y", 401, []string{"s2-basin: BAD"}},
		{"no credential, a basin that is not there", "/v1/basins/absent-basin", 401, nil},
		{"no credential, unsupported encoding", stream, 401, []string{basin, "content-encoding: br"}},
		{"another scheme", stream, 401, []string{basin, "authorization: Basic " + rootToken}},
		{"no scheme", stream, 401, []string{basin, "authorization: " + rootToken}},
		{"two credentials", stream, 401, []string{basin, bearer, "authorization: Bearer " + rootToken}},
		{"two credentials in one", stream, 401, []string{basin, bearer + ", Bearer " + rootToken}},
		{"the token in the query", stream + "&access_token=" + rootToken, 401, []string{basin}},
		{"the header of NATS", stream, 401, []string{basin, "s2-access-token: " + rootToken}},
		{"the header of NATS beside a credential", stream, 403, []string{basin, bearer, "s2-access-token: " + rootToken}},
		{"a cookie", stream, 401, []string{basin, "cookie: access_token=" + rootToken}},
		{"another method in a header", "/v1/streams/vault%2Fstream", 403, []string{basin, bearer, "x-http-method-override: DELETE"}},
		{"the path in another spelling", "/v1/streams/%76ault%2fstream/records?seq_num=0", 403, []string{basin, bearer}},
		{"the path escaped twice", "/v1/streams/mine%252F..%252Fvault%252Fstream/records?seq_num=0", 403, []string{basin, bearer}},
		{"a path with a step up", "/v1/streams/mine%2F..%2Fvault%2Fstream/records?seq_num=0", 403, []string{basin, bearer}},
		{"a path with a plain step up", "/v1/streams/mine/../vault%2Fstream/records?seq_num=0", 404, []string{basin, bearer}},
		{"two basins, its own first", "/v1/streams/mine/records?seq_num=0", 404, []string{basin, "s2-basin: absent-basin", bearer}},
		{"two basins, its own last", "/v1/streams/mine/records?seq_num=0", 403, []string{"s2-basin: absent-basin", basin, bearer}},
		{"metrics by a path", "/v1/metrics/secret-basin/vault%2Fstream?set=storage&start=1&end=2", 403, []string{bearer}},
		{"another token by a path", "/v1/access-tokens?prefix=secret", 200, []string{bearer}},
	} {
		status, body := p.ask(t, "GET", c.path, "", c.headers...)
		if status != c.status {
			t.Errorf("%s: status %d, want %d: %s", c.name, status, c.status, body)
		}
		if strings.Contains(body, rootToken) || strings.Contains(body, secret) || strings.Contains(body, "vault") || strings.Contains(body, "secret-token") {
			t.Errorf("%s: %s tells a secret", c.name, body)
		}
	}
	for _, probe := range []string{"/health", "/ping", "/metrics", "/openapi.json"} {
		if status, body := p.ask(t, "GET", probe, ""); status != 200 || strings.Contains(body, "secret-") {
			t.Errorf("%s: status %d, or it tells a name", probe, status)
		}
	}
	// What was let in by its subject or path is named again in the body.
	status, body := p.ask(t, "POST", "/v1/streams", `{"stream":"vault/other"}`, basin, bearer, "content-type: application/json")
	if status != 403 {
		t.Errorf("create another stream: status %d: %s", status, body)
	}
	if status, body = p.ask(t, "POST", "/v1/streams", `{"stream":"mine","stream":"vault/other"}`, basin, bearer, "content-type: application/json"); status != 400 {
		t.Errorf("create two streams: status %d: %s", status, body)
	}
	p.untouched(t)
}

// request sends a raw message to the NATS door and returns the status of the answer and its body.
func (p *prison) request(t *testing.T, subject, body string, head nats.Header) (status, text string) {
	t.Helper()
	m, err := p.nc.RequestMsg(&nats.Msg{Subject: subject, Data: []byte(body), Header: head}, 10*time.Second)
	if err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
	return m.Header.Get(protocol.HeaderServiceErrorCode), string(m.Data)
}

// TestEscapeOverNATS: crafted subjects, wildcards, control headers and verbs that are for the root alone.
func TestEscapeOverNATS(t *testing.T) {
	p := newPrison(t)
	secret := p.reader(t)
	auth := func(more ...string) nats.Header {
		head := nats.Header{protocol.HeaderAccessToken: {secret}}
		for i := 0; i < len(more); i += 2 {
			head[more[i]] = append(head[more[i]], more[i+1])
		}
		return head
	}
	for _, c := range []struct {
		name, subject, body string
		head                nats.Header
		status              string
	}{
		{"its own stream, which is not there", "s2.v1.tail.secret-basin.mine", "", auth(), "404"},
		{"another stream", "s2.v1.tail.secret-basin.vault.stream", "", auth(), "403"},
		{"a missing one", "s2.v1.tail.secret-basin.vault.nothing", "", auth(), "403"},
		{"another spelling", "s2.v1.tail.secret-basin.%76ault.stream", "", auth(), "400"},
		{"a step up", "s2.v1.tail.secret-basin.mine.%2E%2E.vault.stream", "", auth(), "403"},
		{"an escaped slash", "s2.v1.tail.secret-basin.mine%2Fx", "", auth(), "400"},
		{"a second basin", "s2.v1.tail.secret-basin.mine.secret-basin", "", auth(), "403"},
		{"an empty segment", "s2.v1.tail.secret-basin.%.mine", "", auth(), "403"},
		{"no token", "s2.v1.tail.secret-basin.vault.stream", "", nats.Header{protocol.HeaderAccessToken: {""}}, "401"},
		{"two tokens", "s2.v1.tail.secret-basin.vault.stream", "", auth(protocol.HeaderAccessToken, rootToken), "401"},
		{"two tokens in two spellings", "s2.v1.tail.secret-basin.vault.stream", "", auth("s2-access-token", rootToken), "401"},
		{"another spelling of the header", "s2.v1.tail.secret-basin.vault.stream", "", nats.Header{"s2-ACCESS-token": {secret}}, "403"},
		{"a malformed request without a valid token", "s2.v1.stream.create.secret-basin", "{", nats.Header{protocol.HeaderAccessToken: {"x"}}, "401"},
		{"a malformed header without a valid token", "s2.v1.tail.secret-basin.x", "", nats.Header{protocol.HeaderAccessToken: {"x"}, "S2-Unknown": {"x"}}, "401"},
		{"another name in the body", "s2.v1.stream.create.secret-basin.mine", `{"stream":"vault/other"}`, auth(), "400"},
		{"the name in the body alone", "s2.v1.stream.create.secret-basin", `{"stream":"vault/other"}`, auth(), "403"},
		{"another basin in the body", "s2.v1.basin.create", `{"basin":"absent-basin"}`, auth(), "403"},
		{"a token in the body", "s2.v1.token.revoke", `{"id":"secret-token"}`, auth(), "403"},
		{"a token in the subject", "s2.v1.token.revoke.secret-token", "", auth(), "403"},
		{"a session of another stream", "s2.v1.append.secret-basin.vault.stream", "", auth(protocol.HeaderSession, protocol.SessionAppend), "403"},
		{"a record with control headers", "s2.v1.append.secret-basin.vault.stream", "x", auth("Nats-Expected-Last-Sequence", "0"), "400"},
		{"the catalog", "s2.v1.backup.catalog", "{}", auth(), "403"},
		{"the chunks", "s2.v1.backup.chunks", `{"log":"s2_secret-basin_0"}`, auth(), "403"},
		{"a restore", "s2.v1.restore.begin", `{"basin":"absent-basin","restore":"x"}`, auth(), "403"},
		{"an entry of the catalog", "s2.v1.restore.entry", `{}`, auth(), "403"},
	} {
		status, body := p.request(t, c.subject, c.body, c.head)
		if status != c.status {
			t.Errorf("%s: status %q, want %s: %s", c.name, status, c.status, body)
		}
		if strings.Contains(body, rootToken) || strings.Contains(body, secret) {
			t.Errorf("%s: %s tells a secret", c.name, body)
		}
	}
	p.untouched(t)
	p.headersAreData(t, auth)
}

// headersAreData: headers that JetStream would heed are refused, others of NATS are not stored, and the token is in no record.
func (p *prison) headersAreData(t *testing.T, auth func(...string) nats.Header) {
	t.Helper()
	if status, body := p.request(t, "s2.v1.stream.create.secret-basin.mine", "", auth()); status != "" {
		t.Fatalf("create its own stream: %s", body)
	}
	for _, name := range []string{"Nats-Expected-Last-Sequence", "Nats-Rollup", "Nats-Msg-Id", "Nats-TTL"} {
		if status, body := p.request(t, "s2.v1.append.secret-basin.mine", "x", auth(name, "1")); status != "400" || !strings.Contains(body, name) {
			t.Errorf("%s: %s %s", name, status, body)
		}
	}
	for i := range 2 {
		head := auth("Nats-Request-Info", "{}", "Note", "x")
		if status, body := p.request(t, "s2.v1.append.secret-basin.mine", fmt.Sprint(i), head); status != "" {
			t.Fatalf("append: %s", body)
		}
	}
	batch, err := p.root.Read(t.Context(), protocol.StreamRef{Basin: "secret-basin", Stream: "mine"}, protocol.ReadRequest{Start: protocol.FromSeqNum(0)})
	if err != nil || batch.Records.Len() != 2 {
		t.Fatalf("got %d records, %v", batch.Records.Len(), err)
	}
	for _, rec := range batch.Records.Slice() {
		if len(rec.Headers) != 1 || string(rec.Headers[0].Name) != "Note" {
			t.Errorf("the record has headers %q", rec.Headers)
		}
	}
}
