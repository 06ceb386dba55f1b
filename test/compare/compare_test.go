// Package compare replays the rows of docs/compatibility.md: against weir, which must answer as the page says, and with
// WEIR_COMPARE_S2 (make compare S2=/path/to/s2) against an s2-lite that the caller has, to print where the two differ.
package compare

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/test/freeport"
)

// do makes a request and returns the status and the body.
func do(t *testing.T, base, basin string, r request) (int, string) {
	t.Helper()
	fill := func(s string) string { return strings.ReplaceAll(s, "BASIN", basin) }
	target := base + fill(r.path)
	if r.opaque {
		target = base
	}
	req, err := http.NewRequestWithContext(t.Context(), r.method, target, strings.NewReader(fill(r.body)))
	if err != nil {
		t.Fatal(err)
	}
	if r.opaque {
		req.URL.Opaque = r.path
	}
	req.Header.Set("S2-Basin", basin)
	if r.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range r.head {
		name, value, _ := strings.Cut(fill(h), ": ")
		req.Header.Set(name, value)
	}
	hc := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := hc.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// replay calls check with the answer to each step of every row.
func replay(t *testing.T, base string, check func(t *testing.T, r request, status int, body string)) {
	for i, row := range rows {
		t.Run(row.page, func(t *testing.T) {
			basin := fmt.Sprintf("compare-%d-%d", time.Now().UnixMilli()%1e9, i)
			for _, setup := range []request{send("POST", "/v1/basins", `{"basin":"BASIN"}`, 201, ""), send("PUT", stream, "{}", 201, "")} {
				if status, body := do(t, base, basin, setup); status != setup.status {
					t.Fatalf("%s %s: %d %s", setup.method, setup.path, status, body)
				}
			}
			for _, r := range row.steps {
				status, body := do(t, base, basin, r)
				r.says = strings.ReplaceAll(r.says, "BASIN", basin)
				check(t, r, status, body)
			}
		})
	}
}

// codeOf is the code in the body of a failure; "" if there is none that the protocol has.
func codeOf(body string) string {
	var failure struct {
		Code protocol.Code `json:"code"`
	}
	if json.Unmarshal([]byte(body), &failure) != nil || !failure.Code.Known() {
		return ""
	}
	return string(failure.Code)
}

func TestWeirAnswersAsThePageSays(t *testing.T) {
	cfg := conf.Default().WithMemory()
	cfg.HTTP.Listen = "127.0.0.1:0"
	b, err := broker.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close(context.Background()) }()
	replay(t, b.HTTPURL(), func(t *testing.T, r request, status int, body string) {
		if status != r.status || !strings.Contains(body, r.says) {
			t.Errorf("%s %s: got %d %.300q, want %d and %q", r.method, r.path, status, body, r.status, r.says)
		}
	})
}

// TestEveryRowIsReplayed: each row of the page's tables of endpoints, request headers and values is in the table here.
func TestEveryRowIsReplayed(t *testing.T) {
	page, err := os.ReadFile("../../docs/compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	held := map[string]bool{}
	for _, row := range rows {
		held[row.page] = true
	}
	cell := regexp.MustCompile(`^\| (.*?) \| `)
	section, met := "", map[string]bool{}
	for line := range strings.Lines(string(page)) {
		if name, ok := strings.CutPrefix(line, "## "); ok {
			section = strings.TrimSpace(name)
		}
		if section != "Endpoints" && section != "Request headers" && section != "Values" {
			continue
		}
		m := cell.FindStringSubmatch(line)
		if m == nil || m[1] == "---" || m[1] == "endpoint" || m[1] == "header" || m[1] == "what" {
			continue
		}
		met[m[1]] = true
		if !held[m[1]] && elsewhere[m[1]] == "" {
			t.Errorf("the row %q of the page is replayed by nothing", m[1])
		}
	}
	for page := range held {
		if !met[page] {
			t.Errorf("the page has no row %q", page)
		}
	}
	for page := range elsewhere {
		if !met[page] {
			t.Errorf("the page has no row %q, which other tests are said to hold", page)
		}
	}
}

// TestCompareWithS2Lite prints where s2-lite differs from what the table says of it. It runs only with WEIR_COMPARE_S2.
func TestCompareWithS2Lite(t *testing.T) {
	bin := os.Getenv("WEIR_COMPARE_S2")
	if bin == "" {
		t.Skip("WEIR_COMPARE_S2 names no s2 command")
	}
	free, err := freeport.Ports(1)
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(free[0])
	ctx, cancel := context.WithCancel(t.Context())
	lite := exec.CommandContext(ctx, bin, "lite", "--port", port)
	if err := lite.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cancel(); _ = lite.Wait() }()
	base := "http://127.0.0.1:" + port
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		if resp, err := http.Get(base + "/health"); err == nil {
			resp.Body.Close()
			break
		}
		if time.Since(began) > 30*time.Second {
			t.Fatal("s2 lite does not answer on /health")
		}
	}
	replay(t, base, func(t *testing.T, r request, status int, body string) {
		want := r.status
		if r.lite != 0 {
			want = r.lite
		}
		wantCode := r.liteCode
		if r.lite == 0 {
			wantCode = codeOf(`{"code":"` + r.says + `"}`)
		}
		// An empty body, which stands in for a code, is told in the page once for all.
		if status != want || wantCode != "" && body != "" && codeOf(body) != wantCode {
			t.Errorf("%s %s: s2-lite answers %d %.200q; the page says %d %s", r.method, r.path, status, body, want, wantCode)
		}
	})
}
