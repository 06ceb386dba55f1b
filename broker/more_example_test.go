package broker_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"
	"os"
	"strings"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// S2's HTTP API as a handler of a server that the program has already.
func ExampleBroker_HTTPHandler() {
	ctx := context.Background()
	b, err := broker.Start(ctx, conf.Default().WithMemory())
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close(ctx)
	w := httptest.NewRecorder()
	b.HTTPHandler().ServeHTTP(w, httptest.NewRequest("PUT", "http://localhost/v1/basins/demo-basin", strings.NewReader("{}")))
	fmt.Println(w.Code)
	// Output: 201
}

// With a root token each caller is who its access token says.
func ExampleBroker_Authenticate() {
	ctx := context.Background()
	cfg := conf.Default().WithMemory()
	cfg.RootToken = "of-visible-ASCII-and-hard-to-guess"
	b, err := broker.Start(ctx, cfg)
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close(ctx)
	secret, err := b.Service().IssueAccessToken(ctx, protocol.IssueAccessTokenRequest{
		ID: "reader", Scope: protocol.AccessTokenScope{
			Basins: protocol.ResourceSet{Kind: protocol.MatchPrefix}, // of any name
			Ops:    protocol.Operations(protocol.OpListBasins),
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	reader, err := b.Authenticate(secret)
	if err != nil {
		log.Fatal(err)
	}
	_, err = reader.ListBasins(ctx, protocol.ListRequest{})
	fmt.Println(err)
	fmt.Println(protocol.CodeOf(reader.DeleteBasin(ctx, "demo-basin")))
	_, err = b.Authenticate("nobody's token")
	fmt.Println(protocol.CodeOf(err))
	// Output:
	// <nil>
	// permission_denied
	// authn
}

// The program's own provider of OpenTelemetry gets the broker's spans.
func ExampleWithTracerProvider() {
	ctx := context.Background()
	recorder := tracetest.NewSpanRecorder() // in the place of an exporter
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	b, err := broker.Start(ctx, conf.Default().WithMemory(), broker.WithTracerProvider(provider))
	if err != nil {
		log.Fatal(err)
	}
	if _, err := b.Service().ListBasins(ctx, protocol.ListRequest{}); err != nil {
		log.Fatal(err)
	}
	for _, span := range recorder.Ended() {
		fmt.Println(span.Name())
	}
	if err := b.Close(ctx); err != nil { // before the provider
		log.Print(err)
	}
	_ = provider.Shutdown(ctx)
	// Output: list_basins
}

// What a start would find in a store.
func ExampleInspectStore() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "weir-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	cfg := conf.Default().WithStoreDir(dir)
	cfg.NATS.Listen, cfg.HTTP.Listen = "", ""
	b, err := broker.Start(ctx, cfg)
	if err != nil {
		log.Fatal(err)
	}
	state, err := broker.InspectStore(dir, "s2", false)
	fmt.Println("refused while it runs:", len(state.Refuses) > 0, err)
	if err := b.Close(ctx); err != nil {
		log.Fatal(err)
	}
	state, err = broker.InspectStore(dir, "s2", true)
	fmt.Println("refused:", state.Refuses, "lost:", state.Lost, err)
	// Output:
	// refused while it runs: true <nil>
	// refused: [] lost: [] <nil>
}
