package adapter

import (
	"context"

	"github.com/weirstream/weir/adapter/internal/recordcipher"
	"github.com/weirstream/weir/protocol"
)

// EncryptedStream is a handle to an encrypted stream whose records are encrypted and decrypted with one key. The work is
// done by the caller's goroutine: appends are encrypted before they are queued, and records are decrypted as they leave.
type EncryptedStream struct {
	*Stream
	cipher *recordcipher.Cipher
	key    protocol.EncryptionKey // for the shared records of a fork: they are bound to the names of other streams
}

// WithKey returns the handle of an encrypted stream with the key for its records; closing either closes both. The error has
// code bad_header.
func (h *Stream) WithKey(key protocol.EncryptionKey) (*EncryptedStream, error) {
	c, err := recordcipher.New(h.st.cipher, key, h.st.ref)
	if err != nil {
		return nil, err
	}
	return &EncryptedStream{h, c, key}, nil
}

// Appender opens an ordered sequence of appends.
func (s *EncryptedStream) Appender() *EncryptingAppender {
	return &EncryptingAppender{s.Stream.Appender(), s.cipher}
}

// Scan reads the surviving records with a seq_num in [from, to).
func (s *EncryptedStream) Scan(from, to uint64) *DecryptingCursor {
	return &DecryptingCursor{stored: s.Stream.Scan(from, to), cipher: s.cipher, of: s}
}

// Follow attaches to the live feed exactly at from.
func (s *EncryptedStream) Follow(ctx context.Context, from uint64) (*DecryptingFeed, protocol.Position, error) {
	feed, tail, err := s.Stream.Follow(ctx, from)
	if feed == nil {
		return nil, tail, err
	}
	return &DecryptingFeed{feed, s.cipher}, tail, err
}

// EncryptingAppender is an [Appender] that encrypts.
type EncryptingAppender struct {
	appender *Appender
	cipher   *recordcipher.Cipher
}

// Submit encrypts the input and queues it for the sequencer. Limits and the budget go by the size that it had before.
func (a *EncryptingAppender) Submit(ctx context.Context, in protocol.AppendInput, done func(protocol.AppendAck, error)) error {
	return a.appender.submit(ctx, in, a.cipher.Encrypt, done)
}

// DecryptingCursor is a [Cursor] that decrypts.
type DecryptingCursor struct {
	stored *Cursor
	cipher *recordcipher.Cipher
	of     *EncryptedStream
	shared sharedCipher
	failed error // returned once the records before it are delivered, and from then on
}

// Next returns the next run of records, or io.EOF. The records before one that cannot be decrypted are still returned.
func (c *DecryptingCursor) Next(ctx context.Context) (protocol.Records, error) {
	if c.failed != nil {
		return protocol.Records{}, c.failed
	}
	stored, err := c.stored.Next(ctx)
	if err != nil {
		return stored, err
	}
	cipher, err := c.cipherOf(stored)
	if err != nil {
		return protocol.Records{}, err
	}
	plain, err := cipher.Decrypt(stored)
	c.failed = err
	if plain.Len() > 0 {
		return plain, nil
	}
	return plain, err
}

// sharedCipher is that of the segment of a fork that was read last.
type sharedCipher struct {
	name   protocol.StreamName
	cipher *recordcipher.Cipher
}

// cipherOf is the cipher of a run of records, which are all of one stream.
func (c *DecryptingCursor) cipherOf(r protocol.Records) (*recordcipher.Cipher, error) {
	f := c.of.st.fork
	if f == nil || r.Len() == 0 || r.First().SeqNum >= f.At.SeqNum {
		return c.cipher, nil
	}
	for _, s := range f.Segments {
		if r.First().SeqNum >= s.To {
			continue
		}
		if c.shared.cipher == nil || c.shared.name != s.Name {
			made, err := recordcipher.New(c.of.st.cipher, c.of.key, protocol.StreamRef{Basin: c.of.st.ref.Basin, Stream: s.Name})
			if err != nil {
				return nil, err
			}
			c.shared = sharedCipher{s.Name, made}
		}
		return c.shared.cipher, nil
	}
	return c.cipher, nil
}

// Close gives up the requests under way.
func (c *DecryptingCursor) Close() { c.stored.Close() }

// DecryptingFeed is a [Feed] that decrypts. The batches that the followers of a stream share stay as they are stored.
type DecryptingFeed struct {
	stored *Feed
	cipher *recordcipher.Cipher
}

// Poll returns the next batch, or a channel that is closed when there may be one, or an error. A batch of which a record
// cannot be decrypted fails whole.
func (f *DecryptingFeed) Poll() (protocol.ReadBatch, <-chan struct{}, error) {
	batch, changed, err := f.stored.Poll()
	if err != nil || changed != nil {
		return batch, changed, err
	}
	if batch.Records, err = f.cipher.Decrypt(batch.Records); err != nil {
		return protocol.ReadBatch{}, nil, err
	}
	return batch, nil, nil
}

// Close detaches the feed.
func (f *DecryptingFeed) Close() { f.stored.Close() }
