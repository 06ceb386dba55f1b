package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// TestFieldsAreDescribed: every exported field of the public packages has a comment. One comment may describe the fields that
// stand below it up to an empty line or the next comment.
func TestFieldsAreDescribed(t *testing.T) {
	fields := 0
	for _, folder := range []string{"backup", "broker", "client", "conf", "protocol", "protocol/chunk", "protocol/s2s", "protocol/subject"} {
		paths, err := filepath.Glob(filepath.Join(root, folder, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, path, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				spec, isType := n.(*ast.TypeSpec)
				if !isType {
					return true
				}
				fields += describe(t, set, spec)
				return false
			})
		}
	}
	if fields < 200 {
		t.Errorf("found only %d fields", fields)
	}
}

// describe looks at the fields of one exported struct and counts them.
func describe(t *testing.T, set *token.FileSet, spec *ast.TypeSpec) (fields int) {
	t.Helper()
	body, isStruct := spec.Type.(*ast.StructType)
	if !isStruct || !spec.Name.IsExported() {
		return 0
	}
	described := 0 // the line up to which the last comment reaches
	for _, field := range body.Fields.List {
		line := set.Position(field.Pos()).Line
		if field.Doc != nil || field.Comment != nil || line == described+1 {
			described = set.Position(field.End()).Line
		}
		for _, name := range field.Names {
			if !name.IsExported() {
				continue
			}
			if fields++; described < line {
				t.Errorf("%s: %s.%s has no comment", strings.TrimPrefix(set.Position(name.Pos()).String(), root+"/"), spec.Name.Name, name.Name)
			}
		}
	}
	return fields
}
