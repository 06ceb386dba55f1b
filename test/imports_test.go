package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/weirstream/weir/"

// Libraries that only some packages may know, by the beginning of their import path.
const (
	jetStream  = "github.com/nats-io/nats.go/jetstream"
	natsClient = "github.com/nats-io/nats.go"
	natsServer = "github.com/nats-io/nats-server/v2/server"
	cobra      = "github.com/spf13/cobra"
	prometheus = "github.com/prometheus/client_golang"
	otel       = "go.opentelemetry.io/otel"
	otelSDK    = "go.opentelemetry.io/otel/sdk"
	otlp       = "go.opentelemetry.io/otel/exporters"
)

// wall is one line of the table: pkg and everything below it may not import what the line names, for the reason that it
// gives. Paths of this module are from its root; a path stands for everything below it as well. A package of the table that is
// gone fails the test, and so does a package that no line is about. CONTRIBUTING.md draws the same as a picture.
type wall struct {
	pkg      string
	never    []string // not even through other packages
	directly []string // not in files of its own
	why      string
}

var walls = []wall{
	{
		pkg:      "protocol",
		never:    []string{"adapter", "backup", "broker", "client", "cmd", "conf", "sessions", "test", natsClient, natsServer, prometheus, cobra, otel},
		directly: []string{"os"},
		why:      "it holds the nouns and contracts: everything else imports it, and it has no I/O",
	},
	{
		pkg:      "sessions",
		never:    []string{"adapter", "backup", "broker", "client", "cmd", "conf", "test", natsClient, natsServer, otel},
		directly: []string{"net/http"},
		why:      "it states in an interface what it reads and appends through, and knows no wire and no storage",
	},
	{
		pkg:      "adapter",
		never:    []string{"sessions", "backup", "broker", "client", "cmd", "conf", "test", natsServer, prometheus, otel},
		directly: []string{"net/http"},
		why:      "it gives JetStream the semantics through a connection alone; what configures, runs and serves it stands above",
	},
	{
		pkg:   "client",
		never: []string{"adapter", "backup", "broker", "cmd", "conf", "sessions", "test", natsServer, jetStream, prometheus, otelSDK, otlp},
		why:   "a program that only talks to a broker links no broker",
	},
	{
		pkg:   "conf",
		never: []string{"adapter", "backup", "broker", "client", "cmd", "sessions", "test", natsClient},
		why:   "it reads and validates a configuration, and starts nothing",
	},
	{
		pkg:   "broker",
		never: []string{"backup", "client", "cmd", "test", cobra, otelSDK, otlp},
		why:   "an embedding program gets no command line, no client, and exports traces itself",
	},
	{
		pkg:      "broker/internal/access",
		never:    []string{"adapter", "sessions", natsClient, natsServer},
		directly: []string{"net/http"},
		why:      "the rules of access depend on no door and no storage",
	},
	{
		pkg:      "broker/internal/door",
		never:    []string{"adapter", "sessions", natsClient, natsServer},
		directly: []string{"net/http"},
		why:      "what the doors share belongs to none of them",
	},
	{
		pkg:   "broker/internal/httpapi",
		never: []string{"adapter", "sessions", "broker/internal/natsapi", "broker/internal/access", natsClient, natsServer},
		why:   "a door serves any protocol.Service: it decodes, calls and encodes",
	},
	{
		pkg:   "broker/internal/dsapi",
		never: []string{"adapter", "sessions", "broker/internal/httpapi", "broker/internal/natsapi", "broker/internal/access", natsClient, natsServer},
		why:   "a door serves any protocol.Service: it decodes, calls and encodes",
	},
	{
		pkg:   "broker/internal/natsapi",
		never: []string{"adapter", "sessions", "broker/internal/httpapi", "broker/internal/access", jetStream, natsServer},
		why:   "a door serves any protocol.Service: it decodes, calls and encodes",
	},
	{
		pkg:      "broker/internal/metering",
		never:    []string{"broker/internal/httpapi", "broker/internal/natsapi", natsServer},
		directly: []string{"net/http"},
		why:      "counting wraps the service, and the streams below it, and knows no door",
	},
	{
		pkg:      "broker/internal/tap",
		never:    []string{"adapter", "sessions", "broker/internal/httpapi", "broker/internal/natsapi", "broker/internal/access", jetStream, natsServer},
		directly: []string{"net/http"},
		why:      "it publishes what it is told, and is told who may hear it",
	},
	{
		pkg:   "broker/internal/tracing",
		never: []string{"adapter", "sessions", "broker/internal/httpapi", "broker/internal/natsapi", natsClient, natsServer},
		why:   "tracing wraps any service, and knows no door and no storage",
	},
	{
		pkg:   "broker/internal/metric",
		never: []string{"protocol", "adapter", "sessions", natsClient, natsServer},
		why:   "the table of metrics holds words and numbers",
	},
	{
		pkg:      "cmd",
		never:    []string{"test"},
		directly: []string{"adapter", "sessions", natsServer, jetStream},
		why:      "the command is made of the public packages, as an embedding program is",
	},
	{
		pkg:   "backup",
		never: []string{"adapter", "broker", "client", "cmd", "conf", "sessions", "test", natsClient, natsServer, cobra},
		why:   "it copies through protocol.BackupService, whatever serves that",
	},
	{
		pkg:   "internal/phases",
		never: []string{"adapter", "backup", "broker", "client", "cmd", "conf", "protocol", "sessions", "test"},
		why:   "the storage and the sessions share it with tracing, which neither knows",
	},
	{
		pkg:      "internal/strictjson",
		never:    []string{"protocol", "adapter", "backup", "broker", "client", "cmd", "conf", "sessions", "test", natsClient, natsServer, cobra},
		directly: []string{"os"},
		why:      "protocol reads JSON with it, and the files of resources are read with it: it knows JSON alone",
	},
	{
		pkg:   "internal/declare",
		never: []string{"adapter", "backup", "broker", "client", "cmd", "conf", "sessions", "test", natsClient, natsServer, cobra},
		why:   "the command and the broker share it, and it works on any protocol.Service",
	},
	{
		pkg:   "internal/httpclient",
		never: []string{"adapter", "backup", "broker", "client", "cmd", "conf", "sessions", "test", natsClient, natsServer, cobra},
		why:   "it speaks HTTP by the specification alone, and shares no code with the door",
	},
	{
		pkg:   "docs/upstream",
		never: []string{"adapter", "backup", "broker", "client", "cmd", "conf", "protocol", "sessions", "test"},
		why:   "it shows others what their server does, with nothing of ours",
	},
	{
		pkg:      "examples",
		never:    []string{"test", "cmd"},
		directly: []string{"adapter", "sessions"},
		why:      "they are what a program outside can be",
	},
	{pkg: "test", why: "tests may import everything; nothing imports them, as the other lines say"},
}

// TestImports holds the table against the packages, without their tests.
func TestImports(t *testing.T) {
	packages := listPackages(t)
	for _, w := range walls {
		found := false
		for name, p := range packages {
			if !within(name, w.pkg) {
				continue
			}
			found = true
			for _, dep := range p.Imports {
				if w.forbids(dep, w.directly) {
					t.Errorf("%s imports %s and may not: %s", name, dep, w.why)
				}
			}
			for _, dep := range p.Deps {
				if w.forbids(dep, w.never) {
					t.Errorf("%s imports %s, itself or through others, and may not: %s", name, dep, w.why)
				}
			}
		}
		if !found {
			t.Errorf("the table names %s, and there is no such package", w.pkg)
		}
	}
	for name := range packages {
		if !slices.ContainsFunc(walls, func(w wall) bool { return within(name, w.pkg) }) {
			t.Errorf("no line of the table is about %s", name)
		}
	}
}

func (w wall) forbids(dep string, paths []string) bool {
	return !within(dep, w.pkg) && slices.ContainsFunc(paths, func(path string) bool { return within(dep, path) })
}

// within says whether a package is the other or below it.
func within(pkg, other string) bool { return pkg == other || strings.HasPrefix(pkg, other+"/") }

type listed struct {
	ImportPath    string
	Imports, Deps []string
}

// listPackages asks the go command for the packages of the module, by their paths from its root; so are the paths in them.
func listPackages(t *testing.T) map[string]listed {
	t.Helper()
	command := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", "./...")
	command.Dir = ".."
	out, err := command.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("go list: %v: %s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	packages := map[string]listed{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		for _, paths := range [][]string{p.Imports, p.Deps} {
			for i, path := range paths {
				paths[i] = strings.TrimPrefix(path, module)
			}
		}
		packages[strings.TrimPrefix(p.ImportPath, module)] = p
	}
	if len(packages) < 15 {
		t.Fatalf("go list shows only %d packages of %s", len(packages), module)
	}
	return packages
}
