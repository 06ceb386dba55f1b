package cli_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weirstream/weir/cmd/weir/internal/cli"
)

// The parts of docs/cli.md that the commands write stand between two lines of these.
const (
	partBegins = "<!-- generated: %s. Edit the commands, then: go test ./cmd/weir/internal/cli -run Reference -update -->\n"
	partEnds   = "<!-- end -->\n"
)

// TestReference: the verbs and the reference in docs/cli.md are what the commands say of themselves. Run it with -update after a
// change of a verb or a flag.
func TestReference(t *testing.T) {
	const path = "../../../../docs/cli.md"
	kept, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	root := cli.Root(env(newFake(), &run{}, ""))
	want := string(kept)
	for name, text := range map[string]string{"verbs": verbTable(root), "reference": reference(root)} {
		want = replacePart(t, want, name, text)
	}
	if want == string(kept) {
		return
	}
	if !*update {
		t.Fatal("docs/cli.md is not what the commands say now: go test ./cmd/weir/internal/cli -run Reference -update")
	}
	if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// replacePart puts text into the part of a page that has the name.
func replacePart(t *testing.T, page, name, text string) string {
	t.Helper()
	begin := fmt.Sprintf(partBegins, name)
	before, rest, ok := strings.Cut(page, begin)
	_, after, closed := strings.Cut(rest, partEnds)
	if !ok || !closed {
		t.Fatalf("docs/cli.md has no part %s between %q and %q", name, begin, partEnds)
	}
	return before + begin + "\n" + text + "\n" + partEnds + after
}

// documented are the commands that are weir's own, by group.
func documented(root *cobra.Command, group string) (out []*cobra.Command) {
	for _, c := range root.Commands() {
		if c.GroupID == group && (group != "" || c.Name() == "version") {
			out = append(out, c)
		}
	}
	return out
}

func verbTable(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString("| verb | what it does |\n| --- | --- |\n")
	for _, g := range append(root.Groups(), &cobra.Group{Title: "Others:"}) {
		fmt.Fprintf(&b, "| **%s** | |\n", strings.TrimSuffix(g.Title, ":"))
		for _, c := range documented(root, g.ID) {
			fmt.Fprintf(&b, "| [`%s`](#weir-%s) | %s |\n", cell(strings.TrimSuffix(c.Use, " [flags]")), c.Name(), cell(sentence(c.Short)))
		}
	}
	return b.String()
}

// sentence is a short description as it stands in a table.
func sentence(short string) string { return strings.ToLower(short[:1]) + short[1:] }

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

func reference(root *cobra.Command) string {
	find := func(name string) *cobra.Command {
		c, _, _ := root.Find([]string{name})
		return c
	}
	// What all clients have, and all verbs that take a configuration, is described elsewhere.
	clients := common(find("list-locations"), find("delete-stream"))
	settings := common(find("serve"), find("doctor"))
	var b strings.Builder
	for _, g := range append(root.Groups(), &cobra.Group{}) {
		for _, c := range documented(root, g.ID) {
			describe(&b, c, clients, settings)
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// common are the names of the flags that two commands share.
func common(a, b *cobra.Command) map[string]bool {
	names := map[string]bool{}
	a.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" && b.Flags().Lookup(f.Name) != nil {
			names[f.Name] = true
		}
	})
	return names
}

func describe(b *strings.Builder, c *cobra.Command, clients, settings map[string]bool) {
	fmt.Fprintf(b, "### weir %s\n\n", c.Name())
	text := c.Long
	if text == "" {
		text = c.Short + "."
	}
	fmt.Fprintf(b, "```text\n%s\n\n%s\n```\n\n", c.UseLine(), strings.TrimSpace(text))
	if c.Example != "" {
		fmt.Fprintf(b, "```\n%s\n```\n\n", unindent(c.Example))
	}
	var rows []string
	client, configured := false, false
	c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		switch {
		case f.Name == "help" || f.Hidden:
		case clients[f.Name] && c.Flags().Lookup("server") != nil:
			client = true
		case settings[f.Name] && c.Flags().Lookup("nats-listen") != nil:
			configured = true
		default:
			rows = append(rows, flagRow(f))
		}
	})
	if len(rows) > 0 {
		fmt.Fprintf(b, "| flag | meaning |\n| --- | --- |\n%s\n", strings.Join(rows, ""))
	}
	if client {
		b.WriteString("It also has the flags that say [which broker](#which-broker).\n\n")
	}
	if configured {
		b.WriteString("It also has a flag for each of the [settings](configuration.md).\n\n")
	}
}

func flagRow(f *pflag.Flag) string {
	kind, usage := pflag.UnquoteUsage(f)
	name := "--" + f.Name
	if f.Shorthand != "" {
		name = "-" + f.Shorthand + ", " + name
	}
	if kind != "" {
		name += " " + kind
	}
	switch f.DefValue {
	case "", "0", "false", "[]", "0s":
	default:
		if !strings.Contains(usage, "default") {
			usage += " (default " + f.DefValue + ")"
		}
	}
	return fmt.Sprintf("| `%s` | %s |\n", cell(name), cell(strings.NewReplacer("<", "&lt;", "*", `\*`).Replace(usage)))
}

func unindent(text string) string {
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], "  ")
	}
	return strings.Join(lines, "\n")
}
