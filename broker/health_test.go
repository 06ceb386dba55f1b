package broker_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/test/storedir"
)

// TestHealthAsksForTheCatalog: somebody deletes the catalog on the NATS that the broker uses.
func TestHealthAsksForTheCatalog(t *testing.T) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: storedir.New(t), MaxPayload: 8 << 20, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	defer func() { s.Shutdown(); s.WaitForShutdown() }()
	if !s.ReadyForConnections(time.Minute) {
		t.Fatal("the server is not ready")
	}
	c := conf.Default()
	c.HTTP.Listen = ""
	c.External.URL = s.ClientURL()
	b := start(t, c)
	defer closeBroker(t, b)
	ensureBasin(t, b.Service())
	probe := func() (int, string) {
		w := httptest.NewRecorder()
		b.HTTPHandler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "http://localhost/health", nil))
		return w.Code, w.Body.String()
	}
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) { // a broker on an external NATS has no lease yet
		status, text := probe()
		if status == 200 {
			break
		}
		if time.Since(began) > 2*time.Minute {
			t.Fatalf("%d %q", status, text)
		}
	}
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := nc.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(layout.Catalog(c.SubjectPrefix)); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) { // an answer counts for a second
		status, text := probe()
		if status == 503 && strings.Contains(text, "catalog") {
			return
		}
		if time.Since(began) > 2*time.Minute {
			t.Fatalf("without a catalog: %d %q", status, text)
		}
	}
}
