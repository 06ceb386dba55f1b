package spec

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Plane is a page of the specification: the data plane or the control plane.
type Plane string

// The planes, as the names of their pages.
const (
	Data    Plane = "data-plane"
	Control Plane = "control-plane"
)

// Row is a row of a page's appendix: the given situation, and the expected result.
type Row struct {
	Plane   Plane
	Section string // "A.2"
	Number  int
	Given   string
	Then    string
}

// Pages are the two pages that rows, sections and decisions are cited from.
type Pages struct {
	Rows      []Row // in the order of the pages
	sections  map[Plane]map[string]bool
	decisions map[string]bool // of the control plane, "D-12"
	rows      map[rowKey]int  // index in Rows
}

type rowKey struct {
	plane   Plane
	section string
	number  int
}

var (
	heading  = regexp.MustCompile(`^#{2,4} (?:Appendix )?(A(?:\.\d+)?|\d+(?:\.\d+)*)\.? `)
	rowLine  = regexp.MustCompile(`^\| (\d+) \| (.*) \|$`)
	decision = regexp.MustCompile(`^\| (D-\d+) \|`)
	pipe     = regexp.MustCompile(` \| `)
)

// Load reads docs/spec below the repository's root.
func Load(root string) (*Pages, error) {
	p := &Pages{sections: map[Plane]map[string]bool{}, decisions: map[string]bool{}, rows: map[rowKey]int{}}
	for _, plane := range []Plane{Data, Control} {
		text, err := os.ReadFile(filepath.Join(root, "docs", "spec", string(plane)+".md"))
		if err != nil {
			return nil, err
		}
		if err := p.page(plane, string(text)); err != nil {
			return nil, fmt.Errorf("%s: %w", plane, err)
		}
	}
	return p, nil
}

func (p *Pages) page(plane Plane, text string) error {
	p.sections[plane] = map[string]bool{}
	section := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if m := heading.FindStringSubmatch(line); m != nil {
			if section = m[1]; p.sections[plane][section] {
				return fmt.Errorf("section %s is there twice", section)
			}
			p.sections[plane][section] = true
		}
		if m := decision.FindStringSubmatch(line); m != nil {
			p.decisions[m[1]] = true
		}
		m := rowLine.FindStringSubmatch(line)
		if m == nil || !strings.HasPrefix(section, "A.") {
			continue
		}
		number, err := strconv.Atoi(m[1])
		if err != nil {
			return err
		}
		cells := pipe.Split(m[2], 2)
		if len(cells) != 2 {
			return fmt.Errorf("row %s/%d has no second column", section, number)
		}
		key := rowKey{plane, section, number}
		if _, twice := p.rows[key]; twice {
			return fmt.Errorf("row %s/%d is there twice", section, number)
		}
		p.rows[key] = len(p.Rows)
		p.Rows = append(p.Rows, Row{Plane: plane, Section: section, Number: number, Given: cells[0], Then: cells[1]})
	}
	return nil
}

// Find returns the row that a citation names. A citation without a plane names the row of the data plane where both planes
// have one.
func (p *Pages) Find(c Citation) (Row, bool) {
	for _, plane := range c.planes() {
		if i, ok := p.rows[rowKey{plane, c.Section, c.Row}]; ok {
			return p.Rows[i], true
		}
	}
	return Row{}, false
}

// Has says whether the target of a citation exists.
func (p *Pages) Has(c Citation) bool {
	switch {
	case c.Decision != "":
		return p.decisions[c.Decision]
	case c.Row != 0:
		_, found := p.Find(c)
		return found
	}
	for _, plane := range c.planes() {
		if p.sections[plane][c.Section] {
			return true
		}
	}
	return false
}
