package docs

import (
	"fmt"
	"regexp"
	"strings"
)

// page is a page of Markdown, as lines.
type page struct {
	lines    []string
	examples []example
}

// example is a block of commands, and the block that shows what they print.
type example struct {
	line     int // of the first command, from 1
	commands []string
	shown    string
	// from and to bound the lines of shown; both are 0 if nothing is shown.
	from, to int
}

// readPage finds the examples: a block of sh, and a block of text that follows it with nothing but empty lines between.
func readPage(text string) (*page, error) {
	p := &page{lines: strings.Split(text, "\n")}
	for i := 0; i < len(p.lines); i++ {
		if p.lines[i] != "```sh" {
			continue
		}
		end := p.fence(i + 1)
		ex := example{line: i + 2, commands: commands(p.lines[i+1 : end])}
		next := end + 1
		for next < len(p.lines) && p.lines[next] == "" {
			next++
		}
		if i = end; next < len(p.lines) && p.lines[next] == "```text" {
			ex.from, ex.to = next+1, p.fence(next+1)
			ex.shown = strings.Join(p.lines[ex.from:ex.to], "\n")
			i = ex.to
		}
		p.examples = append(p.examples, ex)
	}
	if len(p.examples) == 0 {
		return nil, fmt.Errorf("the page has no examples")
	}
	return p, nil
}

// fence is the line that ends a block.
func (p *page) fence(i int) int {
	for i < len(p.lines) && p.lines[i] != "```" {
		i++
	}
	return i
}

// commands joins the lines that a backslash continues.
func commands(lines []string) (out []string) {
	joined := strings.ReplaceAll(strings.Join(lines, "\n"), "\\\n", "")
	for line := range strings.SplitSeq(joined, "\n") {
		if line != "" {
			out = append(out, line)
		}
	}
	return out
}

// update returns the page with other output in the place of what it shows. Nothing changes where the two are the same but
// for times.
func (p *page) update(printed []string) string {
	var b strings.Builder
	at := 0
	for i, ex := range p.examples {
		if ex.from == 0 || matches(ex.shown, printed[i]) {
			continue
		}
		b.WriteString(strings.Join(p.lines[at:ex.from], "\n") + "\n" + strings.TrimRight(printed[i], "\n") + "\n")
		at = ex.to
	}
	b.WriteString(strings.Join(p.lines[at:], "\n"))
	return b.String()
}

var (
	instants = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z`)
	millis   = regexp.MustCompile(`\b1\d{12}\b`)
	headings = regexp.MustCompile(`^([A-Za-z0-9-]+): `)
)

// plain replaces what differs from run to run.
func plain(s string) string {
	return millis.ReplaceAllString(instants.ReplaceAllString(strings.TrimRight(s, " \r"), "<instant>"), "<ms>")
}

// matches reports whether the output is what the page shows. A line "..." of the page stands for any lines. Headers may
// stand in any order, and the page may leave some out.
func matches(shown, printed string) bool {
	want, got := strings.Split(strings.TrimRight(shown, "\n"), "\n"), strings.Split(strings.TrimRight(printed, "\n"), "\n")
	for len(want) > 0 {
		switch {
		case want[0] == "...":
			for want = want[1:]; len(want) > 0 && len(got) > 0 && plain(got[0]) != plain(want[0]); {
				got = got[1:]
			}
			if len(want) == 0 {
				return true
			}
		case len(got) == 0 || plain(want[0]) != plain(got[0]):
			return false
		case strings.HasPrefix(want[0], "HTTP/"):
			var head, all []string
			head, want = untilEmpty(want[1:])
			all, got = untilEmpty(got[1:])
			if !within(head, all) {
				return false
			}
		default:
			want, got = want[1:], got[1:]
		}
	}
	return len(got) == 0
}

// untilEmpty cuts lines at the first empty one, which ends a head.
func untilEmpty(lines []string) (head, rest []string) {
	for i, line := range lines {
		if strings.TrimRight(line, "\r") == "" {
			return lines[:i], lines[i+1:]
		}
	}
	return lines, nil
}

// within reports whether all headers of one head are in another.
func within(head, all []string) bool {
	have := map[string]bool{}
	for _, line := range all {
		have[header(line)] = true
	}
	for _, line := range head {
		if !have[header(line)] {
			return false
		}
	}
	return true
}

// header spells a header with its name in lower case, as HTTP/2 does.
func header(line string) string { return plain(headings.ReplaceAllStringFunc(line, strings.ToLower)) }
