package deploy

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"gopkg.in/yaml.v3"

	"github.com/weirstream/weir/conf"
)

// eachFile visits the files below deploy, and those in the root that belong to them.
func eachFile(t *testing.T, visit func(path, text string)) {
	t.Helper()
	read := func(path string) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		visit(path, string(text))
	}
	for _, path := range []string{"../../Dockerfile", "../../.goreleaser.yaml"} {
		read(path)
	}
	err := filepath.WalkDir("../../deploy", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			read(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestSettingsExist: every WEIR_ variable that a file sets is one that the broker reads.
func TestSettingsExist(t *testing.T) {
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	conf.AddFlags(flags)
	known := map[string]bool{"WEIR_CONFIG": true, "WEIR_ROOT_TOKEN": true, "WEIR_ACCESS_TOKEN": true, "WEIR_PORT": true}
	flags.VisitAll(func(f *pflag.Flag) {
		known["WEIR_"+strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))] = true
	})
	found := 0
	eachFile(t, func(path, text string) {
		for _, name := range regexp.MustCompile(`\bWEIR_[A-Z_]*[A-Z]\b`).FindAllString(text, -1) {
			if found++; !known[name] {
				t.Errorf("%s names the variable %s, which weir does not read", path, name)
			}
		}
	})
	if found < 10 {
		t.Errorf("found only %d variables", found)
	}
}

// TestYAML: what is YAML can be read.
func TestYAML(t *testing.T) {
	eachFile(t, func(path, text string) {
		ext := filepath.Ext(path)
		if ext != ".yaml" && ext != ".yml" || strings.Contains(path, "/templates/") {
			return
		}
		for d := yaml.NewDecoder(strings.NewReader(text)); ; {
			var v any
			if err := d.Decode(&v); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Errorf("%s: %v", path, err)
				break
			}
		}
	})
}

// TestCompose: what the compose files mount is there or declared, and brokers take the settings that they give.
func TestCompose(t *testing.T) {
	for name, services := range map[string]int{"compose.yaml": 3, "compose.cluster.yaml": 3} {
		text, err := os.ReadFile("../../deploy/" + name)
		if err != nil {
			t.Fatal(err)
		}
		var compose struct {
			Services map[string]struct {
				Image       string
				Volumes     []string
				Secrets     []string
				Environment map[string]string
			}
			Volumes, Secrets map[string]any
		}
		if err := yaml.Unmarshal(text, &compose); err != nil {
			t.Fatal(err)
		}
		if len(compose.Services) != services {
			t.Errorf("%s has %d services", name, len(compose.Services))
		}
		for of, service := range compose.Services {
			for _, volume := range service.Volumes {
				source, _, _ := strings.Cut(volume, ":")
				if strings.HasPrefix(source, ".") {
					if _, err := os.Stat(filepath.Join("../../deploy", source)); err != nil {
						t.Errorf("%s mounts %s: %v", of, source, err)
					}
				} else if _, ok := compose.Volumes[source]; !ok {
					t.Errorf("%s mounts the volume %s, which is not declared", of, source)
				}
			}
			for _, secret := range service.Secrets {
				if _, ok := compose.Secrets[secret]; !ok {
					t.Errorf("%s has the secret %s, which is not declared", of, secret)
				}
			}
			if service.Image != "weir" {
				continue
			}
			environ := []string{"WEIR_STORE_DIR=/var/lib/weir"} // as the image sets it
			for key, value := range service.Environment {
				environ = append(environ, key+"="+value)
			}
			cfg, err := conf.Sources{Environ: environ}.Load()
			if err != nil {
				t.Errorf("%s: %s: a broker does not take these settings: %v", name, of, err)
			} else if cfg.Cluster.Enabled() && (len(cfg.Cluster.Nodes()) != services || !slices.Contains(cfg.Cluster.Nodes(), cfg.Cluster.Advertise)) {
				t.Errorf("%s: %s is none of the nodes %v", name, cfg.Cluster.Advertise, cfg.Cluster.Nodes())
			}
		}
	}
}

// TestUnitAndPackagesAgree: the unit, the packages and GoReleaser's packages install the same files.
func TestUnitAndPackagesAgree(t *testing.T) {
	targets := func(path string) map[string]bool {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]bool{}
		for _, m := range regexp.MustCompile(`dst: ([^,}\s]+)`).FindAllStringSubmatch(string(text), -1) {
			found[m[1]] = true
		}
		return found
	}
	nfpm, goreleaser := targets("../../deploy/package/nfpm.yaml"), targets("../../.goreleaser.yaml")
	delete(nfpm, "/usr/bin/weir") // GoReleaser's bindir
	if len(nfpm) < 5 {
		t.Errorf("nfpm.yaml has only %d files", len(nfpm))
	}
	for _, pair := range [][2]map[string]bool{{nfpm, goreleaser}, {goreleaser, nfpm}} {
		for dst := range pair[0] {
			if !pair[1][dst] {
				t.Errorf("%s is installed by one of nfpm.yaml and .goreleaser.yaml only", dst)
			}
		}
	}
}
