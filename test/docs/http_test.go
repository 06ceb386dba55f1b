package docs

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
)

var update = flag.Bool("update", false, "write what the examples print into the page")

const httpPage = "../../docs/http-api.md"

// The addresses on the page, where weir serve listens by default and with the options that the page names.
const (
	plainURL = "http://127.0.0.1:8080"
	tlsURL   = "https://127.0.0.1:8443"
)

// runner runs a command of the page and returns what it prints, for a person with a terminal.
type runner func(ctx context.Context, command string) (string, error)

func readHTTPPage(t *testing.T) *page {
	t.Helper()
	text, err := os.ReadFile(httpPage)
	if err != nil {
		t.Fatal(err)
	}
	p, err := readPage(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestHTTPPage(t *testing.T) {
	p := readHTTPPage(t)
	t.Run("requests", func(t *testing.T) {
		printed := p.run(t, request)
		if *update {
			if err := os.WriteFile(httpPage, []byte(p.update(printed)), 0o644); err != nil {
				t.Fatal(err)
			}
			return
		}
		p.check(t, printed)
	})
	// The page is tested without curl. With it, it is tested that the lines can be pasted, too.
	if _, err := exec.LookPath("curl"); err == nil && !*update {
		t.Run("shell", func(t *testing.T) { p.check(t, p.run(t, shell)) })
	}
}

// TestHTTPPageIsComplete: every operation that the broker describes has an example.
func TestHTTPPageIsComplete(t *testing.T) {
	p := readHTTPPage(t)
	resp, err := http.Get(startBroker(t, func(*conf.HTTP) {}) + "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var api struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&api); err != nil {
		t.Fatal(err)
	}
	if len(api.Paths) == 0 {
		t.Error("the broker describes no paths")
	}
	shown := p.operations(t)
	for path, methods := range api.Paths {
		parameter := regexp.MustCompile(`\\\{[a-z_]+\\\}`)
		pattern := regexp.MustCompile("^" + parameter.ReplaceAllString(regexp.QuoteMeta(path), "[^/]+") + "$")
		for method := range methods {
			if !slices.ContainsFunc(shown[strings.ToUpper(method)], pattern.MatchString) {
				t.Errorf("%s %s has no example", strings.ToUpper(method), path)
			}
		}
	}
}

// operations are the paths that the page's commands ask for, by method.
func (p *page) operations(t *testing.T) map[string][]string {
	out := map[string][]string{}
	for _, ex := range p.examples {
		for _, command := range ex.commands {
			c, err := parse(command)
			if err != nil {
				t.Fatalf("line %d: %s: %v", ex.line, command, err)
			}
			u, err := url.Parse(c.curl.url)
			if err != nil {
				t.Fatalf("line %d: %v", ex.line, err)
			}
			out[c.curl.verb()] = append(out[c.curl.verb()], u.EscapedPath())
		}
	}
	return out
}

// run runs all examples, in order, against brokers of their own.
func (p *page) run(t *testing.T, r runner) (printed []string) {
	addresses := strings.NewReplacer(
		plainURL, startBroker(t, func(*conf.HTTP) {}),
		tlsURL, startBroker(t, func(c *conf.HTTP) { c.TLSSelf = true }))
	for _, ex := range p.examples {
		var out strings.Builder
		for _, command := range ex.commands {
			s, err := r(t.Context(), addresses.Replace(command))
			if err != nil {
				t.Fatalf("line %d: %s: %v", ex.line, command, err)
			}
			if out.WriteString(s); s != "" && !strings.HasSuffix(s, "\n") {
				out.WriteByte('\n')
			}
		}
		printed = append(printed, out.String())
	}
	return printed
}

func (p *page) check(t *testing.T, printed []string) {
	for i, ex := range p.examples {
		if !matches(ex.shown, printed[i]) {
			t.Errorf("line %d: %s\nthe page shows\n%s\nand the broker answers\n%s", ex.line, strings.Join(ex.commands, "\n"), ex.shown, printed[i])
		}
	}
}

func startBroker(t *testing.T, change func(*conf.HTTP)) (url string) {
	t.Helper()
	cfg := conf.Default().WithMemory()
	cfg.HTTP.Listen = "127.0.0.1:0"
	change(&cfg.HTTP)
	b, err := broker.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return b.HTTPURL()
}

// shell is a runner for machines that have curl.
func shell(ctx context.Context, command string) (string, error) {
	c := exec.CommandContext(ctx, "sh", "-c", command)
	var stderr strings.Builder
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, &stderr)
	}
	return strings.ReplaceAll(string(out), "\r\n", "\n"), nil
}

// request is a runner that does what curl would.
func request(ctx context.Context, command string) (string, error) {
	p, err := parse(command)
	if err != nil {
		return "", err
	}
	head, body, err := p.curl.do(ctx)
	switch {
	case err != nil:
		return "", err
	case p.dump:
		return dump(body), nil
	}
	return head + string(body), nil
}

// verb is the method of the request.
func (c curl) verb() string {
	switch {
	case c.method != "":
		return c.method
	case c.head:
		return http.MethodHead
	case c.data != nil:
		return http.MethodPost
	}
	return http.MethodGet
}

// do sends the request; head is what -i shows.
func (c curl) do(ctx context.Context) (head string, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, c.verb(), c.url, bytes.NewReader(c.data))
	if err != nil {
		return "", nil, err
	}
	req.Header.Set("Accept", "*/*")
	if c.data != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, h := range c.headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := c.client().Do(req)
	if err != nil {
		return "", nil, err
	}
	defer resp.Body.Close()
	if c.include {
		head = statusLine(resp)
	} else if resp.StatusCode >= 300 {
		return "", nil, fmt.Errorf("%s: only an example that shows the status (-i) may fail", resp.Status)
	}
	body, err = io.ReadAll(resp.Body)
	return head, body, err
}

func (c curl) client() *http.Client {
	var protocols http.Protocols
	protocols.SetHTTP1(!c.http2)
	protocols.SetUnencryptedHTTP2(c.http2)
	return &http.Client{Transport: &http.Transport{Protocols: &protocols, DisableCompression: true, DisableKeepAlives: !c.http2,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: c.insecure}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }} // as curl
}

// statusLine is the head of an answer, without what says nothing about the API.
func statusLine(resp *http.Response) string {
	proto := strings.TrimSuffix(resp.Proto, ".0") // HTTP/2.0 is HTTP/2 in a status line
	status := resp.Status
	if proto == "HTTP/2" {
		status, _, _ = strings.Cut(status, " ")
	}
	lines := []string{proto + " " + status}
	var names []string
	for name := range resp.Header {
		if name != "Date" && name != "Content-Length" && name != "Connection" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		for _, v := range resp.Header[name] {
			lines = append(lines, strings.ToLower(name)+": "+v)
		}
	}
	return strings.Join(lines, "\n") + "\n\n"
}
