package natsconn

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// startServer runs a NATS that only user "app" with password "s3cret" may use.
func startServer(t *testing.T) string {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, Username: "app", Password: "s3cret"})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(time.Minute) {
		t.Fatal("the server does not start")
	}
	return s.ClientURL()
}

// TestContexts: a named context, the selected one, a file, and what goes over them.
func TestContexts(t *testing.T) {
	url := startServer(t)
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	t.Setenv("HOME", dir)
	write := func(name, text string) string {
		path := filepath.Join(dir, "nats", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := write("context/good.json", `{"url":"`+url+`","user":"app","password":"s3cret"}`)
	write("context/other.json", `{"url":"nats://127.0.0.1:1"}`)
	nowhere := "nats://127.0.0.1:1"

	for _, tt := range []struct {
		name, selected string
		options        Options
		want           string // "" connects
	}{
		{"a named context", "", Options{Context: "good"}, ""},
		{"a context file", "", Options{Context: file}, ""},
		{"the selected context", "good", Options{}, ""},
		{"a named one over the selected", "other", Options{Context: "good"}, ""},
		{"flags over the context", "other", Options{Server: url, User: "app", Password: "s3cret"}, ""},
		{"no context", "good", Options{NoContext: true, Server: nowhere}, "cannot connect to NATS at " + nowhere},
		{"an address without a scheme", "good", Options{NoContext: true, Server: strings.TrimPrefix(nowhere, "nats://")}, "cannot connect to NATS at " + nowhere},
		{"a credentials file that is not there", "", Options{Server: url, Creds: "/nowhere/user.creds"}, "cannot be read (--creds,"},
		{"no such context", "", Options{Context: "missing"}, `NATS context "missing"`},
		{"a selected one that is gone", "missing", Options{}, "the selected NATS context: "},
		{"a wrong password", "", Options{Server: url, User: "app", Password: "no"}, "Authorization Violation"},
		{"a token that the server does not know", "", Options{Server: url, User: "token"}, "Authorization Violation"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			write("context.txt", tt.selected)
			tt.options.Timeout = time.Minute // only a hang fails
			nc, err := Connect(tt.options, func(string) {})
			if err == nil {
				nc.Close()
			}
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// TestConnectErrorHidesPasswords: and can be told from others.
func TestConnectErrorHidesPasswords(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	_, err = Connect(Options{Server: "nats://app:s3cret@" + addr + ",nats://t0ken@" + addr, NoContext: true, Timeout: time.Second}, func(string) {})
	var c *ConnectError
	if !errors.As(err, &c) || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "t0ken") || !strings.Contains(err.Error(), addr) {
		t.Error(err)
	}
}
