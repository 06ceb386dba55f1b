package recordcipher

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/weirstream/weir/protocol"
)

var ciphers = []protocol.Cipher{protocol.CipherAEGIS256, protocol.CipherAES256GCM}

func keyOf(b byte) protocol.EncryptionKey {
	return protocol.NewEncryptionKey([32]byte(bytes.Repeat([]byte{b}, 32)))
}

var encryptedRef = protocol.StreamRef{Basin: "test-basin", Stream: "s"}

func mustCipher(t testing.TB, c protocol.Cipher, key byte, ref protocol.StreamRef) *Cipher {
	t.Helper()
	rc, err := New(c, keyOf(key), ref)
	if err != nil {
		t.Fatal(err)
	}
	return rc
}

// storedRun is records as a chunk has them, from seq_num 7 on.
func storedRun(records ...protocol.Record) protocol.Records {
	var run []protocol.SequencedRecord
	for i, r := range records {
		run = append(run, protocol.SequencedRecord{SeqNum: 7 + uint64(i), Timestamp: 100, Headers: r.Headers, Body: r.Body})
	}
	return protocol.RecordsOf(run...)
}

func encryptRun(t testing.TB, c *Cipher, records ...protocol.Record) protocol.Records {
	t.Helper()
	stored, err := c.Encrypt(records)
	if err != nil {
		t.Fatal(err)
	}
	return storedRun(stored...)
}

func header(name, value string) protocol.Header {
	return protocol.Header{Name: []byte(name), Value: []byte(value)}
}

var samples = []protocol.Record{
	{},
	{Body: []byte("a body")},
	{Headers: []protocol.Header{header("k", "v"), header("k", ""), header("\x00\xff", "bytes")}},
	{Headers: []protocol.Header{header("", "a"), header("b", "")}, Body: bytes.Repeat([]byte("long "), 1000)},
	protocol.FenceRecord("token"),
	protocol.TrimRecord(3),
}

// TestEncryptedRecordsComeBack: data plane A.15/290, 296, 298.
func TestEncryptedRecordsComeBack(t *testing.T) {
	records := append([]protocol.Record{}, samples...)
	records[3].Headers = records[3].Headers[1:]
	for _, c := range ciphers {
		rc := mustCipher(t, c, 1, encryptedRef)
		stored, want := encryptRun(t, rc, records...), storedRun(records...)
		got, err := rc.Decrypt(stored)
		if err != nil {
			t.Fatal(c, err)
		}
		if !bytes.Equal(got.Wire(), want.Wire()) || got.Len() != want.Len() || got.MeteredSize() != want.MeteredSize() ||
			got.First() != want.First() || got.Last() != want.Last() {
			t.Errorf("%s: got %+v, want %+v", c, got, want)
		}
		for _, text := range []string{"a body", "long long", "bytes"} {
			if bytes.Contains(stored.Wire(), []byte(text)) {
				t.Errorf("%s: %q is stored in the clear", c, text)
			}
		}
		// A command needs no key that fits.
		commands := stored.From(7 + 4)
		if got, err := mustCipher(t, c, 9, encryptedRef).Decrypt(commands); err != nil || got.Len() != 2 {
			t.Errorf("%s: commands under another key: %d, %v", c, got.Len(), err)
		}
	}
}

// TestNoncesDiffer: the same record twice is not the same when stored.
func TestNoncesDiffer(t *testing.T) {
	for _, c := range ciphers {
		seen := map[[32]byte]bool{}
		run := encryptRun(t, mustCipher(t, c, 1, encryptedRef), make([]protocol.Record, 100)...)
		for r := range run.All() {
			seen[sha256.Sum256(r.Body[1:])] = true
		}
		if len(seen) != 100 {
			t.Errorf("%s: %d of 100 stored records differ", c, len(seen))
		}
	}
}

// TestDecryptionFails: data plane A.15/291 to 294 and 297.
func TestDecryptionFails(t *testing.T) {
	record := protocol.Record{Headers: []protocol.Header{header("k", "v")}, Body: []byte("a body")}
	altered := func(f func(body []byte) []byte) func(protocol.Record) protocol.Record {
		return func(r protocol.Record) protocol.Record {
			r.Body = f(bytes.Clone(r.Body))
			return r
		}
	}
	same := func(r protocol.Record) protocol.Record { return r }
	for _, tc := range []struct {
		name   string
		key    byte
		ref    protocol.StreamRef
		change func(protocol.Record) protocol.Record
		code   protocol.Code
	}{
		{"the wrong key", 2, encryptedRef, same, protocol.CodeDecryptionFailed},
		{"another stream", 1, protocol.StreamRef{Basin: "test-basin", Stream: "t"}, same, protocol.CodeDecryptionFailed},
		{"names that run together", 1, protocol.StreamRef{Basin: "test-basi", Stream: "ns"}, same, protocol.CodeDecryptionFailed},
		{"an altered nonce", 1, encryptedRef, altered(func(b []byte) []byte { b[2] ^= 1; return b }), protocol.CodeDecryptionFailed},
		{"an altered text", 1, encryptedRef, altered(func(b []byte) []byte { b[len(b)-17] ^= 1; return b }), protocol.CodeDecryptionFailed},
		{"an altered tag", 1, encryptedRef, altered(func(b []byte) []byte { b[len(b)-1] ^= 1; return b }), protocol.CodeDecryptionFailed},
		{"a cut text", 1, encryptedRef, altered(func(b []byte) []byte { return b[:len(b)-1] }), protocol.CodeDecryptionFailed},
		{"the other cipher's format id", 1, encryptedRef, altered(func(b []byte) []byte { b[1] ^= 3; return b }), protocol.CodeStorage},
		{"an unknown format id", 1, encryptedRef, altered(func(b []byte) []byte { b[1] = 9; return b }), protocol.CodeStorage},
		{"an empty body", 1, encryptedRef, altered(func([]byte) []byte { return nil }), protocol.CodeStorage},
		{"a size alone", 1, encryptedRef, altered(func(b []byte) []byte { return b[:1] }), protocol.CodeStorage},
		{"a size without end", 1, encryptedRef, altered(func([]byte) []byte { return bytes.Repeat([]byte{0x80}, 20) }), protocol.CodeStorage},
		{"a frame shorter than nonce and tag", 1, encryptedRef, altered(func(b []byte) []byte { return b[:2+12+15] }), protocol.CodeStorage},
		{"another metered size", 1, encryptedRef, altered(func(b []byte) []byte { b[0]++; return b }), protocol.CodeStorage},
		{"a plaintext record", 1, encryptedRef, func(protocol.Record) protocol.Record { return record }, protocol.CodeStorage},
	} {
		for _, c := range ciphers {
			stored, err := mustCipher(t, c, 1, encryptedRef).Encrypt([]protocol.Record{record, record})
			if err != nil {
				t.Fatal(err)
			}
			stored[1] = tc.change(stored[1])
			run := storedRun(stored...)
			before := bytes.Clone(run.Wire())
			got, err := mustCipher(t, c, tc.key, tc.ref).Decrypt(run)
			if protocol.CodeOf(err) != tc.code {
				t.Errorf("%s: %s: %v, want code %s", c, tc.name, err, tc.code)
			}
			if tc.code == protocol.CodeDecryptionFailed && (err == nil || !strings.Contains(err.Error(), "record decryption failed")) {
				t.Errorf("%s: %s: the message is %v", c, tc.name, err)
			}
			want := 1
			if tc.key != 1 || tc.ref != encryptedRef {
				want = 0
			}
			if got.Len() != want {
				t.Errorf("%s: %s: %d records came before the failure, want %d", c, tc.name, got.Len(), want)
			}
			if !bytes.Equal(run.Wire(), before) {
				t.Errorf("%s: %s: what is stored was written to", c, tc.name)
			}
		}
	}
}

// TestKeyIsResolvedForTheStream: data plane A.15/287 to 289.
func TestKeyIsResolvedForTheStream(t *testing.T) {
	parse := func(text string) protocol.EncryptionKey {
		k, err := protocol.ParseEncryptionKey("key", text)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	for _, c := range ciphers {
		for name, tc := range map[string]struct {
			key  protocol.EncryptionKey
			says string
		}{
			"none":       {protocol.EncryptionKey{}, "missing encryption key"},
			"no Base64":  {parse("!!!!"), "not valid Base64"},
			"3 bytes":    {parse("AAAA"), "32 are needed"},
			"33 bytes":   {parse(strings.Repeat("A", 44)), "32 are needed"},
			"no padding": {parse(strings.Repeat("A", 43)), "not valid Base64"},
		} {
			_, err := New(c, tc.key, encryptedRef)
			if protocol.CodeOf(err) != protocol.CodeBadHeader || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%s: %s: %v", c, name, err)
			}
		}
	}
}

func FuzzDecrypt(f *testing.F) {
	for _, c := range ciphers {
		rc := mustCipher(f, c, 1, encryptedRef)
		for _, r := range samples[1:3] {
			for rec := range encryptRun(f, rc, r).All() {
				f.Add(rec.Body)
			}
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, c := range ciphers {
			got, err := mustCipher(t, c, 1, encryptedRef).Decrypt(storedRun(protocol.Record{Body: body}))
			if (err == nil) != (got.Len() == 1) {
				t.Fatalf("%d records and %v", got.Len(), err)
			}
			if err == nil {
				if size, _ := binary.Uvarint(body); got.MeteredSize() != size {
					t.Fatalf("%d metered bytes, stored as %d", got.MeteredSize(), size)
				}
			}
		}
	})
}

func FuzzEncryptRoundTrip(f *testing.F) {
	f.Add([]byte("name"), []byte("value"), []byte("body"), uint8(2))
	f.Fuzz(func(t *testing.T, name, value, body []byte, headers uint8) {
		if len(name) == 0 {
			return
		}
		r := protocol.Record{Body: body}
		for range headers {
			r.Headers = append(r.Headers, protocol.Header{Name: name, Value: value})
		}
		for _, c := range ciphers {
			rc := mustCipher(t, c, 1, encryptedRef)
			got, err := rc.Decrypt(encryptRun(t, rc, r))
			if want := storedRun(r); err != nil || !bytes.Equal(got.Wire(), want.Wire()) || got.MeteredSize() != want.MeteredSize() {
				t.Fatalf("got %x, %v", got.Wire(), err)
			}
		}
	})
}

// What encryption alone costs, for a batch of 1000 records of 100 bytes.
//
// go test -run '^$' -bench RecordCipher ./adapter/internal/recordcipher -benchmem -count 10 | benchstat -
func BenchmarkRecordCipher(b *testing.B) {
	var in []protocol.Record
	metered := uint64(0)
	for range 1000 {
		in = append(in, protocol.Record{Body: make([]byte, 100)})
		metered += in[0].MeteredSize()
	}
	for _, c := range ciphers {
		rc := mustCipher(b, c, 1, encryptedRef)
		b.Run("do=encrypt/cipher="+string(c), func(b *testing.B) {
			b.SetBytes(int64(metered))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := rc.Encrypt(in); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("do=decrypt/cipher="+string(c), func(b *testing.B) {
			run := encryptRun(b, rc, in...)
			b.SetBytes(int64(metered))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := rc.Decrypt(run); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
