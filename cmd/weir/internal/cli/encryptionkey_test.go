package cli_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/weirstream/weir/cmd/weir/internal/cli"
	"github.com/weirstream/weir/protocol"
)

// keyed notes the key of every append and read.
type keyed struct {
	*fakeService
	mu   sync.Mutex
	keys map[string]bool
}

func (k *keyed) note(opts []protocol.RecordOption) {
	k.mu.Lock()
	defer k.mu.Unlock()
	text := "none"
	if key := protocol.MakeRecordOptions(opts...).EncryptionKey; !key.IsZero() {
		text = key.Reveal()
	}
	k.keys[text] = true
}

func (k *keyed) Append(ctx context.Context, ref protocol.StreamRef, in protocol.AppendInput, opts ...protocol.RecordOption) (protocol.AppendAck, error) {
	k.note(opts)
	return k.fakeService.Append(ctx, ref, in, opts...)
}

func (k *keyed) OpenAppendSession(ctx context.Context, ref protocol.StreamRef, opts ...protocol.RecordOption) (protocol.AppendSession, error) {
	k.note(opts)
	return k.fakeService.OpenAppendSession(ctx, ref, opts...)
}

func (k *keyed) OpenReadSession(ctx context.Context, ref protocol.StreamRef, req protocol.ReadRequest, opts ...protocol.RecordOption) (protocol.ReadSession, error) {
	k.note(opts)
	return k.fakeService.OpenReadSession(ctx, ref, req, opts...)
}

func keyText(b byte) string {
	return protocol.NewEncryptionKey([32]byte(bytes.Repeat([]byte{b}, 32))).Reveal()
}

// keyRun runs a verb on a service that has a stream with a record and returns the run and the keys that were used.
func keyRun(t *testing.T, environ []string, args ...string) (*run, string) {
	t.Helper()
	svc := &keyed{fakeService: newFake(), keys: map[string]bool{}}
	for _, setup := range [][]string{{"create-basin", "demo-basin", "--create-stream-on-append"}, {"append", "s2://demo-basin/s"}} {
		if r := weir(svc, "a\n", setup...); r.code != 0 {
			t.Fatal(r.stderr.String())
		}
	}
	clear(svc.keys)
	r := &run{}
	e := env(svc, r, "b\n")
	e.Environ = environ
	r.code = cli.Main(t.Context(), e, args)
	var keys []string
	for k := range svc.keys {
		keys = append(keys, k)
	}
	return r, strings.Join(keys, " ")
}

var keyVerbs = [][]string{
	{"append", "s2://demo-basin/s"},
	{"read", "s2://demo-basin/s", "--seq-num", "0", "--count", "1"},
	{"tail", "s2://demo-basin/s"},
	{"trim", "s2://demo-basin/s", "0"},
	{"fence", "s2://demo-basin/s", "token"},
	{"bench", "demo-basin", "--duration", "20ms", "--record-size", "200"},
}

func TestKeyReachesTheService(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("  "+keyText(1)+"\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, verb := range keyVerbs {
		for _, tc := range []struct {
			name    string
			environ []string
			flags   []string
			want    string
		}{
			{name: "none", want: "none"},
			{name: "short flag", flags: []string{"-k", keyText(1)}, want: keyText(1)},
			{name: "flag goes over the environment", environ: []string{"WEIR_ENCRYPTION_KEY=" + keyText(2)},
				flags: []string{"--encryption-key", keyText(1)}, want: keyText(1)},
			{name: "file", environ: []string{"WEIR_ENCRYPTION_KEY=" + keyText(2)}, flags: []string{"--encryption-key-file", file}, want: keyText(1)},
			{name: "WEIR_ENCRYPTION_KEY goes first", environ: []string{"S2_ENCRYPTION_KEY=" + keyText(2), "WEIR_ENCRYPTION_KEY=" + keyText(1)}, want: keyText(1)},
			{name: "S2_ENCRYPTION_KEY", environ: []string{"S2_ENCRYPTION_KEY=" + keyText(1), "WEIR_ENCRYPTION_KEY="}, want: keyText(1)},
		} {
			r, used := keyRun(t, tc.environ, append(append([]string{}, verb...), tc.flags...)...)
			if r.code != 0 || used != tc.want {
				t.Errorf("%s, %s: exit %d, keys %s; %s", verb[0], tc.name, r.code, used, r.stderr.String())
			}
		}
	}
}

func TestBadKeysAreMistakesThatAreNotRepeated(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, tc := range map[string]struct {
		environ []string
		flags   []string
		says    string
	}{
		"short":        {flags: []string{"-k", "s3cr3t"}, says: "--encryption-key: the key must be 32 bytes in Base64"},
		"long":         {flags: []string{"-k", "s3cr3t" + keyText(1)}, says: "--encryption-key: the key must be"},
		"environment":  {environ: []string{"S2_ENCRYPTION_KEY=s3cr3t"}, says: "S2_ENCRYPTION_KEY: the key must be"},
		"file":         {flags: []string{"--encryption-key-file", file("bad", "s3cr3t\n")}, says: "--encryption-key-file: the key must be"},
		"empty file":   {flags: []string{"--encryption-key-file", file("empty", "")}, says: "--encryption-key-file: the key must be"},
		"large file":   {flags: []string{"--encryption-key-file", file("large", strings.Repeat("s3cr3t", 1000))}, says: "too large"},
		"missing file": {flags: []string{"--encryption-key-file", filepath.Join(dir, "none")}, says: "no such file"},
		"two flags":    {flags: []string{"-k", "s3cr3t", "--encryption-key-file", "f"}, says: "encryption-key"},
	} {
		for _, verb := range keyVerbs {
			r, used := keyRun(t, tc.environ, append(append([]string{}, verb...), tc.flags...)...)
			if r.code != 2 || used != "" || !strings.Contains(r.stderr.String(), tc.says) || strings.Contains(r.stderr.String(), "s3cr3t") {
				t.Errorf("%s, %s: exit %d, keys %q; %s", verb[0], name, r.code, used, r.stderr.String())
			}
		}
	}
}

// TestHelpShowsNoKey: a default taken from the environment would.
func TestHelpShowsNoKey(t *testing.T) {
	for _, verb := range keyVerbs {
		r := &run{}
		e := env(newFake(), r, "")
		e.Environ = []string{"WEIR_ENCRYPTION_KEY=" + keyText(1)}
		if code := cli.Main(t.Context(), e, []string{verb[0], "--help"}); code != 0 || strings.Contains(r.stdout.String(), keyText(1)) {
			t.Errorf("%s: exit %d\n%s", verb[0], code, r.stdout.String())
		}
	}
}
