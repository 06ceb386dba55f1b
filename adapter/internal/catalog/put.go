package catalog

import (
	"bytes"
	"context"
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
)

// put stores a value under a key that is at revision (0: absent; that of the note of a removal counts as well), and returns the new revision. It fails with
// jetstream.ErrKeyExists when the key is not at that revision. A bucket whose leader is lost does not answer: then the key is read to
// find the outcome of the attempt, and the next one has the same condition, so that at most one is stored.
func (c *Catalog) put(ctx context.Context, key string, value []byte, revision uint64) (next uint64, err error) {
	for lost := false; ; lost = true {
		next, err = c.tryPut(ctx, key, value, revision)
		exists := errors.Is(err, jetstream.ErrKeyExists)
		switch {
		case err == nil, exists && !lost:
			return next, err
		case ctx.Err() != nil, !exists && !unanswered(err):
			return 0, err
		}
		e, err := c.newestOrMarker(ctx, key)
		if errors.Is(err, js.ErrNotFound) {
			e, err = keyValue{deleted: true}, nil
		}
		switch {
		case err != nil:
			return 0, err
		case !e.deleted && e.revision > revision && bytes.Equal(e.value, value):
			return e.revision, nil
		case exists, !e.deleted && e.revision != revision, e.deleted && revision != 0 && e.revision != revision:
			return 0, jetstream.ErrKeyExists
		}
	}
}

func (c *Catalog) tryPut(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if js.MayLose(c.config.Conn) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, js.Attempt)
		defer cancel()
	}
	if revision == 0 {
		return c.create(ctx, key, value)
	}
	return c.kv.Update(ctx, key, value, revision)
}

// create is the bucket's Create. The plain case, of a key that was never there, does without the options and the decoding of the client
// library: one comes for every stream that is made.
func (c *Catalog) create(ctx context.Context, key string, value []byte) (uint64, error) {
	m := &nats.Msg{Subject: layout.CatalogSubjects(c.config.Prefix) + key, Header: absent, Data: value}
	answer, err := c.config.Conn.RequestMsgWithContext(ctx, m)
	if err == nil {
		var seq js.Seq
		if seq, err = js.ParsePubAck(answer); err == nil {
			return uint64(seq), nil
		}
	}
	if js.Reported(err) || errors.Is(err, nats.ErrNoResponders) {
		return c.kv.Create(ctx, key, value) // nothing was stored
	}
	return 0, err
}

// absent is the condition that a key has no value. It is only read.
var absent = nats.Header{nats.ExpectedLastSubjSeqHdr: {"0"}}

// unanswered reports whether JetStream did not answer, so that a publication may have been stored or not.
func unanswered(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, nats.ErrNoResponders) ||
		errors.Is(err, jetstream.ErrNoStreamResponse)
}
