package cli_test

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/weirstream/weir/cmd/weir/internal/cli"
)

// help returns the --help text of a verb, "" being the command itself.
func help(t *testing.T, verb string) string {
	t.Helper()
	r := &run{}
	args := []string{"--help"}
	if verb != "" {
		args = []string{verb, "--help"}
	}
	if code := cli.Main(context.Background(), env(newFake(), r, ""), args); code != 0 {
		t.Fatalf("%s: exit %d, %s", verb, code, r.stderr.String())
	}
	return r.stdout.String()
}

func verbs(t *testing.T) (names []string) {
	t.Helper()
	_, list, _ := strings.Cut(help(t, ""), "\nServer:\n")
	list, _, _ = strings.Cut(list, "\nFlags:\n")
	for _, m := range regexp.MustCompile(`(?m)^  ([a-z-]+) {2,}`).FindAllStringSubmatch(list, -1) {
		names = append(names, m[1])
	}
	for _, m := range regexp.MustCompile(`(?m)^  ([a-z-]+) [A-Z]`).FindAllStringSubmatch(list, -1) {
		names = append(names, m[1])
	}
	if len(names) < 20 {
		t.Fatalf("only %v in\n%s", names, list)
	}
	return names
}

// TestEveryVerbHasExamples to paste.
func TestEveryVerbHasExamples(t *testing.T) {
	for _, verb := range verbs(t) {
		if verb == "help" || verb == "completion" || verb == "version" {
			continue
		}
		_, examples, _ := strings.Cut(help(t, verb), "\nExamples:\n")
		examples, _, _ = strings.Cut(examples, "\nFlags:\n")
		if !strings.Contains(examples, "weir "+verb) {
			t.Errorf("%s has no example", verb)
		}
	}
}

// TestDocsNameEverySetting: docs/configuration.md knows each flag of serve. The verbs and the other flags are in docs/cli.md because
// TestReference writes them there.
func TestDocsNameEverySetting(t *testing.T) {
	b, err := os.ReadFile("../../../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^ +(?:-\w, )?--([a-z-]+)`).FindAllStringSubmatch(help(t, "serve"), -1) {
		switch name := m[1]; name {
		case "help", "version", "json", "config", "print-config":
		default:
			if !settingNamed(string(b), name) {
				t.Errorf("docs/configuration.md does not name --%s", name)
			}
		}
	}
}

// settingNamed reports whether the table of settings has a key for the flag.
func settingNamed(settings, flag string) bool {
	pattern := strings.ReplaceAll(regexp.QuoteMeta(flag), "-", "[._]")
	return regexp.MustCompile("(?m)^\\| `" + pattern + "`").MatchString(settings)
}
