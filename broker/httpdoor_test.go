package broker_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
)

// withHTTP is a broker in memory whose HTTP API has a free port.
func withHTTP(change func(*conf.HTTP)) conf.Config {
	c := conf.Default().WithMemory()
	c.HTTP.Listen = "127.0.0.1:0"
	if change != nil {
		change(&c.HTTP)
	}
	return c
}

func get(t *testing.T, c *http.Client, url string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// httpClient speaks one version of HTTP and believes every certificate.
func httpClient(t *testing.T, set func(*http.Protocols)) *http.Client {
	var p http.Protocols
	set(&p)
	tr := &http.Transport{Protocols: &p, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // self-signed
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// A broker may have the port of the Durable Streams protocol and no other, with the certificate of HTTP, and it leaves when the broker stops.
func TestDurableStreamsPortAlone(t *testing.T) {
	c := conf.Default().WithMemory()
	c.HTTP.TLSSelf = true
	c.DurableStreams = conf.DurableStreams{Listen: "127.0.0.1:0", Basin: "demo-basin"}
	b := start(t, c)
	client := httpClient(t, func(p *http.Protocols) { p.SetHTTP2(true) })
	resp, _ := get(t, client, b.DurableStreamsURL()+"/missing")
	if resp.StatusCode != 404 || resp.ProtoMajor != 2 || b.HTTPURL() != "" {
		t.Errorf("%s %d, HTTP at %q", resp.Proto, resp.StatusCode, b.HTTPURL())
	}
	closeBroker(t, b)
	if conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(b.DurableStreamsURL(), "https://")); err == nil {
		conn.Close()
		t.Error("a stopped broker listens")
	}
	// An address that is taken is named by its setting.
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	c.DurableStreams.Listen = taken.Addr().String()
	if _, err := broker.Start(t.Context(), c); err == nil || !strings.Contains(err.Error(), "durable_streams.listen") {
		t.Errorf("a taken address: %v", err)
	}
}

// TestHTTPVersions: both versions of HTTP on one port, without and with TLS (data plane 8.15).
func TestHTTPVersions(t *testing.T) {
	for name, c := range map[string]struct {
		tls   bool
		set   func(*http.Protocols)
		major int
	}{
		"HTTP/1.1":                    {false, func(p *http.Protocols) { p.SetHTTP1(true) }, 1},
		"HTTP/2 with prior knowledge": {false, func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }, 2},
		"TLS, HTTP/1.1":               {true, func(p *http.Protocols) { p.SetHTTP1(true) }, 1},
		"TLS, HTTP/2 by ALPN":         {true, func(p *http.Protocols) { p.SetHTTP1(true); p.SetHTTP2(true) }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, withHTTP(func(h *conf.HTTP) { h.TLSSelf = c.tls }))
			defer closeBroker(t, b)
			if want := map[bool]string{false: "http://127.0.0.1:", true: "https://127.0.0.1:"}[c.tls]; !strings.HasPrefix(b.HTTPURL(), want) {
				t.Errorf("url %q", b.HTTPURL())
			}
			resp, body := get(t, httpClient(t, c.set), b.HTTPURL()+"/health")
			if resp.StatusCode != 200 || body != "OK" || resp.ProtoMajor != c.major {
				t.Errorf("%s %d %q", resp.Proto, resp.StatusCode, body)
			}
		})
	}
}

// TestHTTPOff: without a port there is still a handler.
func TestHTTPOff(t *testing.T) {
	b := start(t, conf.Default().WithMemory())
	if b.HTTPURL() != "" {
		t.Errorf("url %q", b.HTTPURL())
	}
	ask := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		b.HTTPHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost"+path, nil))
		return w
	}
	if w := ask("/v1/basins"); w.Code != 200 || w.Body.String() != `{"basins":[],"has_more":false}` {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	closeBroker(t, b)
	if w := ask("/v1/basins"); w.Code != 503 || !strings.Contains(w.Body.String(), "server_draining") {
		t.Errorf("after Close: %d %s", w.Code, w.Body)
	}
	if w := ask("/health"); w.Code != 503 {
		t.Errorf("after Close: health is %d", w.Code)
	}
}

// TestHTTPMistakes: a start that cannot listen fails, says which setting is wrong, and leaves nothing running.
func TestHTTPMistakes(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	junk := filepath.Join(t.TempDir(), "junk.pem")
	if err := os.WriteFile(junk, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*conf.HTTP){
		"http.listen":   func(h *conf.HTTP) { h.Listen = taken.Addr().String() },
		"http.tls_cert": func(h *conf.HTTP) { h.TLSCert, h.TLSKey = junk, junk },
	} {
		if b, err := broker.Start(t.Context(), withHTTP(change)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error about %s, got %v", want, err)
			if b != nil {
				closeBroker(t, b)
			}
		}
	}
}

// TestHTTPCloseEndsFollowers: Close does not wait for sessions that would go on for ever, nor for idle connections.
func TestHTTPCloseEndsFollowers(t *testing.T) {
	b := start(t, withHTTP(nil))
	ensureBasin(t, b.Service())
	appendTo(t, b.Service(), "a")
	c := httpClient(t, func(p *http.Protocols) { p.SetHTTP1(true) })
	get(t, c, b.HTTPURL()+"/health") // leaves a connection open
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.HTTPURL()+"/v1/streams/events/records", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("S2-Basin", string(events.Basin))
	req.Header.Set("Accept", "text/event-stream")
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	began := time.Now()
	if err := b.Close(ctx); err != nil || time.Since(began) > 2*time.Minute {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(body), "event: error\ndata: {\"code\":\"server_draining\"") {
		t.Errorf("%q, %v", body, err)
	}
}

// TestHTTPPortInUse: it is told as for the NATS port, in words that docs/operations.md lists.
func TestHTTPPortInUse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	b, err := broker.Start(t.Context(), withHTTP(func(c *conf.HTTP) { c.Listen = ln.Addr().String() }))
	if err == nil {
		b.Close(t.Context())
		t.Fatal("the broker started")
	}
	for _, want := range []string{"a port is in use already", ln.Addr().String(), "http.listen"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
}
