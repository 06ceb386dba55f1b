package test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// Every read is a use of a stream with a Stream-TTL, also one at the end that gets nothing; a look at its head is none.
func TestDurableStreamsReadsAreUses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := broker.Start(t.Context(), conf.Default().WithMemory())
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := b.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}()
		if _, _, err := b.Service().CreateBasin(t.Context(), protocol.CreateBasinRequest{Basin: durableBasin}); err != nil {
			t.Fatal(err)
		}
		ask := func(method, path, body string, head ...string) int {
			req := httptest.NewRequestWithContext(t.Context(), method, "http://127.0.0.1/ds/demo-basin/"+path, strings.NewReader(body))
			for i := 0; i < len(head); i += 2 {
				req.Header.Set(head[i], head[i+1])
			}
			answer := httptest.NewRecorder()
			b.HTTPHandler().ServeHTTP(answer, req)
			return answer.Code
		}
		const tail = "00000000000000000001"
		reads := map[string]string{"now": "?offset=now", "tail": "?offset=" + tail, "begin": "?offset=-1"}
		for name := range reads {
			if got := ask("PUT", name, "x", "Stream-TTL", "600"); got != http.StatusCreated {
				t.Fatal(name, got)
			}
		}
		if got := ask("PUT", "ended", "x", "Stream-TTL", "600", "Stream-Closed", "true"); got != http.StatusCreated {
			t.Fatal(got)
		}
		reads["ended"] = "?offset=" + tail + "&live=long-poll"
		if got := ask("PUT", "unread", "x", "Stream-TTL", "600"); got != http.StatusCreated {
			t.Fatal(got)
		}
		for range 4 {
			time.Sleep(400 * time.Second)
			for name, query := range reads {
				if got := ask("GET", name+query, ""); got != http.StatusOK && got != http.StatusNoContent {
					t.Errorf("a read of %s: %d", name, got)
				}
			}
			ask("HEAD", "unread", "")
		}
		if got := ask("GET", "unread?offset=-1", ""); got != http.StatusNotFound {
			t.Errorf("a stream that was not read: %d", got)
		}
	})
}
