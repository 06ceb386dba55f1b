package deploy

import (
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/weirstream/weir/conf"
)

var update = flag.Bool("update", false, "write what the chart renders into testdata")

const chart = "../../deploy/helm/weir"

// TestChart renders the chart with each set of values in testdata/helm and compares with what it rendered before. Read the
// difference before you run it with -update.
func TestChart(t *testing.T) {
	helm := program(t, "helm")
	sets, err := filepath.Glob("testdata/helm/*.values.yaml")
	if err != nil || len(sets) < 2 {
		t.Fatal(sets, err)
	}
	for _, values := range sets {
		name := strings.TrimSuffix(filepath.Base(values), ".values.yaml")
		t.Run(name, func(t *testing.T) {
			if out, err := exec.CommandContext(t.Context(), helm, "lint", "--strict", chart, "--values", values).CombinedOutput(); err != nil {
				t.Errorf("helm lint: %v\n%s", err, out)
			}
			out, err := exec.CommandContext(t.Context(), helm, "template", "demo", chart, "--kube-version", "1.31.0", "--namespace", "streams", "--values", values).CombinedOutput()
			if err != nil {
				t.Fatalf("helm template: %v\n%s", err, out)
			}
			got := regexp.MustCompile(`(?m)^  (token|secret): [A-Za-z0-9+/=]+$`).ReplaceAllString(string(out), "  $1: RANDOM")
			golden := strings.TrimSuffix(values, ".values.yaml") + ".golden.yaml"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("the chart renders otherwise than %s:\n%s", golden, got)
			}
			nodes := 1
			if name == "cluster" {
				nodes = 3
			}
			checkResources(t, got, nodes)
			conforms(t, got)
		})
	}
}

// conforms holds what the chart renders against the schemas of Kubernetes, and sees that a field that a kind does not have would show.
func conforms(t *testing.T, rendered string) {
	t.Helper()
	kubeconform := program(t, "kubeconform")
	check := func(text string) ([]byte, error) {
		c := exec.CommandContext(t.Context(), kubeconform, "-strict", "-summary", "-schema-location", "../../bin/kube-schemas/{{.ResourceKind}}{{.KindSuffix}}.json")
		c.Stdin = strings.NewReader(text)
		return c.CombinedOutput()
	}
	if out, err := check(rendered); err != nil {
		t.Errorf("kubeconform: %v\n%s", err, out)
	}
	wrong := strings.Replace(rendered, "  replicas:", "  replica:", 1)
	if out, err := check(wrong); err == nil || !strings.Contains(string(out), "replica") {
		t.Errorf("kubeconform takes a field that does not exist: %v\n%s", err, out)
	}
}

// TestChartRefuses other numbers of brokers.
func TestChartRefuses(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), program(t, "helm"), "template", "demo", chart, "--kube-version", "1.31.0", "--set", "replicas=2").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "replicas is 2: it may be 1 or 3") {
		t.Errorf("two replicas: %v\n%s", err, out)
	}
}

// checkResources looks at what the golden files must have in common.
func checkResources(t *testing.T, rendered string, nodes int) {
	t.Helper()
	kinds := map[string]int{}
	for d := yaml.NewDecoder(strings.NewReader(rendered)); ; {
		var resource struct {
			Kind     string
			Metadata struct {
				Name   string
				Labels map[string]string
			}
			Spec struct {
				Replicas int
				Template struct {
					Spec struct {
						Containers []struct {
							Env []struct{ Name, Value string }
						}
					}
				}
			}
		}
		if err := d.Decode(&resource); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if resource.Kind == "" {
			continue
		}
		kinds[resource.Kind]++
		if resource.Metadata.Labels["app.kubernetes.io/instance"] != "demo" {
			t.Errorf("%s %s has no label of its release", resource.Kind, resource.Metadata.Name)
		}
		if resource.Kind != "StatefulSet" {
			continue
		}
		if resource.Spec.Replicas != nodes {
			t.Errorf("%d brokers, want %d", resource.Spec.Replicas, nodes)
		}
		environ := []string{"WEIR_STORE_DIR=/var/lib/weir"} // as the image sets it
		for _, e := range resource.Spec.Template.Spec.Containers[0].Env {
			environ = append(environ, e.Name+"="+strings.ReplaceAll(e.Value, "$(POD_NAME)", resource.Metadata.Name+"-0"))
		}
		cfg, err := conf.Sources{Environ: environ}.Load()
		if err != nil {
			t.Errorf("a broker does not take these settings: %v", err)
		} else if got := len(cfg.Cluster.Nodes()); nodes > 1 && (got != nodes || cfg.Cluster.Nodes()[0] != cfg.Cluster.Advertise) {
			t.Errorf("the cluster has the nodes %v, and the first says that it is %s", cfg.Cluster.Nodes(), cfg.Cluster.Advertise)
		}
	}
	if kinds["StatefulSet"] != 1 || kinds["Service"] != 2 {
		t.Errorf("the chart renders %v", kinds)
	}
}
