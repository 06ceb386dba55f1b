package conf

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	natsconf "github.com/nats-io/nats-server/v2/conf"
)

// token is the wrapper of nats-server's parser around each value of a file.
type token interface {
	Value() any
	Line() int
	Position() int
	SourceFile() string
	IsUsedVariable() bool
}

func applyFile(c *Config, path string, o origins) error {
	tree, err := natsconf.ParseFileWithChecks(path)
	if err != nil {
		return fmt.Errorf("configuration file %s: %w", path, err)
	}
	l := fileLoader{config: c, origins: o, path: path}
	l.block("", tree)
	return errors.Join(l.errs...)
}

// fileLoader walks the parsed file and collects everything that is wrong with it.
type fileLoader struct {
	config  *Config
	origins origins
	path    string
	errs    []error
}

// block applies the members of the block with the given key, "" for the file itself, in the order of their keys.
func (l *fileLoader) block(parent string, members map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(members)) {
		value, source, variable := l.unwrap(members[name])
		key := strings.TrimPrefix(parent+"."+name, ".")
		f, known := fieldByKey(key)
		switch {
		case known:
			l.origins[key] = source
			if err := f.setValue(l.config, value); err != nil {
				l.errs = append(l.errs, &Error{Key: key, Source: source, Reason: f.reason(err)})
			}
		case isBlock(key):
			nested, ok := value.(map[string]any)
			if !ok {
				l.errs = append(l.errs, &Error{Key: key, Source: source, Reason: "is " + kindOf(value) + ", but a block is needed"})
				continue
			}
			l.block(key, nested)
		case variable: // a definition for $name elsewhere in the file
		default:
			l.errs = append(l.errs, &Error{Key: key, Source: source, Reason: "there is no such key" + suggest(key)})
		}
	}
}

func (l *fileLoader) unwrap(v any) (value any, source string, variable bool) {
	t, ok := v.(token)
	if !ok {
		return v, l.path, false
	}
	file := t.SourceFile()
	if file == "" {
		file = l.path
	}
	value = t.Value()
	if list, ok := value.([]any); ok {
		for i := range list {
			list[i], _, _ = l.unwrap(list[i])
		}
	}
	return value, fmt.Sprintf("%s:%d", file, t.Line()), t.IsUsedVariable()
}

func fieldByKey(key string) (field, bool) {
	i := slices.IndexFunc(fields, func(f field) bool { return f.key == key })
	if i < 0 {
		return field{}, false
	}
	return fields[i], true
}

func isBlock(key string) bool {
	return slices.ContainsFunc(fields, func(f field) bool { return strings.HasPrefix(f.key, key+".") })
}

// reason is the text of an error about the value; a secret's value is kept out of it.
func (f field) reason(err error) string {
	if f.redact != nil {
		return "cannot be read"
	}
	return err.Error()
}

// suggest names the key that was probably meant, if there is one.
func suggest(key string) string {
	best, distance := "", 4
	for _, f := range fields {
		if d := editDistance(key, f.key); d < distance {
			best, distance = f.key, d
		}
		if _, last, ok := strings.Cut(f.key, "."); ok && last == key {
			return "; did you mean " + f.key + "?"
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// editDistance is the number of single-byte insertions, deletions and replacements between a and b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
