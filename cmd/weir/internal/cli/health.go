package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

const healthHelp = `Ask the broker on this machine whether it accepts requests: GET /health on its HTTP port. The address comes from
the settings of 'weir serve' (--config or WEIR_CONFIG, then WEIR_* variables), or from --url.

The exit code is 0 if the broker accepts requests, 1 if it answers that it does not, and 3 if nothing answers.
Container health checks and scripts can use it; no access token is needed.`

func (a *app) health() *cobra.Command {
	c := &cobra.Command{
		Use:   "health",
		Short: "Ask the broker on this machine whether it accepts requests",
		Long:  healthHelp,
		Example: `  weir health
  weir health --config /etc/weir/weir.conf
  weir health --url https://weir.example.com`,
		Args: atMost(0),
	}
	file := c.Flags().String("config", a.getenv("WEIR_CONFIG"), "configuration `file` of the broker ($WEIR_CONFIG)")
	url := c.Flags().String("url", "", "address of the broker's HTTP API, in place of the one in the settings")
	timeout := c.Flags().Duration("timeout", 3*time.Second, "how long to wait for the answer")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		probe, err := a.healthProbe(*file, *url)
		if err != nil {
			return &usageError{err}
		}
		a.ran = true
		ctx, cancel := context.WithTimeout(cmd.Context(), *timeout)
		defer cancel()
		text, err := probe.ask(ctx)
		if err != nil {
			return err
		}
		if a.json {
			return a.printf("{\"health\":%q}\n", text)
		}
		return a.printf("%s\n", text)
	}
	return c
}

// healthProbe is a request for /health.
type healthProbe struct {
	url string
	// anyCertificate is for a port of this machine, whose certificate is for other names.
	anyCertificate bool
}

func (a *app) healthProbe(file, url string) (healthProbe, error) {
	if url != "" {
		if !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://") {
			return healthProbe{}, fmt.Errorf("--url: %q begins with neither http:// nor https://", url)
		}
		return healthProbe{url: strings.TrimRight(url, "/") + "/health"}, nil
	}
	// Not validated as a whole: whether a store is configured does not matter here.
	cfg := conf.Default()
	if file != "" {
		if err := cfg.ApplyFile(file); err != nil {
			return healthProbe{}, err
		}
	}
	if err := cfg.ApplyEnv(a.env.Environ); err != nil {
		return healthProbe{}, err
	}
	if cfg.HTTP.Listen == "" || cfg.HTTP.Listen == conf.ListenNone {
		return healthProbe{}, errors.New("the settings open no HTTP port (http.listen): give --url, or ask over NATS with 'nats micro ping weir'")
	}
	host, port, err := net.SplitHostPort(cfg.HTTP.Listen)
	if err != nil {
		return healthProbe{}, fmt.Errorf("http.listen: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	scheme := "http"
	if cfg.HTTP.TLSCert != "" || cfg.HTTP.TLSSelf {
		scheme = "https"
	}
	return healthProbe{url: scheme + "://" + net.JoinHostPort(host, port) + "/health", anyCertificate: true}, nil
}

// ask returns the broker's text if it accepts requests.
func (p healthProbe) ask(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, http.NoBody)
	if err != nil {
		return "", &usageError{err}
	}
	transport := &http.Transport{
		Proxy:           http.ProxyFromEnvironment,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: p.anyCertificate}, //nolint:gosec // of this machine; the answer is no secret
	}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return "", protocol.Errorf(protocol.CodeUnavailable, "no broker answers: %v", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	if err != nil {
		return "", protocol.Errorf(protocol.CodeUnavailable, "no broker answers: %v", err)
	}
	text := strings.TrimSpace(string(body))
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the broker does not accept requests: %s (status %d)", text, res.StatusCode)
	}
	return text, nil
}
