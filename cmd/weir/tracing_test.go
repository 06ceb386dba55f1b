package main

import (
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// receiver is a collector: it takes what exporters send, over HTTP or gRPC, and keeps it.
type receiver struct {
	collector.UnimplementedTraceServiceServer
	mu  sync.Mutex // guards got
	got []*traces.ResourceSpans
}

func (r *receiver) Export(_ context.Context, req *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, req.GetResourceSpans()...)
	return &collector.ExportTraceServiceResponse{}, nil
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body := io.Reader(req.Body)
	if req.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = unzipped
	}
	raw, err := io.ReadAll(body)
	var export collector.ExportTraceServiceRequest
	if err != nil || req.URL.Path != "/v1/traces" || req.Header.Get("Content-Type") != "application/x-protobuf" || proto.Unmarshal(raw, &export) != nil {
		http.Error(w, "no export of traces", http.StatusBadRequest)
		return
	}
	answer, err := r.Export(req.Context(), &export)
	if err == nil {
		raw, err = proto.Marshal(answer)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(raw)
}

// TestTracesReachACollector: with the standard variables alone, a broker's spans arrive over either protocol, and those of the
// last moment before it stops.
func TestTracesReachACollector(t *testing.T) {
	overHTTP, overGRPC := &receiver{}, &receiver{}
	web := httptest.NewServer(overHTTP)
	defer web.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	rpc := grpc.NewServer()
	collector.RegisterTraceServiceServer(rpc, overGRPC)
	served := make(chan error, 1)
	go func() { served <- rpc.Serve(ln) }()
	defer func() { rpc.Stop(); <-served }()

	for _, c := range []struct {
		name string
		to   *receiver
		env  []string
	}{
		{"http", overHTTP, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + web.URL, "OTEL_EXPORTER_OTLP_COMPRESSION=gzip"}},
		{"grpc", overGRPC, []string{"OTEL_TRACES_EXPORTER=otlp", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_ENDPOINT=http://" + ln.Addr().String()}},
	} {
		t.Run(c.name, func(t *testing.T) {
			home := t.TempDir()
			broker := command(t, home, "", "serve", "--http-listen", "none", "--memory", "--nats-listen", "127.0.0.1:0", "--lame-duck", "0")
			broker.Env = append(broker.Env, append(c.env, "OTEL_RESOURCE_ATTRIBUTES=deployment.environment=test")...)
			greeting, stop := serve(t, broker)
			url := addressIn(t, greeting, natsAddress)
			for _, args := range [][]string{{"create-basin", "demo-basin", "--create-stream-on-append"}, {"append", "s2://demo-basin/greetings"}} {
				run := command(t, home, url, args...)
				run.Stdin = strings.NewReader("a\n")
				if out, err := run.CombinedOutput(); err != nil {
					t.Fatalf("%v: %v: %s", args, err, out)
				}
			}
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			c.to.mu.Lock()
			defer c.to.mu.Unlock()
			names, resource := map[string]int{}, map[string]string{}
			for _, r := range c.to.got {
				for _, a := range r.GetResource().GetAttributes() {
					resource[a.GetKey()] = a.GetValue().GetStringValue()
				}
				for _, s := range r.GetScopeSpans() {
					for _, span := range s.GetSpans() {
						names[span.GetName()]++
						if len(span.GetTraceId()) != 16 || span.GetEndTimeUnixNano() < span.GetStartTimeUnixNano() {
							t.Errorf("a span is malformed: %v", span)
						}
					}
				}
			}
			for _, want := range []string{"basin-create-named", "catalog.write", "append", "append.queue", "append.publish", "append.store", "append.sync"} {
				if names[want] == 0 {
					t.Errorf("no span %s arrived: %v", want, names)
				}
			}
			if resource["service.name"] != "weir" || resource["deployment.environment"] != "test" || resource["service.version"] == "" {
				t.Errorf("the resource is %v", resource)
			}
		})
	}
}

// TestTracingSettingsAreChecked: a setting that weir does not have fails the start and says so.
func TestTracingSettingsAreChecked(t *testing.T) {
	for _, c := range []struct{ env, want string }{
		{"OTEL_TRACES_EXPORTER=zipkin", `OTEL_TRACES_EXPORTER is "zipkin": weir has otlp and none`},
		{"OTEL_EXPORTER_OTLP_PROTOCOL=http/json", `OTEL_EXPORTER_OTLP_PROTOCOL is "http/json": weir has http/protobuf and grpc`},
	} {
		run := command(t, t.TempDir(), "", "serve", "--memory", "--http-listen", "none")
		run.Env = append(run.Env, "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", c.env)
		if out, err := run.CombinedOutput(); err == nil || !strings.Contains(string(out), c.want) {
			t.Errorf("%s: %v: %s", c.env, err, out)
		}
	}
}
