package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weirstream/weir/conf"
)

const serveHelp = `Run a broker: durable streams over NATS and over S2's HTTP API, stored by an embedded NATS JetStream
server in a directory, or by a NATS that runs already (--external-url, --external-context).

Settings come from defaults, then the file of --config (or WEIR_CONFIG), then WEIR_* variables
(--nats-listen is WEIR_NATS_LISTEN), then flags. docs/configuration.md describes each.

SIGINT and SIGTERM stop the broker gracefully: requests are refused, sessions end with a reason that
makes clients come back, appends settle, clients get --lame-duck to move. A second signal stops at once.
SIGHUP reads again what NATS can reload (--nats-config-file, --cluster-tls-cert).

Traces go to an OpenTelemetry collector if OTEL_EXPORTER_OTLP_ENDPOINT, or OTEL_TRACES_EXPORTER=otlp, says
so; docs/tracing.md has the variables and the spans.`

// stopGrace is how long appends and sessions may take to settle beside the lame duck time.
const stopGrace = 30 * time.Second

func (a *app) serve() *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run a broker",
		Long:  serveHelp,
		Example: `  weir serve --store-dir ./data
  weir serve --store-dir ./data --nats-listen 127.0.0.1:4222 --durability group
  weir serve --config weir.conf
  weir serve --memory`,
		Args: atMost(0),
	}
	file := c.Flags().String("config", a.getenv("WEIR_CONFIG"), "configuration `file` ($WEIR_CONFIG)")
	printConfig := c.Flags().Bool("print-config", false, "print the configuration that would apply, and exit")
	conf.AddFlags(c.Flags())
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := loadConfig(*file, a.env.Environ, cmd.Flags())
		if err != nil {
			return err
		}
		a.ran = true
		if *printConfig {
			return a.printf("%s", cfg)
		}
		return a.runServe(cmd.Context(), cfg)
	}
	return c
}

func loadConfig(file string, environ []string, flags *pflag.FlagSet) (conf.Config, error) {
	return conf.Sources{File: file, Environ: environ, Flags: flags}.Load()
}

// newLogger writes to w as the configuration says.
func newLogger(w io.Writer, c conf.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		panic("cli: a validated configuration has log level " + c.Level) //nolint:forbidigo // a broken invariant
	}
	o := &slog.HandlerOptions{Level: level}
	if c.Format == conf.LogJSON {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

func (a *app) runServe(ctx context.Context, cfg conf.Config) error {
	signals, stopSignals := a.env.Signals(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stopSignals()
	log := newLogger(a.env.Stderr, cfg.Log)

	broker, err := a.startBroker(ctx, cfg, log, signals)
	if err != nil {
		return err
	}
	if err := a.greet(cfg, broker); err != nil {
		return errors.Join(err, a.stop(ctx, broker, cfg, signals))
	}
	for {
		select {
		case sig := <-signals:
			if sig == syscall.SIGHUP {
				reload(broker, log)
				continue
			}
			log.Info("stopping", "signal", sig.String())
			return a.stop(ctx, broker, cfg, signals)
		case err := <-broker.Done():
			if err == nil {
				err = errors.New("the broker stopped unexpectedly")
			}
			log.Error("the broker cannot go on", "err", err)
			return errors.Join(err, a.stop(ctx, broker, cfg, signals))
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), a.stop(ctx, broker, cfg, signals))
		}
	}
}

// startBroker starts the broker; a signal during a long recovery ends the start.
func (a *app) startBroker(ctx context.Context, cfg conf.Config, log *slog.Logger, signals <-chan os.Signal) (Broker, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	type started struct {
		broker Broker
		err    error
	}
	done := make(chan started, 1)
	go func() {
		b, err := a.env.Start(ctx, cfg, log, a.env.Version)
		done <- started{b, err}
	}()
	for {
		select {
		case s := <-done:
			return s.broker, s.err
		case sig := <-signals:
			if sig == syscall.SIGHUP {
				continue
			}
			cancel(errInterrupted)
			s := <-done
			if s.err == nil {
				// The start won the race.
				closeCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
				defer cancel()
				return nil, errors.Join(errInterrupted, s.broker.Close(closeCtx))
			}
			return nil, errInterrupted
		}
	}
}

func reload(b Broker, log *slog.Logger) {
	if err := b.Reload(); err != nil {
		log.Error("reload refused, the old settings stay", "err", err)
	}
}

// stop closes the broker within the lame duck time and the grace; another signal takes the patience away.
func (a *app) stop(ctx context.Context, b Broker, cfg conf.Config, signals <-chan os.Signal) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.LameDuck+stopGrace)
	defer cancel()
	closed := make(chan error, 1)
	go func() { closed <- b.Close(ctx) }()
	for {
		select {
		case err := <-closed:
			return err
		case sig := <-signals:
			if sig == syscall.SIGHUP {
				continue
			}
			cancel()
			err := <-closed
			if errors.Is(err, context.Canceled) {
				return errInterrupted
			}
			return err
		}
	}
}

// greet prints where the broker is and the next commands to type.
func (a *app) greet(cfg conf.Config, broker Broker) error {
	natsURL, httpURL := broker.ClientURL(), broker.HTTPURL()
	var b strings.Builder
	fmt.Fprintf(&b, "weir %s\n  store       %s\n  durability  %s\n", a.env.Version, storeText(cfg), durabilityText(cfg))
	fmt.Fprintf(&b, "  NATS        %s\n", cmp.Or(natsURL, "not listening; only this program can connect (--nats-listen opens a port)"))
	fmt.Fprintf(&b, "  HTTP        %s\n", cmp.Or(httpURL, "not listening (--http-listen opens a port)"))
	if httpURL != "" && cfg.HTTP.Dashboard {
		fmt.Fprintf(&b, "  console     %s/dashboard\n", httpURL)
	}
	if u := broker.DurableStreamsURL(); u != "" {
		fmt.Fprintf(&b, "  streams     %s/{stream}: Durable Streams, of basin %s\n", u, cfg.DurableStreams.Basin)
	}
	fmt.Fprintf(&b, "  access      %s\n", accessText(cfg))
	if cfg.Checked() {
		fmt.Fprintf(&b, "\nClients need an access token; with the root token, which may do everything:\n  export S2_ACCESS_TOKEN=%s\n", tokenText(cfg))
	}
	if natsURL != "" {
		a.greetNATS(&b, cfg, natsURL, broker.TokensLogIn())
	}
	if httpURL != "" {
		greetHTTP(&b, cfg, httpURL)
	}
	b.WriteString("\nCtrl-C stops the broker.\n")
	return a.printf("%s", b.String())
}

func accessText(cfg conf.Config) string {
	if cfg.Checked() {
		return "checked: every request needs an access token"
	}
	return "open: nothing is checked, every client that reaches these addresses may do everything (--root-token-file changes that)"
}

// tokenText is how a shell gets the root token. It never is the token.
func tokenText(cfg conf.Config) string {
	if cfg.RootTokenFile == "" {
		return "..."
	}
	path := cfg.RootTokenFile
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return `"$(cat '` + strings.ReplaceAll(path, "'", `'\''`) + `')"`
}

func (a *app) greetNATS(b *strings.Builder, cfg conf.Config, url string, tokensLogIn bool) {
	w, p := a.env.Name, cfg.SubjectPrefix
	prefix := ""
	if p != conf.Default().SubjectPrefix {
		prefix = "  export WEIR_SUBJECT_PREFIX=" + p + "\n"
	}
	req := "nats req"
	switch {
	case cfg.Checked() && tokensLogIn:
		req = `nats --user "$S2_ACCESS_TOKEN" req`
	case cfg.Checked(): // NATS has users of its own, or none.
		req = `nats req -H "S2-Access-Token:$S2_ACCESS_TOKEN"`
	}
	fmt.Fprintf(b, `
Try it from another terminal:
  export NATS_URL=%[1]s
%[4]s  %[2]s create-basin demo-basin --create-stream-on-append
  printf 'a\nb\nc\n' | %[2]s append s2://demo-basin/greetings
  %[2]s read s2://demo-basin/greetings --seq-num 0 --count 3
  %[2]s tail s2://demo-basin/greetings --follow

The same with the nats CLI:
  %[5]s %[3]s.v1.append.demo-basin.greetings 'hello' -H 'lang:en'
  %[5]s %[3]s.v1.read.demo-basin.greetings '{"seq_num":0,"count":10}'
  %[5]s %[3]s.v1.tail.demo-basin.greetings ''
`, url, w, p, prefix, req)
}

// greetHTTP prints the settings with which S2's own SDKs and CLI find this broker. They do not start without a token; any
// token will do where nothing is checked.
func greetHTTP(b *strings.Builder, cfg conf.Config, url string) {
	fmt.Fprintf(b, `
For S2's SDKs and the s2 CLI:
  export S2_ACCOUNT_ENDPOINT=%[1]s
  export S2_BASIN_ENDPOINT=%[1]s
`, url)
	if !cfg.Checked() {
		b.WriteString("  export S2_ACCESS_TOKEN=ignored\n")
	}
	if cfg.HTTP.TLSSelf {
		// The hint of s2-lite. Its own command takes nothing but true and false there.
		b.WriteString("  export S2_SSL_NO_VERIFY=1\n  # s2 0.43 refuses that 1 and wants: export S2_SSL_NO_VERIFY=true\n")
	}
}

func storeText(cfg conf.Config) string {
	switch {
	case cfg.Memory:
		return "memory: everything is lost at the end"
	case cfg.External.Enabled():
		return "an external NATS"
	}
	if dir, err := filepath.Abs(cfg.StoreDir); err == nil {
		return dir
	}
	return cfg.StoreDir
}

func durabilityText(cfg conf.Config) string {
	class := cfg.DurabilityClass()
	switch {
	case cfg.Memory:
		return "none"
	case cfg.External.Enabled():
		return fmt.Sprintf("%s: as durable as the external NATS", class)
	case class == conf.DurabilityInterval:
		return fmt.Sprintf("%s: a power cut can lose acknowledged records of the last %s", class, conf.FormatDuration(cfg.SyncInterval))
	}
	return fmt.Sprintf("%s: acknowledged writes are on disk", class)
}
