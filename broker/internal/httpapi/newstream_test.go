package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/weirstream/weir/protocol"
)

// S2's clients since 0.42 send the configuration for a stream that an append or read may create.
func TestNewStreamConfigHeader(t *testing.T) {
	b := startBroker(t)
	srv := httptest.NewServer(b.HTTPHandler())
	defer srv.Close()
	post := func(stream, config string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+"/v1/streams/"+stream+"/records",
			strings.NewReader(`{"records":[{"body":"x"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("s2-basin", "test-basin")
		req.Header.Set("content-type", "application/json")
		req.Header.Set("s2-stream-config", config)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	config := func(stream protocol.StreamName) protocol.ResolvedStreamConfig {
		t.Helper()
		c, err := b.Service().GetStreamConfig(t.Context(), protocol.StreamRef{Basin: "test-basin", Stream: stream})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if got := post("a", `{"storage_class":"standard","retention_policy":{"age":172800}}`); got != 200 {
		t.Fatalf("append with a configuration: %d", got)
	}
	if c := config("a"); c.StorageClass != protocol.StorageStandard || c.RetentionPolicy.AgeSecs != 172800 {
		t.Fatalf("the new stream has %+v", c)
	}
	if got := post("a", `{"storage_class":"express"}`); got != 200 || config("a").StorageClass != protocol.StorageStandard {
		t.Fatalf("a stream that exists: %d, %+v", got, config("a"))
	}
	if got := post("b", ""); got != 200 || config("b") != protocol.DefaultStreamConfig {
		t.Fatalf("an empty configuration: %d, %+v", got, config("b"))
	}
	for _, bad := range []string{"junk", `{"retention_policy":{"age":0}}`, `{"storage_class":7}`} {
		if got := post("a", bad); got != 400 {
			t.Errorf("%s: %d", bad, got)
		}
	}
}
