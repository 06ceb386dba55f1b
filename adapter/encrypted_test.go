package adapter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/weirstream/weir/adapter/internal/catalog"

	"github.com/weirstream/weir/adapter/internal/recordcipher"
	"github.com/weirstream/weir/protocol"
)

var ciphers = []protocol.Cipher{protocol.CipherAEGIS256, protocol.CipherAES256GCM}

func keyOf(b byte) protocol.EncryptionKey {
	return protocol.NewEncryptionKey([32]byte(bytes.Repeat([]byte{b}, 32)))
}

func header(name, value string) protocol.Header {
	return protocol.Header{Name: []byte(name), Value: []byte(value)}
}

// encrypted makes a basin with the cipher and a stream in it.
func (h *harness) encrypted(name string, c protocol.Cipher) protocol.StreamRef {
	h.t.Helper()
	return h.stream(h.basin(name, protocol.BasinConfig{StreamCipher: c}), "s", protocol.StreamConfig{})
}

func (h *harness) keyed(ref protocol.StreamRef, key protocol.EncryptionKey) *EncryptedStream {
	h.t.Helper()
	s, err := h.handle(ref).WithKey(key)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(s.Close)
	return s
}

// appender is what both kinds of appender are.
type submitter interface {
	Submit(context.Context, protocol.AppendInput, func(protocol.AppendAck, error)) error
}

func mustSubmit(t testing.TB, appender submitter, recs ...protocol.Record) protocol.AppendAck {
	t.Helper()
	ch := make(chan outcome, 1)
	err := appender.Submit(t.Context(), protocol.AppendInput{Records: recs}, func(a protocol.AppendAck, err error) { ch <- outcome{a, err} })
	if err != nil {
		t.Fatal(err)
	}
	got := <-ch
	if got.err != nil {
		t.Fatal(got.err)
	}
	return got.ack
}

type cursor interface {
	Next(context.Context) (protocol.Records, error)
	Close()
}

// drain returns what a cursor gives, and why it ended; nil for its end.
func drain(t testing.TB, c cursor) (recs []protocol.SequencedRecord, metered uint64, err error) {
	t.Helper()
	defer c.Close()
	for {
		r, err := c.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return recs, metered, nil
		}
		if err != nil {
			return recs, metered, err
		}
		recs, metered = append(recs, r.Slice()...), metered+r.MeteredSize()
	}
}

func TestEncryptedStreamSurvivesARestart(t *testing.T) {
	for _, c := range ciphers {
		t.Run(string(c), func(t *testing.T) {
			h := newHarness(t)
			ref := h.encrypted("test-basin", c)
			s := h.keyed(ref, keyOf(1))
			appender := s.Appender()
			record := protocol.Record{Headers: []protocol.Header{header("k", "v")}, Body: bytes.Repeat([]byte("x"), 500)}
			mustSubmit(t, appender, record, protocol.FenceRecord("token"), record)
			mustSubmit(t, appender, record)
			s.Close()
			h.reopen()

			s = h.keyed(ref, keyOf(1))
			got, metered, err := drain(t, s.Scan(0, 4))
			if err != nil || len(got) != 4 {
				t.Fatalf("%d records, %v", len(got), err)
			}
			command := protocol.FenceRecord("token")
			if want := 3*record.MeteredSize() + command.MeteredSize(); metered != want {
				t.Errorf("%d metered bytes, want %d", metered, want)
			}
			if string(got[1].Body) != "token" || string(got[3].Headers[0].Value) != "v" {
				t.Errorf("got %v", got)
			}
			// The middle of a chunk.
			if got, _, err := drain(t, s.Scan(2, 3)); err != nil || len(got) != 1 || len(got[0].Body) != 500 {
				t.Errorf("from the middle: %v, %v", got, err)
			}
			// The stored chunk counts what the client appended, and names the cipher.
			chunk, err := s.st.log.getNext(t.Context(), s.st.subject, 1)
			if err != nil {
				t.Fatal(err)
			}
			if chunk.Cipher != c || chunk.Records.MeteredSize() != 2*record.MeteredSize()+command.MeteredSize() {
				t.Errorf("the chunk has cipher %q and %d metered bytes", chunk.Cipher, chunk.Records.MeteredSize())
			}
		})
	}
}

// TestFollowersShareWhatTheyDoNotWrite: the ring keeps the batch as it is stored, whoever decrypts it with whatever key.
func TestFollowersShareWhatTheyDoNotWrite(t *testing.T) {
	h := newHarness(t)
	ref := h.encrypted("test-basin", protocol.CipherAEGIS256)
	right, wrong := h.keyed(ref, keyOf(1)), h.keyed(ref, keyOf(2))
	feeds := make([]*DecryptingFeed, 3)
	for i, s := range []*EncryptedStream{right, wrong, right} {
		feed, _, err := s.Follow(t.Context(), 0)
		if err != nil || feed == nil {
			t.Fatal(feed, err)
		}
		defer feed.Close()
		feeds[i] = feed
	}
	mustSubmit(t, right.Appender(), body("a"), body("b"))
	var texts []string
	for i, feed := range feeds {
		batch, _, err := feed.Poll()
		if i == 1 {
			if protocol.CodeOf(err) != protocol.CodeDecryptionFailed {
				t.Errorf("another key: %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for rec := range batch.Records.All() {
			texts = append(texts, string(rec.Body))
		}
		if batch.Tail == nil || batch.Tail.SeqNum != 2 {
			t.Errorf("tail %v", batch.Tail)
		}
	}
	if got := strings.Join(texts, ""); got != "abab" {
		t.Errorf("the followers got %q", got)
	}
	if feed, tail, err := right.Follow(t.Context(), 0); feed != nil || tail.SeqNum != 2 || err != nil {
		t.Errorf("behind the tail: %v, %v, %v", feed, tail, err)
	}
}

// TestChunkOfAnotherCipher: data plane A.15/295, and the other way round.
func TestChunkOfAnotherCipher(t *testing.T) {
	h := newHarness(t)
	plain := h.stream(h.basin("plain-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	secret := h.encrypted("test-basin", protocol.CipherAEGIS256)
	h.mustAppend(plain, body("a"))
	s := h.keyed(secret, keyOf(1))
	mustSubmit(t, s.Appender(), body("a"))

	p := h.handle(plain)
	defer p.Close()
	p.st.cipher, s.st.cipher = protocol.CipherAEGIS256, protocol.CipherNone
	if _, _, err := drain(t, s.Stream.Scan(0, 1)); protocol.CodeOf(err) != protocol.CodeStorage {
		t.Errorf("an encrypted record on a plain stream: %v", err)
	}
	withKey, err := p.WithKey(keyOf(1))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := drain(t, withKey.Scan(0, 1)); protocol.CodeOf(err) != protocol.CodeStorage {
		t.Errorf("a plain record on an encrypted stream: %v", err)
	}
}

// TestRecordsBeforeAFailureAreDelivered, and then the failure, for good (data plane 7.4).
func TestRecordsBeforeAFailureAreDelivered(t *testing.T) {
	h := newHarness(t)
	ref := h.encrypted("test-basin", protocol.CipherAES256GCM)
	a, b := h.keyed(ref, keyOf(1)), h.keyed(ref, keyOf(2))
	mustSubmit(t, a.Appender(), body("0"), protocol.TrimRecord(0), body("2"))
	mustSubmit(t, b.Appender(), body("3"))
	mustSubmit(t, a.Appender(), body("4"))
	c := a.Scan(0, 5)
	got, _, err := drain(t, c)
	if len(got) != 3 || protocol.CodeOf(err) != protocol.CodeDecryptionFailed {
		t.Errorf("%d records, %v", len(got), err)
	}
	if _, err := c.Next(t.Context()); protocol.CodeOf(err) != protocol.CodeDecryptionFailed {
		t.Errorf("once more: %v", err)
	}
	for key, from := range map[*EncryptedStream]uint64{a: 4, b: 3} {
		if got, _, err := drain(t, key.Scan(from, from+1)); err != nil || len(got) != 1 {
			t.Errorf("from %d: %v, %v", from, got, err)
		}
	}
}

// TestFullEncryptedBatch: a batch at both limits is stored and found again; what encryption adds does not count.
func TestFullEncryptedBatch(t *testing.T) {
	h := newHarness(t)
	for i, c := range ciphers {
		s := h.keyed(h.encrypted(fmt.Sprintf("test-basin-%d", i), c), keyOf(1))
		full := make([]protocol.Record, protocol.MaxBatchRecords)
		for i := range full {
			full[i].Body = make([]byte, protocol.MaxBatchBytes/protocol.MaxBatchRecords-8)
		}
		appender := s.Appender()
		mustSubmit(t, appender, full...)
		mustSubmit(t, appender, protocol.Record{Body: make([]byte, protocol.MaxBatchBytes-8)})
		got, metered, err := drain(t, s.Scan(0, 1001))
		want := uint64(protocol.MaxBatchBytes) + protocol.MaxBatchRecords*full[0].MeteredSize()
		if err != nil || len(got) != 1001 || metered != want {
			t.Errorf("%s: %d records of %d bytes, %v", c, len(got), metered, err)
		}
	}
}

// TestBudgetIsGivenBack whatever becomes of an encrypted append.
func TestBudgetIsGivenBack(t *testing.T) {
	h := newHarness(t, func(o *Options) { o.InflightBytes = protocol.MaxBatchBytes })
	s := h.keyed(h.encrypted("test-basin", protocol.CipherAEGIS256), keyOf(1))
	large := protocol.Record{Body: make([]byte, protocol.MaxBatchBytes-8)}
	for range 3 {
		mustSubmit(t, s.Appender(), large)
	}
	next := uint64(7)
	for range 3 {
		ch := make(chan error, 1)
		err := s.Appender().Submit(t.Context(), protocol.AppendInput{Records: []protocol.Record{large}, MatchSeqNum: &next},
			func(_ protocol.AppendAck, err error) { ch <- err })
		if err == nil {
			err = <-ch
		}
		if protocol.CodeOf(err) != protocol.CodeConditionFailed {
			t.Fatal(err)
		}
	}
	mustSubmit(t, s.Appender(), large)
}

// TestMeteredSizeOfAPartOfAChunk needs no key.
func TestMeteredSizeOfAPartOfAChunk(t *testing.T) {
	h := newHarness(t)
	records := []protocol.Record{body("a"), protocol.FenceRecord("t"), body("longer than the first"), body("b")}
	for i, c := range append(ciphers, protocol.CipherNone) {
		ref := h.encrypted(fmt.Sprintf("test-basin-%d", i), c)
		s := h.handle(ref)
		defer s.Close()
		if c == protocol.CipherNone {
			h.mustAppend(ref, records...)
		} else {
			mustSubmit(t, h.keyed(ref, keyOf(1)).Appender(), records...)
		}
		chunk, err := s.st.log.getLast(t.Context(), s.st.subject)
		if err != nil {
			t.Fatal(err)
		}
		for from := range uint64(5) {
			in := protocol.AppendInput{Records: records[from:]}
			if got, want := chunk.meteredFrom(from), in.MeteredSize(); got != want {
				t.Errorf("cipher %q from %d: %d metered bytes, want %d", c, from, got, want)
			}
		}
	}
}

// TestGCMHasACeiling: data plane A.5/90 to 93.
func TestGCMHasACeiling(t *testing.T) {
	envelope, trim, fence := protocol.Record{Body: []byte("x")}, protocol.TrimRecord(0), protocol.FenceRecord("t")
	for _, tc := range []struct {
		name    string
		gcm     bool
		next    uint64
		records []protocol.Record
		refused bool
	}{
		{"90: two envelopes from 2^32-1", true, recordcipher.MaxGCMSeqNum, []protocol.Record{envelope, envelope}, true},
		{"91: an envelope at 2^32-1", true, recordcipher.MaxGCMSeqNum, []protocol.Record{envelope}, false},
		{"a command behind it", true, recordcipher.MaxGCMSeqNum, []protocol.Record{envelope, trim}, false},
		{"an envelope behind a command", true, recordcipher.MaxGCMSeqNum, []protocol.Record{trim, envelope}, true},
		{"92: trim at 2^32", true, recordcipher.MaxGCMSeqNum + 1, []protocol.Record{trim}, false},
		{"92: fence at 2^32", true, recordcipher.MaxGCMSeqNum + 1, []protocol.Record{fence}, false},
		{"an envelope at 2^32", true, recordcipher.MaxGCMSeqNum + 1, []protocol.Record{envelope}, true},
		{"93: without AES-256-GCM", false, recordcipher.MaxGCMSeqNum + 1, []protocol.Record{envelope}, false},
	} {
		s := state{next: tc.next}
		threshold, err := s.check(&protocol.AppendInput{Records: tc.records}, nil, &settings{gcm: tc.gcm})
		if refused := protocol.CodeOf(err) == protocol.CodeInvalid; refused != tc.refused || threshold != 0 || !tc.refused && err != nil {
			t.Errorf("%s: %v from %d", tc.name, err, threshold)
		}
	}
	for c, want := range map[protocol.Cipher]bool{"": false, protocol.CipherAEGIS256: false, protocol.CipherAES256GCM: true} {
		e := catalog.NewEntry("test-basin", &catalog.StreamRecord{Cipher: c}, 1, &catalog.CheckTime{})
		if got := settingsOf(e).gcm; got != want {
			t.Errorf("cipher %q: the ceiling is on: %v", c, got)
		}
	}
}
