// Command schemas writes a JSON schema for each kind of resource of Kubernetes, and for the ServiceMonitor of the Prometheus operator,
// as kubeconform looks for them: KIND-GROUP-VERSION.json. Fields that a kind does not have are refused.
//
//	schemas DIRECTORY
//
// It takes them from the modules that publish them, which the go command fetches and checks as it does all others.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The modules, and the files in them.
const (
	kubernetes        = "k8s.io/kubernetes@v1.31.0"
	kubernetesAPI     = "api/openapi-spec/swagger.json"
	prometheusModule  = "github.com/prometheus-operator/prometheus-operator@v0.79.2"
	serviceMonitorCRD = "jsonnet/prometheus-operator/servicemonitors-crd.json"
)

type object = map[string]any

const refPrefix = "#/definitions/"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "schemas:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want a directory")
	}
	dir := args[0]
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := writeKubernetes(dir); err != nil {
		return err
	}
	return writeServiceMonitor(dir)
}

// fromModule reads a file of a module.
func fromModule(module, file string, into any) error {
	c := exec.Command("go", "mod", "download", "-json", module)
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		return fmt.Errorf("fetch %s: %w", module, err)
	}
	var fetched struct{ Dir string }
	if err := json.Unmarshal(out, &fetched); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(fetched.Dir, file))
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

func write(dir, kind string, schema object) error {
	schema["$schema"] = "http://json-schema.org/draft-07/schema#"
	out, err := json.Marshal(schema)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, kind+".json"), out, 0o644)
}

func writeKubernetes(dir string) error {
	var document struct{ Definitions map[string]object }
	if err := fromModule(kubernetes, kubernetesAPI, &document); err != nil {
		return err
	}
	for _, d := range document.Definitions {
		tighten(d)
	}
	written := 0
	for name, d := range document.Definitions {
		for _, kind := range kinds(d) {
			used := object{}
			collect(document.Definitions, name, used)
			if err := write(dir, kind, object{"$ref": refPrefix + name, "definitions": used}); err != nil {
				return err
			}
			written++
		}
	}
	if written < 50 {
		return fmt.Errorf("%s has only %d kinds", kubernetes, written)
	}
	return nil
}

func writeServiceMonitor(dir string) error {
	var crd struct {
		Spec struct {
			Group    string
			Names    struct{ Kind string }
			Versions []struct {
				Name   string
				Schema struct{ OpenAPIV3Schema object }
			}
		}
	}
	if err := fromModule(prometheusModule, serviceMonitorCRD, &crd); err != nil {
		return err
	}
	for _, v := range crd.Spec.Versions {
		schema := v.Schema.OpenAPIV3Schema
		tighten(schema)
		if properties, ok := schema["properties"].(object); ok {
			properties["metadata"] = object{"type": "object"} // the CRD leaves its fields to Kubernetes
		}
		kind := strings.ToLower(crd.Spec.Names.Kind + "-" + strings.Split(crd.Spec.Group, ".")[0] + "-" + v.Name)
		if err := write(dir, kind, schema); err != nil {
			return err
		}
	}
	return nil
}

// kinds are the names of the files for the kinds that a definition is.
func kinds(d object) (out []string) {
	list, _ := d["x-kubernetes-group-version-kind"].([]any)
	for _, item := range list {
		k, _ := item.(object)
		name := strings.ToLower(fmt.Sprint(k["kind"]))
		if group, _, _ := strings.Cut(fmt.Sprint(k["group"]), "."); group != "" {
			name += "-" + strings.ToLower(group)
		}
		out = append(out, name+"-"+strings.ToLower(fmt.Sprint(k["version"])))
	}
	return out
}

// tighten refuses fields that are not named, and says of numbers that may be text, and the other way round, what they may be.
func tighten(node any) {
	switch n := node.(type) {
	case []any:
		for _, child := range n {
			tighten(child)
		}
	case object:
		if n["format"] == "int-or-string" {
			delete(n, "format")
			n["type"] = []any{"string", "integer"}
		}
		if _, ok := n["properties"].(object); ok {
			if _, free := n["additionalProperties"]; !free {
				n["additionalProperties"] = false
			}
		}
		for key, child := range n {
			if key != "enum" && key != "required" {
				tighten(child)
			}
		}
		if text, _ := n["description"].(string); strings.HasPrefix(text, "Quantity is a fixed-point representation") {
			n["type"] = []any{"string", "number"}
		}
		delete(n, "description")
	}
}

// collect puts a definition, and all that it refers to, into used.
func collect(all map[string]object, name string, used object) {
	if _, ok := used[name]; ok {
		return
	}
	used[name] = all[name]
	var walk func(any)
	walk = func(node any) {
		switch n := node.(type) {
		case []any:
			for _, child := range n {
				walk(child)
			}
		case object:
			if ref, ok := n["$ref"].(string); ok {
				collect(all, strings.TrimPrefix(ref, refPrefix), used)
			}
			for _, child := range n {
				walk(child)
			}
		}
	}
	walk(all[name])
}
