package conformance

import (
	stdbytes "bytes"
	"strings"

	"github.com/weirstream/weir/protocol"
)

// ciphers are all that a basin can have.
var ciphers = []protocol.Cipher{protocol.CipherAEGIS256, protocol.CipherAES256GCM}

// keyA and keyB are two keys.
var keyA, keyB = keyOf('a'), keyOf('b')

func keyOf(b byte) protocol.EncryptionKey {
	return protocol.NewEncryptionKey([protocol.EncryptionKeyBytes]byte(stdbytes.Repeat([]byte{b}, protocol.EncryptionKeyBytes)))
}

// keyHeader is the header of HTTP that supplies a key.
func keyHeader(key protocol.EncryptionKey) string { return "s2-encryption-key: " + key.Reveal() }

// badKeys are key texts that may be sent and are no keys, with a word of the failure.
var badKeys = map[string]string{
	"!!!!":                  "Base64",
	"AAAA":                  "32",
	"AAAAAA==":              "32",
	strings.Repeat("A", 44): "32",
	strings.Repeat("A", 43): "Base64",
}

// encrypting sets the cipher of the basin's streams.
func encrypting(c protocol.Cipher) BasinOption {
	return func(b *protocol.BasinConfig) { b.StreamCipher = c }
}

// encrypted creates a stream with the cipher and returns it with keyA.
func (e *Env) encrypted(c protocol.Cipher, opts ...StreamOption) *Stream {
	e.t.Helper()
	return e.Basin(encrypting(c)).Stream("stream", opts...).with(keyA)
}

// with is the stream whose appends and reads supply the key in place of s's.
func (s *Stream) with(key protocol.EncryptionKey) *Stream {
	e := *s.e
	e.opts = []protocol.RecordOption{protocol.WithEncryptionKey(key)}
	return &Stream{s.StreamRef, &e}
}

// withText is with for the text of a key.
func (s *Stream) withText(text string) *Stream {
	s.e.t.Helper()
	key, err := protocol.ParseEncryptionKey("key", text)
	s.e.must(err, "parse a key")
	return s.with(key)
}

// configured is the stream with appends and reads that give it the configuration if they create it.
func (s *Stream) configured(config protocol.StreamConfig) *Stream {
	e := *s.e
	e.opts = []protocol.RecordOption{protocol.WithNewStream(config)}
	return &Stream{s.StreamRef, &e}
}

// keyless is the stream without a key.
func (s *Stream) keyless() *Stream { return s.with(protocol.EncryptionKey{}) }

// refusesKey checks that neither appends nor reads, and no sessions of them, take the stream's key.
func (s *Stream) refusesKey(says string) {
	s.e.t.Helper()
	before := s.Tail()
	check := func(err error) {
		s.e.t.Helper()
		if f := s.e.fails(err, protocol.CodeBadHeader); !strings.Contains(f.Message, says) {
			s.e.t.Fatalf("the failure says %q and not %q", f.Message, says)
		}
	}
	_, err := s.tryAppend(text("refused"))
	check(err)
	_, err = s.e.Service.OpenAppendSession(s.e.ctx, s.StreamRef, s.e.opts...)
	check(err)
	_, err = s.tryRead(from(0))
	check(err)
	_, err = s.tryFollow(from(0))
	check(err)
	equal(s.e.t, "tail after the refusals", s.Tail(), before)
}

// undecipherable checks that a read fails because records cannot be decrypted.
func (s *Stream) undecipherable(terms ...Term) {
	s.e.t.Helper()
	_, err := s.tryRead(terms...)
	s.e.saysDecryption(s.e.fails(err, protocol.CodeDecryptionFailed))
}

func (e *Env) saysDecryption(f *protocol.Error) {
	e.t.Helper()
	if !strings.Contains(f.Message, "record decryption failed") {
		e.t.Fatalf("the failure says %q", f.Message)
	}
}
