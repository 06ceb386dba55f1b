package docs

import (
	"cmp"
	"errors"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	fileName   = regexp.MustCompile(`(?:[\w.-]+/)*[\w.-]*\w\.(?:go|md|proto|ts|sh)\b`)
	adrName    = regexp.MustCompile(`\bADRs? (\d+)\b|\badr/(\d{4})`)
	mdLink     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	codeWords  = regexp.MustCompile("`[^`\n]+`")
	namedIn    = regexp.MustCompile("`(\\w+)` in \\[[^\\]]*\\]\\(([^)#\\s]+\\.go)\\)")
	webAddress = regexp.MustCompile(`[a-z]+://\S+`)
)

var errNotDeclared = errors.New("no declaration of that name is there")

// libraries are words that look like names of files.
var libraries = map[string]bool{"nats.go": true, "jsm.go": true}

const root = "../.."

// tree is the repository: which files there are, and the numbers of the ADRs.
type tree struct {
	files map[string]bool // by their path from the root
	names map[string]bool // by their last element
	adrs  map[string]bool // "0007"
}

func readTree(t *testing.T) tree {
	t.Helper()
	out := tree{map[string]bool{}, map[string]bool{}, map[string]bool{}}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules" || d.Name() == "bin" || d.Name() == "dist") {
			return filepath.SkipDir
		}
		path = strings.TrimPrefix(filepath.ToSlash(path), root+"/")
		out.files[path], out.names[d.Name()] = true, true
		if number, ok := strings.CutPrefix(path, "docs/adr/"); ok && len(number) > 4 {
			out.adrs[number[:4]] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// has looks a file up from the root, from the folder that names it, and in folders below that one. With anywhere, a name without
// a folder may be anywhere.
func (r tree) has(name, folder string, anywhere bool) bool {
	if r.files[name] || r.files[folder+"/"+name] {
		return true
	}
	if !strings.Contains(name, "/") {
		return anywhere && r.names[name]
	}
	for path := range r.files {
		if strings.HasPrefix(path, folder+"/") && strings.HasSuffix(path, "/"+name) {
			return true
		}
	}
	return false
}

func (r tree) adrsIn(t *testing.T, where, text string) {
	t.Helper()
	for _, m := range adrName.FindAllStringSubmatch(text, -1) {
		number := m[2]
		if number == "" {
			number = strings.Repeat("0", max(0, 4-len(m[1]))) + m[1]
		}
		if !r.adrs[number] {
			t.Errorf("%s names %s, and docs/adr has no such number", where, m[0])
		}
	}
}

// TestCommentsNameFilesThatExist: what a comment names as a file or an ADR is there.
func TestCommentsNameFilesThatExist(t *testing.T) {
	r := readTree(t)
	named := 0
	for path := range r.files {
		if !strings.HasSuffix(path, ".go") {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, filepath.Join(root, path), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range file.Comments {
			where := path + ":" + strings.SplitN(set.Position(group.Pos()).String(), ":", 2)[1]
			text := webAddress.ReplaceAllString(group.Text(), "")
			r.adrsIn(t, where, text)
			for _, name := range fileName.FindAllString(text, -1) {
				if libraries[name] || strings.HasPrefix(name, "github.com/") {
					continue
				}
				named++
				if !r.has(name, filepath.Dir(path), false) {
					t.Errorf("%s names %s, and there is no such file", where, name)
				}
			}
		}
	}
	if named < 30 {
		t.Errorf("found only %d names of files", named)
	}
}

// TestPagesNameFilesThatExist: so are the files that a page links to or names as code, and the ADRs.
func TestPagesNameFilesThatExist(t *testing.T) {
	r := readTree(t)
	for path := range r.files {
		if !strings.HasSuffix(path, ".md") || strings.HasPrefix(path, "docs/spec/") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		r.adrsIn(t, path, string(text))
		folder := filepath.ToSlash(filepath.Dir(path))
		for _, m := range mdLink.FindAllStringSubmatch(string(text), -1) {
			target, _, _ := strings.Cut(m[1], "#")
			if target == "" || strings.Contains(target, ":") {
				continue
			}
			if full := filepath.ToSlash(filepath.Join(folder, target)); !r.files[full] {
				t.Errorf("%s links to %s, which does not exist", path, m[1])
			}
		}
		for _, m := range namedIn.FindAllStringSubmatch(string(text), -1) {
			source, err := os.ReadFile(filepath.Join(root, folder, m[2]))
			if err != nil || !regexp.MustCompile(`(?m)^(func|type|var|const)\b.*\b`+m[1]+`\b`).Match(source) {
				t.Errorf("%s says that %s is in %s: %v", path, m[1], m[2], cmp.Or(err, errNotDeclared))
			}
		}
		if path == "CHANGELOG.md" || strings.HasPrefix(path, "docs/upstream/") { // of what was, and of the files of nats-server
			continue
		}
		for _, code := range codeWords.FindAllString(string(text), -1) {
			if name := strings.Trim(code, "`"); fileName.FindString(name) == name && strings.HasSuffix(name, ".go") && !libraries[name] && !r.has(name, folder, true) {
				t.Errorf("%s names %s, and there is no such file", path, name)
			}
		}
	}
}

// TestPlainEnglish: pages name the subject of a sentence.
func TestPlainEnglish(t *testing.T) {
	r := readTree(t)
	unclear := regexp.MustCompile(`(?i)\b(?:whoever|that which)\b`)
	for path := range r.files {
		if filepath.Ext(path) != ".md" || strings.HasPrefix(path, "docs/adr/") || strings.HasPrefix(path, "docs/spec/") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		for n, line := range strings.Split(string(text), "\n") {
			if word := unclear.FindString(line); word != "" {
				t.Errorf("%s:%d says %q: name the subject", path, n+1, word)
			}
		}
	}
}
