package conformance

import (
	stdbytes "bytes"
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

// encryptionCases: data plane 7 and A.15, and the rows elsewhere that are about encrypted streams.
var encryptionCases = []Case{
	{Row: "A.15/278", Name: "two records come back with the key", Run: func(t *testing.T, e *Env) {
		for _, c := range ciphers {
			s := e.encrypted(c)
			s.AppendRange(0, 2, text("a", "b"))
			s.Read(from(0)).Seqs(0, 2).Bodies("a", "b")
			s.All().Seqs(0, 2).Bodies("a", "b")
		}
	}},
	{Row: "A.15/280,291", Name: "another key", Run: func(t *testing.T, e *Env) {
		for _, c := range ciphers {
			s := e.encrypted(c)
			s.Append(text("a"))
			s.with(keyB).undecipherable(from(0))
			_, f := s.with(keyB).Follow(from(0)).Breaks(protocol.CodeDecryptionFailed)
			e.saysDecryption(f)
			s.Read(from(0)).Bodies("a")
		}
	}},
	{Row: "A.15/286", Name: "a key on a stream that is not encrypted says nothing", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		for name := range badKeys {
			s.withText(name).Append(text("a"))
			s.withText(name).Read(from(0), count(1)).Bodies("a")
		}
		s.with(keyA).Append(text("b"))
		s.keyless().Read(last(1)).Bodies("b")
	}},
	{Row: "A.15/287", Name: "no key on an encrypted stream", Run: func(t *testing.T, e *Env) {
		for _, c := range ciphers {
			e.encrypted(c).keyless().refusesKey("missing encryption key for stream cipher '" + string(c) + "'")
		}
	}},
	{Row: "A.15/288,289", Name: "a key that is none, on an encrypted stream", Run: func(t *testing.T, e *Env) {
		for _, c := range ciphers {
			s := e.encrypted(c)
			for name, says := range badKeys {
				s.withText(name).refusesKey(says)
			}
		}
	}},
	{Row: "A.15/290,298", Name: "headers, bytes and sizes are as they were", Run: func(t *testing.T, e *Env) {
		for _, c := range ciphers {
			s := e.encrypted(c)
			records := these(headed("body", "name", "value", "name", "", "\x00\xff", "\n"), headed("", "only", "headers"),
				protocol.Record{}, sized(100_000))
			s.Append(records)
			got := s.Read(from(0)).Seqs(0, 4)
			var metered uint64
			for i := range records {
				metered += records[i].MeteredSize()
				equal(t, "headers", len(got.Records[i].Headers), len(records[i].Headers))
				for j, h := range records[i].Headers {
					equal(t, "name", string(got.Records[i].Headers[j].Name), string(h.Name))
					equal(t, "value", string(got.Records[i].Headers[j].Value), string(h.Value))
				}
				equal(t, "body", stdbytes.Equal(got.Records[i].Body, records[i].Body), true)
			}
			equal(t, "metered size", got.Metered, metered)
		}
	}},
	{Row: "A.15/298", Name: "limits go by the size before encryption", Run: func(t *testing.T, e *Env) {
		for _, c := range ciphers {
			s := e.encrypted(c)
			full := make([]protocol.Record, protocol.MaxBatchRecords)
			for i := range full {
				full[i] = sized(protocol.MaxBatchBytes / protocol.MaxBatchRecords)
			}
			s.AppendRange(0, 1000, full)
			s.AppendRange(1000, 1001, these(sized(protocol.MaxBatchBytes)))
			s.Read(from(0)).Seqs(0, 1000)
			size := uint64(protocol.MaxBatchBytes / protocol.MaxBatchRecords)
			s.Read(from(10), bytes(3*size)).Seqs(10, 13)
			s.Read(from(10), bytes(3*size-1)).Seqs(10, 12)
			s.Read(from(990), count(7)).Seqs(990, 997)
			s.All().Seqs(0, 1001)
		}
	}},
	{Row: "A.15/296", Name: "commands can be read with any key", Run: func(t *testing.T, e *Env) {
		for _, c := range ciphers {
			s := e.encrypted(c)
			s.Append(fence("token"))
			s.Append(trim(0))
			s.with(keyB).Read(from(0)).Seqs(0, 2).Bodies("token", string(make([]byte, 8)))
			s.AppendRange(2, 3, text("a"))
			s.with(keyB).Read(from(0), count(2)).Seqs(0, 2)
		}
	}},
	{Row: "A.15/299", Name: "a stream keeps the cipher that its basin had", Run: func(t *testing.T, e *Env) {
		b := e.Basin(encrypting(protocol.CipherAEGIS256), createOnAppend)
		old := b.Stream("old").with(keyA)
		old.Append(text("a"))
		b.Reconfigure(protocol.BasinReconfiguration{StreamCipher: protocol.Unset[protocol.Cipher]()})
		plain := b.Missing("plain")
		plain.Append(text("b"))
		old.Append(text("c"))
		old.Read(from(0)).Bodies("a", "c")
		old.keyless().refusesKey("missing")
		plain.Read(from(0)).Bodies("b")
	}},
	{Row: "A.15/300", Name: "records of two keys in one stream", Run: func(t *testing.T, e *Env) {
		for _, c := range ciphers {
			s := e.encrypted(c)
			s.AppendRange(0, 1, text("a"))
			s.with(keyB).AppendRange(1, 2, text("b"))
			s.Read(from(0), count(1)).Bodies("a")
			s.with(keyB).Read(from(1)).Bodies("b")
			s.undecipherable(from(0))
			s.undecipherable(from(1))
			before, _ := s.Follow(from(0)).Breaks(protocol.CodeDecryptionFailed)
			if len(before.Records) > 1 {
				t.Fatalf("%d records came before the one of another key", len(before.Records))
			}
		}
	}},
	{Row: "7.4", Name: "a live batch of another key ends a session for good", Run: func(t *testing.T, e *Env) {
		for _, c := range ciphers {
			s := e.encrypted(c)
			r := s.Follow(from(0))
			r.Heartbeat()
			s.Append(text("a"))
			r.Batch().Bodies("a")
			s.with(keyB).Append(text("b"))
			none, _ := r.Breaks(protocol.CodeDecryptionFailed)
			equal(t, "records of the other key", len(none.Records), 0)
			r.Breaks(protocol.CodeDecryptionFailed)
		}
	}},
	{Row: "7.1", Name: "followers of one stream, each with a key", Run: func(t *testing.T, e *Env) {
		s := e.encrypted(protocol.CipherAEGIS256)
		one, two := s.Follow(from(0)), s.Follow(from(0))
		one.Heartbeat()
		two.Heartbeat()
		s.Append(these(headed("a", "k", "v"), protocol.FenceRecord("t")))
		for _, r := range []*Reader{one, two} {
			g := r.Batch().Bodies("a", "t")
			equal(t, "header", string(g.Records[0].Headers[0].Value), "v")
		}
	}},
	{Row: "A.3/58", Name: "fences on an encrypted stream", Run: func(t *testing.T, e *Env) {
		for _, c := range ciphers {
			s := e.encrypted(c)
			s.AppendRange(0, 1, text("a"), holding(""))
			s.AppendRange(1, 2, fence("updated-token"), holding(""))
			s.AppendRange(2, 3, text("b"), holding("updated-token"), at(2))
			s.refusesToken("updated-token", text("c"), holding("other"))
			s.Read(from(0)).Bodies("a", "updated-token", "b")
			first := e.encrypted(c)
			first.AppendRange(0, 1, fence("updated-token"), holding(""))
			first.AppendRange(1, 2, text("a"), holding("updated-token"), at(1))
			first.refusesSeqNum(2, text("b"), at(1))
			first.AppendRange(2, 3, trim(1))
			first.Read(from(1)).Seqs(1, 3)
		}
	}},
	{Row: "A.6/95", Name: "three inputs of a session on an encrypted stream", Run: func(t *testing.T, e *Env) {
		for _, c := range ciphers {
			s := e.encrypted(c)
			w := s.Writer().Submit(text("a")).Submit(text("b")).Submit(text("c")).Done()
			w.Acked(0, 1)
			w.Acked(1, 2)
			w.Acked(2, 3)
			w.Ends()
			s.Read(from(0)).Seqs(0, 3).Bodies("a", "b", "c")
		}
	}},
	{Row: "A.10/205", Name: "two live records within the wait, encrypted", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.encrypted(protocol.CipherAEGIS256)
		s.Append(text("stored"))
		start := time.Now()
		r := s.Follow(from(0), count(10), wait(60*time.Second))
		r.Now().Seqs(0, 1).Bodies("stored")
		s.AppendIn(50*time.Second, text("live 1"))
		s.AppendIn(100*time.Second, text("live 2"))
		r.Batch().Bodies("live 1")
		r.Batch().Bodies("live 2")
		r.End()
		e.took(start, 160*time.Second)
	}},
	{Row: "A.12/251", Name: "an encrypted stream is deleted without a key", Run: func(t *testing.T, e *Env) {
		s := e.encrypted(protocol.CipherAES256GCM)
		s.Append(text("a"))
		s.keyless().Delete()
		_, err := s.tryRead(from(0))
		e.fails(err, protocol.CodeStreamNotFound, protocol.CodeStreamDeletionPending)
	}},
	{Row: "cp A.12/238", Name: "an encrypted stream is marked as deleted without a key", Run: func(t *testing.T, e *Env) {
		s := e.Basin(encrypting(protocol.CipherAEGIS256)).Stream("stream")
		s.Delete()
		_, err := s.with(keyA).tryAppend(text("a"))
		e.fails(err, protocol.CodeStreamNotFound, protocol.CodeStreamDeletionPending)
	}},
	{Row: "A.13/260", Name: "the tail of an encrypted stream needs no key", Run: func(t *testing.T, e *Env) {
		s := e.encrypted(protocol.CipherAEGIS256)
		ack := s.Append(text("a", "b"))
		equal(t, "tail", s.keyless().Tail(), ack.End)
		equal(t, "tail", s.withText("!!!!").Tail(), ack.End)
	}},
	{Row: "A.14/262", Name: "append creates an encrypted stream", Run: func(t *testing.T, e *Env) {
		for _, c := range ciphers {
			b := e.Basin(encrypting(c), createOnAppend)
			s := b.Missing("stream").with(keyA)
			s.AppendRange(0, 1, text("a"))
			s.hasCipher(c)
			s.Read(from(0)).Bodies("a")
			b.Missing("session").with(keyA).Writer().Submit(text("a")).Done().Acked(0, 1)
			b.Missing("session").hasCipher(c)
		}
	}},
	{Row: "A.14/266", Name: "check tail creates an encrypted stream", Run: func(t *testing.T, e *Env) {
		s := e.Basin(encrypting(protocol.CipherAEGIS256), createOnRead).Missing("stream")
		equal(t, "tail", s.Tail(), position(0, 0))
		s.hasCipher(protocol.CipherAEGIS256)
	}},
	{Row: "A.14/272", Name: "an append without the key creates the stream all the same", Run: func(t *testing.T, e *Env) {
		b := e.Basin(encrypting(protocol.CipherAEGIS256), createOnAppend)
		for name, try := range map[protocol.StreamName]func(*Stream) error{
			"append": func(s *Stream) error { _, err := s.tryAppend(text("a")); return err },
			"session": func(s *Stream) error {
				_, err := s.e.Service.OpenAppendSession(s.e.ctx, s.StreamRef, s.e.opts...)
				return err
			},
		} {
			s := b.Missing(name)
			e.fails(try(s), protocol.CodeBadHeader)
			s.hasCipher(protocol.CipherAEGIS256)
		}
		b.Holds("append", "session")
	}},
	{Row: "cp A.4/95", Name: "a basin's cipher is taken away", Run: func(t *testing.T, e *Env) {
		b := e.Basin(encrypting(protocol.CipherAEGIS256))
		b.Reconfigure(protocol.BasinReconfiguration{StreamCipher: protocol.Unset[protocol.Cipher]()})
		s := b.Stream("stream")
		s.hasCipher(protocol.CipherNone)
		s.Append(text("a"))
		s.Read(from(0)).Bodies("a")
	}},
	{Row: "cp A.9/182,183", Name: "a stream tells the cipher that its basin had when it was created", Run: func(t *testing.T, e *Env) {
		b := e.Basin(encrypting(protocol.CipherAEGIS256))
		info := b.Missing("old").created("")
		equal(t, "cipher", info.Cipher, protocol.CipherAEGIS256)
		b.Reconfigure(protocol.BasinReconfiguration{StreamCipher: protocol.Set(protocol.CipherAES256GCM)})
		b.Stream("new").hasCipher(protocol.CipherAES256GCM)
		b.Missing("old").hasCipher(protocol.CipherAEGIS256)
	}},
}

// hasCipher checks the stream's cipher in the listing.
func (s *Stream) hasCipher(want protocol.Cipher) {
	s.e.t.Helper()
	page, err := s.e.Service.ListStreams(s.e.ctx, s.StreamRef.Basin, protocol.ListRequest{Prefix: string(s.StreamRef.Stream)})
	s.e.must(err, "list streams")
	equal(s.e.t, "streams listed", len(page.Streams), 1)
	equal(s.e.t, "cipher", page.Streams[0].Cipher, want)
}
