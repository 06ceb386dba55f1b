package conformance

import (
	"strings"
	"testing"

	"github.com/weirstream/weir/protocol"
)

// webEncryptionCases: data plane A.15 as it shows in HTTP.
var webEncryptionCases = []WebCase{
	{Row: "A.15/279", Name: "append and read with the header", Run: func(t *testing.T, e *WebEnv) {
		for _, c := range ciphers {
			s := e.encrypted(c)
			e.post(s.records(""), `{"records":[{"headers":[["k","v"]],"body":"secret"}]}`, s.in(), jsonBody, keyHeader(keyA)).ack()
			e.get(s.records("?seq_num=0"), s.in(), base64Fmt, keyHeader(keyA)).batch().Seqs(0, 1).Bodies("secret")
			e.get(s.records("?seq_num=0"), s.in(), wantProto, keyHeader(keyA)).batch().Seqs(0, 1).Bodies("secret")
		}
	}},
	{Row: "A.15/280", Name: "a unary read with another key", Run: func(t *testing.T, e *WebEnv) {
		s := e.encrypted(protocol.CipherAEGIS256)
		s.Append(text("a"))
		message := e.get(s.records("?seq_num=0"), s.in(), keyHeader(keyB)).fails(protocol.CodeDecryptionFailed)
		if !strings.Contains(message, "record decryption failed") {
			t.Fatalf("the message is %q", message)
		}
	}},
	{Row: "A.15/281", Name: "no stream of events starts without the key", Run: func(t *testing.T, e *WebEnv) {
		s := e.encrypted(protocol.CipherAEGIS256)
		s.Append(text("a"))
		e.missesKey(e.get(s.records("?seq_num=0"), s.in(), wantSSE))
		e.missesKey(e.get(s.records("?seq_num=0"), s.in()))
		e.missesKey(e.post(s.records(""), oneRecord, s.in(), jsonBody))
		v := e.events(s.records("?seq_num=0&count=1"), s.in(), keyHeader(keyA))
		v.batch("0,1,9").Bodies("a")
	}},
	{Row: "A.15/282", Name: "no session starts without the key", Run: func(t *testing.T, e *WebEnv) {
		s := e.encrypted(protocol.CipherAES256GCM)
		s.Append(text("a"))
		e.missesKey(e.get(s.records("?seq_num=0"), s.in(), s2sBody))
		e.missesKey(e.post(s.records(""), string(inputFrame(text("a"))), s.in(), s2sBody))
		s.At(1)
	}},
	{Row: "A.15/283", Name: "sessions with the key", Run: func(t *testing.T, e *WebEnv) {
		for _, c := range ciphers {
			s := e.encrypted(c)
			w := e.writing(s, keyHeader(keyA)).in(text("secret")).finish()
			w.acked(0, 1)
			w.ends()
			r := e.reading(s, "?seq_num=0&count=1", keyHeader(keyA))
			r.batch().Seqs(0, 1).Bodies("secret")
			r.ends()
			e.reading(s, "?seq_num=0&count=1", keyHeader(keyB)).breaks(protocol.CodeDecryptionFailed)
		}
	}},
	{Row: "A.15/284", Name: "white space around a key", Run: func(t *testing.T, e *WebEnv) {
		s := e.encrypted(protocol.CipherAEGIS256)
		equal(t, "length of a key", len(keyA.Reveal()), 44)
		e.post(s.records(""), oneRecord, s.in(), jsonBody, "s2-encryption-key:   "+keyA.Reveal()+" ").ack()
		s.Read(from(0)).Bodies("x")
	}},
	{Row: "A.15/285", Name: "a key that is blank or too long, on any stream", Run: func(t *testing.T, e *WebEnv) {
		b := e.Basin(createOnAppend)
		for _, s := range []*Stream{e.full(), e.encrypted(protocol.CipherAEGIS256), b.Missing("stream")} {
			for _, bad := range []string{"", "   ", keyA.Reveal() + "A"} {
				e.get(s.records("?seq_num=0"), s.in(), "s2-encryption-key: "+bad).fails(protocol.CodeBadHeader)
				e.post(s.records(""), oneRecord, s.in(), jsonBody, "s2-encryption-key: "+bad).fails(protocol.CodeBadHeader)
			}
		}
		b.Holds()
	}},
	{Row: "A.15/286", Name: "a key that is none, on a plain stream", Run: func(t *testing.T, e *WebEnv) {
		s := e.full()
		e.get(s.records("?seq_num=0"), s.in(), "s2-encryption-key: !!!!").ok()
	}},
	{Row: "A.15/288,289", Name: "a key that is none, on an encrypted stream", Run: func(t *testing.T, e *WebEnv) {
		s := e.encrypted(protocol.CipherAEGIS256)
		for bad := range badKeys {
			for _, kind := range []string{wantJSON, wantSSE, s2sBody} {
				e.get(s.records("?seq_num=0&wait=1"), s.in(), kind, "s2-encryption-key: "+bad).fails(protocol.CodeBadHeader)
			}
			e.post(s.records(""), oneRecord, s.in(), jsonBody, "s2-encryption-key: "+bad).fails(protocol.CodeBadHeader)
			e.get(s.records("/tail"), s.in(), "s2-encryption-key: "+bad).ok()
		}
		s.At(0)
	}},
	{Row: "7.2", Name: "no answer repeats a key", Run: func(t *testing.T, e *WebEnv) {
		s := e.encrypted(protocol.CipherAEGIS256)
		s.Append(text("a"))
		for _, key := range []string{keyB.Reveal(), strings.Repeat("secret+/", 5), strings.Repeat("secret", 9)} {
			for _, a := range []*Answer{
				e.get(s.records("?seq_num=0"), s.in(), "s2-encryption-key: "+key),
				e.post(s.records(""), `{"records":[]}`, s.in(), jsonBody, "s2-encryption-key: "+key),
			} {
				if a.Status < 400 || strings.Contains(string(a.Body), key[:8]) {
					t.Fatalf("status %d with %s", a.Status, a.Body)
				}
			}
		}
	}},
}

// missesKey checks that the answer says that the key is missing.
func (e *WebEnv) missesKey(a *Answer) {
	e.t.Helper()
	if message := a.fails(protocol.CodeBadHeader); !strings.Contains(message, "missing encryption key") {
		e.t.Fatalf("%s: the message is %q", a.what, message)
	}
}
