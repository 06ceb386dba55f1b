package spec

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Citation is one section, row or decision that a text names. A range of rows is a citation of each.
type Citation struct {
	Plane    Plane  // "" where the text does not say: the data plane, or the control plane if only that has the row
	Section  string // "4.5" or "A.2"
	Row      int    // 0 for a section
	Decision string // "D-12"; then the rest is empty
	Line     int    // of the text, from 1
}

func (c Citation) planes() []Plane {
	if c.Plane != "" {
		return []Plane{c.Plane}
	}
	return []Plane{Data, Control}
}

// String is the citation as a text has it.
func (c Citation) String() string {
	if c.Decision != "" {
		return c.Decision
	}
	prefix := map[Plane]string{Data: "data plane ", Control: "control plane "}[c.Plane]
	if c.Row == 0 {
		return prefix + c.Section
	}
	return fmt.Sprintf("%s%s/%d", prefix, c.Section, c.Row)
}

// The forms: "data plane 4.5 and A.2/49", "control plane sections 3 to 5", "cp A.20/368,369", "A.2/43 to 48", "D-12".
var (
	margin   = regexp.MustCompile(`\n[\t ]*(?://|\*|#)*[\t ]*`)
	planes   = regexp.MustCompile(`(?:\b([Dd]ata|[Cc]ontrol)[ -]plane(?:'s)?|\bcp)(?: specification)?(?: sections?)? `)
	bare     = regexp.MustCompile(`\bA\.\d+/\d`)
	item     = regexp.MustCompile(`^(?:(A\.\d+)(?:/(\d+))?|(D-\d+)|(\d+(?:\.\d+)*))`)
	further  = regexp.MustCompile(`^(, ?|,? and | to |-)`)
	decided  = regexp.MustCompile(`\bD-\d+\b`)
	wordTail = regexp.MustCompile(`^\w`)
)

// Citations finds the citations of a text. It reads on over the ends of lines, past the marks of a comment.
func Citations(text string) []Citation {
	r := reader{text: margin.ReplaceAllStringFunc(text, func(m string) string {
		return "\n" + strings.Repeat(" ", len(m)-1) // offsets and lines stay
	})}
	spaced := strings.ReplaceAll(r.text, "\n", " ")
	flat, at := squeeze(spaced)
	r.flat, r.at = flat, at
	covered := 0
	for _, m := range merge(planes.FindAllStringSubmatchIndex(flat, -1), bare.FindAllStringIndex(flat, -1)) {
		if m[0] < covered {
			continue
		}
		plane, start := Plane(""), m[0]
		if len(m) > 2 {
			plane, start = Control, m[1]
			if m[2] >= 0 && strings.EqualFold(flat[m[2]:m[3]], "data") {
				plane = Data
			}
		}
		covered = r.list(plane, start)
	}
	for _, m := range decided.FindAllStringIndex(flat, -1) {
		r.add(Citation{Decision: flat[m[0]:m[1]]}, m[0])
	}
	return r.found
}

// squeeze makes every run of spaces one, and returns for each byte where it was.
func squeeze(s string) (string, []int) {
	var out strings.Builder
	var at []int
	for i := range len(s) {
		if s[i] == ' ' && i > 0 && s[i-1] == ' ' {
			continue
		}
		out.WriteByte(s[i])
		at = append(at, i)
	}
	return out.String(), at
}

// merge puts two lists of matches into the order of the text.
func merge(a, b [][]int) [][]int {
	var out [][]int
	for len(a) > 0 && len(b) > 0 {
		if a[0][0] <= b[0][0] {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
}

type reader struct {
	text  string // with its lines
	flat  string // on one line
	at    []int  // offsets of flat's bytes in text
	found []Citation
}

func (r *reader) add(c Citation, offset int) {
	c.Line = 1 + strings.Count(r.text[:r.at[offset]], "\n")
	r.found = append(r.found, c)
}

// list reads the items of one citation and returns the offset behind them.
func (r *reader) list(plane Plane, start int) int {
	section, row := "", 0
	separator := ""
	for i := start; ; {
		m := item.FindStringSubmatch(r.flat[i:])
		if m == nil || wordTail.MatchString(r.flat[i+len(m[0]):]) {
			return i
		}
		end := i + len(m[0])
		switch number, _ := strconv.Atoi(m[4]); {
		case m[3] != "": // a decision, which [Citations] finds by itself
		case m[1] != "":
			section = m[1]
			row, _ = strconv.Atoi(m[2])
			r.add(Citation{Plane: plane, Section: section, Row: row}, i)
		case row != 0 && number != 0: // further rows of the section
			first := number
			if separator == " to " || separator == "-" {
				first = row + 1
			}
			for n := first; n <= number; n++ {
				r.add(Citation{Plane: plane, Section: section, Row: n}, i)
			}
			row = number
		case number != 0 && strings.HasPrefix(separator, ","):
			return i // "data plane 7.2, 64 bytes": the number belongs to the sentence
		default:
			section, row = m[4], 0
			r.add(Citation{Plane: plane, Section: section}, i)
		}
		next := further.FindString(r.flat[end:])
		if next == "" || !item.MatchString(r.flat[end+len(next):]) {
			return end
		}
		separator, i = next, end+len(next)
	}
}
