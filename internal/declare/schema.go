package declare

import (
	"bytes"
	_ "embed"
)

//go:embed schema.json
var schema []byte

// Schema is the JSON Schema (draft 2020-12) of specs, for editors and other tools. It refuses the same texts as [Parse], but
// for names that occur twice and retentions under a second.
func Schema() []byte { return bytes.Clone(schema) }
