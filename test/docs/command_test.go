package docs

import (
	"fmt"
	"strconv"
	"strings"
)

// pipeline is a command of the page: curl, and what may stand around it.
type pipeline struct {
	input []byte // what printf gives; nil without one
	curl  curl
	dump  bool // od shows the bytes of the answer
}

// curl is a call of curl with the options that the page uses.
type curl struct {
	method   string // "" for curl's choice
	url      string
	headers  []string // "Name: value"
	data     []byte   // nil without a body
	include  bool     // -i, or -I
	head     bool     // -I
	insecure bool     // -k
	http2    bool     // --http2-prior-knowledge
}

// parse reads a command of the page.
func parse(command string) (p pipeline, err error) {
	words, err := split(command)
	if err != nil {
		return p, err
	}
	parts := [][]string{nil}
	for _, w := range words {
		if w == "|" {
			parts = append(parts, nil)
			continue
		}
		parts[len(parts)-1] = append(parts[len(parts)-1], w)
	}
	if first := parts[0]; len(first) == 2 && first[0] == "printf" {
		if p.input, err = escapes(first[1]); err != nil {
			return p, err
		}
		parts = parts[1:]
	}
	if n := len(parts) - 1; n > 0 && strings.Join(parts[n], " ") == "od -An -v -tx1" {
		p.dump, parts = true, parts[:n]
	}
	if len(parts) != 1 {
		return p, fmt.Errorf("only printf | curl | od -An -v -tx1 is understood")
	}
	p.curl, err = parseCurl(parts[0], p.input)
	return p, err
}

func parseCurl(words []string, input []byte) (c curl, err error) {
	if len(words) == 0 || words[0] != "curl" {
		return c, fmt.Errorf("not a call of curl")
	}
	for words = words[1:]; len(words) > 0; words = words[1:] {
		word := words[0]
		takes := map[string]func(string){
			"-X": func(v string) { c.method = v },
			"-H": func(v string) { c.headers = append(c.headers, v) },
			"-d": func(v string) { c.data = []byte(v) },
			"--data-binary": func(v string) {
				if c.data = []byte(v); v == "@-" {
					c.data = input
				}
			},
		}
		switch take, ok := takes[word]; {
		case ok && len(words) > 1:
			take(words[1])
			words = words[1:]
		case word == "-i":
			c.include = true
		case word == "-I":
			c.include, c.head = true, true
		case word == "-k":
			c.insecure = true
		case word == "-N", word == "-s":
		case word == "--http2-prior-knowledge":
			c.http2 = true
		case strings.HasPrefix(word, "http") && c.url == "":
			c.url = word
		default:
			return c, fmt.Errorf("curl: %q is not understood", word)
		}
	}
	if c.url == "" {
		return c, fmt.Errorf("curl: there is no URL")
	}
	return c, nil
}

// split cuts a command into words as a shell does, with single quotes only.
func split(command string) (words []string, err error) {
	var word strings.Builder
	began := false
	end := func() {
		if began {
			words = append(words, word.String())
			word.Reset()
			began = false
		}
	}
	for rest := command; rest != ""; {
		c := rest[0]
		rest = rest[1:]
		switch {
		case c == ' ':
			end()
		case c == '\'':
			text, after, ok := strings.Cut(rest, "'")
			if !ok {
				return nil, fmt.Errorf("a quote does not end")
			}
			word.WriteString(text)
			began, rest = true, after
		case c == '|' && !began:
			words = append(words, "|")
		case strings.IndexByte("\\\"$`&;<>()*?[]{}#~!", c) >= 0:
			return nil, fmt.Errorf("%q needs quotes in a shell", c)
		default:
			word.WriteByte(c)
			began = true
		}
	}
	end()
	return words, nil
}

// escapes does what printf does with its format: \ooo is a byte.
func escapes(s string) (out []byte, err error) {
	for s != "" {
		text, rest, found := strings.Cut(s, `\`)
		if out = append(out, text...); !found {
			break
		}
		if len(rest) < 3 || strings.Contains(text, "%") {
			return nil, fmt.Errorf("printf: only \\ooo is understood")
		}
		b, err := strconv.ParseUint(rest[:3], 8, 8)
		if err != nil {
			return nil, fmt.Errorf("printf: %w", err)
		}
		out, s = append(out, byte(b)), rest[3:]
	}
	return out, nil
}

// dump shows bytes as od -An -v -tx1 does.
func dump(b []byte) string {
	var out strings.Builder
	for i, c := range b {
		if i > 0 && i%16 == 0 {
			out.WriteByte('\n')
		}
		fmt.Fprintf(&out, " %02x", c)
	}
	return out.String() + "\n"
}
