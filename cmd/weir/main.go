// Command weir runs a broker of durable streams on NATS JetStream and talks to one. See docs/cli.md.
package main

import (
	"context"
	"log/slog"
	"net/http"
	"os"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/cmd/weir/internal/cli"
	"github.com/weirstream/weir/cmd/weir/internal/natsconn"
	"github.com/weirstream/weir/cmd/weir/internal/telemetry"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/internal/httpclient"
	"github.com/weirstream/weir/protocol"
)

func main() {
	env := cli.System()
	env.Dial, env.Start, env.Repair, env.InspectStore = dial, start, repair, inspectStore
	os.Exit(cli.Main(context.Background(), env, os.Args[1:]))
}

// dial connects to NATS and speaks to the broker behind it, or to one over HTTP.
func dial(_ context.Context, o cli.DialOptions) (protocol.Service, func(), error) {
	if o.HTTP != "" {
		web := &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 1024}}
		return httpclient.New(o.HTTP, web, httpclient.Token(o.AccessToken)), web.CloseIdleConnections, nil
	}
	refusals := client.NewRefusals(nil)
	o.OnError = refusals.HandleError
	nc, err := natsconn.Connect(o.Options, o.Notify)
	if err != nil {
		return nil, nil, err
	}
	return client.New(nc, client.Options{
		Prefix: o.SubjectPrefix, Timeout: o.Timeout, ResumeFor: o.ResumeFor, AccessToken: o.AccessToken, Refusals: refusals,
	}), nc.Close, nil
}

func repair(dir, prefix string, mend bool) (cli.Repaired, error) {
	mode := broker.RepairLook
	if mend {
		mode = broker.RepairMend
	}
	r, err := broker.Repair(dir, prefix, mode)
	return cli.Repaired{Safe: r.Safe, Lost: r.Lost}, err
}

func inspectStore(dir, prefix string, deep bool) (cli.StoreState, error) {
	s, err := broker.InspectStore(dir, prefix, deep)
	return cli.StoreState(s), err
}

func start(ctx context.Context, cfg conf.Config, log *slog.Logger, version string) (cli.Broker, error) {
	opts := []broker.Option{broker.WithLogger(log), broker.WithVersion(version), broker.WithOwnProcess()}
	traces, err := telemetry.Start(ctx, version, log, os.Getenv)
	if err != nil {
		return nil, err
	}
	if traces != nil {
		opts = append(opts, broker.WithTracerProvider(traces))
	}
	b, err := broker.Start(ctx, cfg, opts...)
	if err != nil {
		traces.Close(ctx)
		return nil, err
	}
	return traced{b, traces}, nil
}

// traced is a broker with the exporter of its spans, which ends after it.
type traced struct {
	*broker.Broker
	traces *telemetry.Provider
}

func (t traced) Close(ctx context.Context) error {
	defer t.traces.Close(ctx)
	return t.Broker.Close(ctx)
}
