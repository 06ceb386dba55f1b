package cli_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/weirstream/weir/cmd/weir/internal/cli"
	"github.com/weirstream/weir/protocol"
)

var update = flag.Bool("update", false, "rewrite the transcripts in testdata with what the commands print now")

// run is what one command line did.
type run struct {
	stdout, stderr output
	code           int
}

// output is what a command wrote so far; tests look at it while the command runs.
type output struct {
	mu   sync.Mutex
	text []byte
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, b...)
	return len(b), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}

func (o *output) Len() int { return len(o.String()) }

// env is a world with the given service and nothing else.
func env(svc protocol.Service, r *run, stdin string) cli.Env {
	return cli.Env{
		Name: "weir", Version: "1.2.3",
		Stdin: strings.NewReader(stdin), Stdout: &r.stdout, Stderr: &r.stderr,
		Terminal: func(any) bool { return false },
		Signals:  func(...os.Signal) (<-chan os.Signal, func()) { return nil, func() {} },
		Dial: func(context.Context, cli.DialOptions) (protocol.Service, func(), error) {
			return svc, func() {}, nil
		},
	}
}

func weir(svc protocol.Service, stdin string, args ...string) *run {
	r := &run{}
	r.code = cli.Main(context.Background(), env(svc, r, stdin), args)
	return r
}

// TestTranscripts plays the command lines of each file in testdata on a service of its own and compares everything that
// they print. In a transcript "$ " begins a command line, "$ 'text' | " gives it standard input, "! " begins a line of
// standard error, and "exit" tells a code that is not 0. Read the differences before you run it with -update.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.transcript")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	t.Setenv("HOME", t.TempDir())
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".transcript"), func(t *testing.T) {
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func play(t *testing.T, transcript string) string {
	svc := newFake()
	var out strings.Builder
	for line := range strings.Lines(transcript) {
		switch {
		case strings.HasPrefix(line, "#"), strings.TrimSpace(line) == "":
			out.WriteString(line)
			continue
		case !strings.HasPrefix(line, "$ "):
			continue // what was printed then
		}
		out.WriteString(line)
		words := split(t, strings.TrimSpace(line[2:]))
		stdin := ""
		if len(words) > 1 && words[1] == "|" {
			stdin, words = words[0], words[2:]
		}
		if words[0] != "weir" {
			t.Fatalf("not a command: %s", line)
		}
		r := weir(svc, stdin, words[1:]...)
		out.WriteString(r.stdout.String())
		for e := range strings.Lines(r.stderr.String()) {
			out.WriteString("! " + e)
		}
		if r.code != 0 {
			fmt.Fprintf(&out, "exit %d\n", r.code)
		}
	}
	return out.String()
}

// split splits a command line at spaces; '...' holds a word together and knows \n, \r, \t and \xNN.
func split(t *testing.T, line string) (words []string) {
	for line = strings.TrimLeft(line, " "); line != ""; line = strings.TrimLeft(line, " ") {
		var word string
		for line != "" && line[0] != ' ' {
			if line[0] != '\'' {
				n := strings.IndexAny(line+" ", " '")
				word, line = word+line[:n], line[n:]
				continue
			}
			text, rest, ok := strings.Cut(line[1:], "'")
			if !ok {
				t.Fatalf("no closing quote: %s", line)
			}
			word, line = word+unescape(t, text), rest
		}
		words = append(words, word)
	}
	return words
}

func unescape(t *testing.T, s string) string {
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		i++
		switch s[i] {
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'x':
			var b byte
			if _, err := fmt.Sscanf(s[i+1:i+3], "%02x", &b); err != nil {
				t.Fatal(err)
			}
			out = append(out, b)
			i += 2
		default:
			out = append(out, s[i])
		}
	}
	return string(out)
}
