package cli

import (
	"encoding/json"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// version is set by builds outside a checkout: -ldflags "-X .../cli.version=1.2.3". Else the toolchain records the tag.
var version string

// BuildFacts say how the binary was built. Empty ones are not known.
type BuildFacts struct {
	Commit     string `json:"commit,omitempty"` // of the checkout, with "+dirty" if it had changes
	Time       string `json:"time,omitempty"`   // of the commit
	Go         string `json:"go,omitempty"`
	Platform   string `json:"platform,omitempty"` // linux/amd64
	NATSServer string `json:"nats_server,omitempty"`
}

// buildVersion is the version of the module as the build or the toolchain recorded it, a semantic version.
func buildVersion() string {
	if version != "" {
		return strings.TrimPrefix(version, "v")
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "0.0.0-dev"
	}
	return strings.TrimPrefix(info.Main.Version, "v")
}

func buildFacts() BuildFacts {
	facts := BuildFacts{Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return facts
	}
	dirty := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			facts.Commit = s.Value
		case "vcs.time":
			facts.Time = s.Value
		case "vcs.modified":
			dirty = s.Value == "true"
		}
	}
	if dirty && facts.Commit != "" {
		facts.Commit += "+dirty"
	}
	for _, dep := range info.Deps {
		if dep.Path == "github.com/nats-io/nats-server/v2" {
			facts.NATSServer = strings.TrimPrefix(dep.Version, "v")
		}
	}
	return facts
}

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, the commit and the versions of Go and nats-server",
		Args:  atMost(0),
		RunE: func(*cobra.Command, []string) error {
			a.ran = true
			if a.json {
				out := struct {
					Version string `json:"version"`
					BuildFacts
				}{a.env.Version, a.env.Build}
				return json.NewEncoder(a.env.Stdout).Encode(out)
			}
			if err := a.printf("weir %s\n", a.env.Version); err != nil {
				return err
			}
			b := a.env.Build
			for _, r := range []row{{"commit", strings.TrimSpace(b.Commit + " " + b.Time)}, {"go", b.Go}, {"platform", b.Platform}, {"nats-server", b.NATSServer}} {
				if r.value == "" {
					continue
				}
				if err := a.printf("  %-12s %s\n", r.name, r.value); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
