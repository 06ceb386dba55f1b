package broker_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/internal/httpclient"
	"github.com/weirstream/weir/protocol"
)

// secrets are keys and plaintexts in all forms in which they could leak.
type secrets map[string][]byte

func (s secrets) key(name string, raw []byte) {
	s[name+", raw"] = raw
	s[name+", Base64"] = []byte(base64.StdEncoding.EncodeToString(raw))
	s[name+", Base64 for URLs"] = []byte(base64.RawURLEncoding.EncodeToString(raw))
	s[name+", hexadecimal"] = fmt.Appendf(nil, "%x", raw)
	s[name+", as a list"] = fmt.Appendf(nil, "%v", raw)
}

// search reports what is found in the text.
func (s secrets) search(t *testing.T, where string, text []byte) {
	t.Helper()
	for name, secret := range s {
		if bytes.Contains(text, secret) {
			t.Errorf("%s holds the %s", where, name)
		}
	}
}

// lockedBuffer takes a log from many goroutines.
type lockedBuffer struct {
	mu   sync.Mutex
	text []byte
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = append(b.text, p...)
	return len(p), nil
}

func (b *lockedBuffer) Bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.text)
}

// TestKeysAndPlaintextStayOutOfLogsErrorsAndDisk drives encrypted streams over all doors, well and badly, with everything
// logged that can be, the NATS server's trace of whole messages included.
func TestKeysAndPlaintextStayOutOfLogsErrorsAndDisk(t *testing.T) {
	dir := t.TempDir()
	natsConf := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(natsConf, []byte("debug: true\ntrace: true\ntrace_verbose: true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := onDisk(dir)
	c.NATS.ConfigFile = natsConf
	c.HTTP.Listen = "127.0.0.1:0"
	c.Log.Level = "debug"
	log := &lockedBuffer{}
	b, err := broker.Start(t.Context(), c, broker.WithLogger(slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug - 4}))))
	if err != nil {
		t.Fatal(err)
	}
	nc, err := b.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()

	hidden := secrets{}
	var failures []string
	for i, cipher := range []protocol.Cipher{protocol.CipherAEGIS256, protocol.CipherAES256GCM} {
		basin := protocol.BasinName(fmt.Sprintf("secret-basin-%d", i))
		config := protocol.BasinConfig{StreamCipher: cipher, CreateStreamOnAppend: true}
		if _, _, err := b.Service().EnsureBasin(t.Context(), basin, protocol.EnsureBasinRequest{Config: config}); err != nil {
			t.Fatal(err)
		}
		for door, svc := range map[string]protocol.Service{
			"process": b.Service(), "nats": client.New(nc, client.Options{}), "http": httpclient.New(b.HTTPURL(), http.DefaultClient),
			"json": httpclient.New(b.HTTPURL(), http.DefaultClient, httpclient.JSON),
		} {
			ref := protocol.StreamRef{Basin: basin, Stream: protocol.StreamName(door)}
			failures = append(failures, driveEncrypted(t, svc, ref, hidden)...)
		}
	}
	failures = append(failures, rawNATS(t, nc, hidden)...)
	http.DefaultClient.CloseIdleConnections()
	closeBroker(t, b)

	for _, text := range failures {
		hidden.search(t, "the failure "+text, []byte(text))
	}
	searched := 0
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		hidden.search(t, filepath.Base(path), content)
		searched += len(content)
		return err
	})
	if err != nil || searched < 10_000 {
		t.Errorf("the store holds %d bytes: %v", searched, err)
	}
	text := log.Bytes()
	if !bytes.Contains(text, []byte("MSG_PAYLOAD")) || !bytes.Contains(text, []byte("S2-Encryption-Key: [hidden]")) {
		t.Error("the log does not hold the trace of requests")
	}
	for name := range hidden {
		if strings.HasPrefix(name, "plaintext") {
			delete(hidden, name) // the trace, which shows whole messages, is there to show it
		}
	}
	hidden.search(t, "the log", text)
}

// driveEncrypted appends and reads with the right key, and fails with others. It returns the texts of the failures.
func driveEncrypted(t *testing.T, svc protocol.Service, ref protocol.StreamRef, hidden secrets) (failures []string) {
	t.Helper()
	newKey := func(what string) protocol.RecordOption {
		var raw [protocol.EncryptionKeyBytes]byte
		_, _ = rand.Read(raw[:])
		hidden.key(what+" key of "+ref.String(), raw[:])
		return protocol.WithEncryptionKey(protocol.NewEncryptionKey(raw))
	}
	right, wrong := newKey("right"), newKey("wrong")
	plaintext := "plaintext-" + rand.Text()
	hidden["plaintext of "+ref.String()] = []byte(plaintext)
	in := protocol.AppendInput{Records: []protocol.Record{{Body: []byte(plaintext),
		Headers: []protocol.Header{{Name: []byte("name-" + plaintext), Value: []byte("value-" + plaintext)}}}}}
	if _, err := svc.Append(t.Context(), ref, in, right); err != nil {
		t.Fatal(ref, err)
	}
	w, err := svc.OpenAppendSession(t.Context(), ref, right)
	if err != nil {
		t.Fatal(ref, err)
	}
	defer w.Close()
	if err := w.Submit(t.Context(), in); err != nil {
		t.Fatal(ref, err)
	}
	if _, err := w.Recv(t.Context()); err != nil {
		t.Fatal(ref, err)
	}
	req := protocol.ReadRequest{Start: protocol.FromSeqNum(0)}
	if batch, err := svc.Read(t.Context(), ref, req, right); err != nil || batch.Records.Len() != 2 {
		t.Fatal(ref, batch.Records.Len(), err)
	}
	note := func(err error) {
		t.Helper()
		if err == nil {
			t.Errorf("%s: a key that is none was taken", ref)
			return
		}
		failures = append(failures, fmt.Sprintf("%v %+v", err, protocol.AsError(err).Body()))
	}
	_, err = svc.Read(t.Context(), ref, req, wrong)
	note(err)
	if r, err := svc.OpenReadSession(t.Context(), ref, req, wrong); err != nil {
		note(err)
	} else {
		_, err = r.Next(t.Context())
		note(err)
		_ = r.Close()
	}
	for _, text := range []string{"no-key-" + rand.Text(), base64.StdEncoding.EncodeToString([]byte(rand.Text()[:20]))} {
		hidden["bad key of "+ref.String()+" "+text] = []byte(text)
		bad, err := protocol.ParseEncryptionKey("key", text)
		if err != nil {
			t.Fatal(err)
		}
		with := protocol.WithEncryptionKey(bad)
		_, err = svc.Append(t.Context(), ref, in, with)
		note(err)
		_, err = svc.OpenReadSession(t.Context(), ref, req, with)
		note(err)
	}
	return failures
}

// rawNATS sends keys that the client would not: too long, twice, and where they do not belong.
func rawNATS(t *testing.T, nc *nats.Conn, hidden secrets) (failures []string) {
	t.Helper()
	text := rand.Text() + rand.Text()
	hidden["text of a bad key"] = []byte(text)
	for _, head := range []nats.Header{
		{protocol.HeaderEncryptionKey: {text}},
		{protocol.HeaderEncryptionKey: {text[:20], text}},
		{protocol.HeaderEncryptionKey: {text[:20]}, "s2-encryption-key": {text}},
		{"S2-Encryption-Keys": {text}},
	} {
		for _, subject := range []string{"s2.v1.append.secret-basin-0.raw", "s2.v1.read.secret-basin-0.raw"} {
			m, err := nc.RequestMsgWithContext(t.Context(), &nats.Msg{Subject: subject, Header: head, Data: []byte("{}")})
			if err != nil {
				t.Fatal(err)
			}
			if m.Header.Get(protocol.HeaderServiceErrorCode) != "400" {
				t.Errorf("%s %v: %v %s", subject, head, m.Header, m.Data)
			}
			failures = append(failures, fmt.Sprintf("%v %s", m.Header, m.Data))
		}
	}
	return failures
}
