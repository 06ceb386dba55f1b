package adapter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/weirstream/weir/adapter/layout"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/adapter/internal/js"
)

// UsageStore keeps the usage figures in two JetStream streams of the store: the samples of single streams, of which there may
// be many, and the rest. A value is the newest message of its subject, <prefix>.usage.<name>; JetStream drops messages
// older than usageAge, and the oldest first when a stream has its full size (docs/adr/0010).
type UsageStore struct {
	a       *Adapter
	general usageStream
	samples usageStream
}

// usageStream is one of the two, made when it is first written to.
type usageStream struct {
	name     string
	subjects []string
	about    string

	mu   sync.Mutex
	made bool
}

const (
	// usageAge is somewhat more than the 90 days that a query may span, and the day that is being rolled up.
	usageAge = 93 * 24 * time.Hour
	// usageBytes is how large each of the two streams may become; a store that is small gets less.
	usageBytes    = 256 << 20
	minUsageBytes = 4 << 20
	// usageSamples is the prefix of the names of samples.
	usageSamples = "s."
)

// ErrUsageExists is the failure of Create if the name has a value.
var ErrUsageExists = errors.New("the name has a value already")

// UsageStore returns the store of usage. It needs no closing.
func (a *Adapter) UsageStore() *UsageStore {
	upper, root := strings.ToUpper(a.opts.Prefix), layout.UsageSubjects(a.opts.Prefix)
	return &UsageStore{a: a,
		general: usageStream{name: upper + "_USAGE", about: "weir: usage metrics", subjects: []string{root + "h.>", root + "d.>", root + "x.>"}},
		samples: usageStream{name: upper + "_USAGE_STREAMS", about: "weir: sizes of streams over time", subjects: []string{root + usageSamples + ">"}},
	}
}

func (u *UsageStore) streamOf(name string) *usageStream {
	if strings.HasPrefix(name, usageSamples) {
		return &u.samples
	}
	return &u.general
}

// ensure runs create unless it has succeeded before.
func (s *usageStream) ensure(create func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made {
		return nil
	}
	err := create()
	s.made = err == nil
	return err
}

// forget lets the next ensure create the stream again.
func (s *usageStream) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made = false
}

// create makes the JetStream stream. Its size is reserved, so a store that has not that much gets a smaller one.
func (u *UsageStore) create(ctx context.Context, s *usageStream) error {
	ctx, cancel := context.WithTimeout(ctx, js.Timeout)
	defer cancel()
	for size := int64(usageBytes); ; size /= 4 {
		_, err := u.a.js.CreateStream(ctx, s.config(&u.a.opts, size))
		switch {
		case err == nil || errors.Is(err, jetstream.ErrStreamNameAlreadyInUse):
			return u.a.made(ctx, s.name)
		case js.NoRoom(err) && size > minUsageBytes:
			u.a.logger.Debug("the store has no room for so much usage", slog.String("stream", s.name), slog.Int64("bytes", size))
		default:
			return fmt.Errorf("create %s: %w", s.name, err)
		}
	}
}

// config is the JetStream stream. It is compressed only where it has one copy: a server that starts again after a kill truncates a stream that has replicas,
// which compresses its newest block now and then, and what is appended to that block afterwards cannot be read (docs/upstream).
func (s *usageStream) config(o *Options, size int64) jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Name: s.name, Description: s.about, Subjects: s.subjects, Storage: jetstream.FileStorage,
		Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardOld, MaxAge: usageAge, MaxBytes: size, MaxMsgsPerSubject: 1,
		Replicas: o.Replicas, AllowDirect: true,
	}
	if o.Memory {
		c.Storage = jetstream.MemoryStorage
	}
	if o.Replicas <= 1 {
		c.Compression = jetstream.S2Compression
	}
	return c
}

// Put stores a value under a name of tokens, in the place of the one before.
func (u *UsageStore) Put(ctx context.Context, name string, value []byte) error {
	return u.publish(ctx, name, value)
}

// Create stores a value, or fails with [ErrUsageExists].
func (u *UsageStore) Create(ctx context.Context, name string, value []byte) error {
	err := u.publish(ctx, name, value, jetstream.WithExpectLastSequencePerSubject(0))
	if js.WrongSequence(err) {
		return ErrUsageExists
	}
	return err
}

func (u *UsageStore) publish(ctx context.Context, name string, value []byte, opts ...jetstream.PublishOpt) error {
	s := u.streamOf(name)
	if err := s.ensure(func() error { return u.create(ctx, s) }); err != nil {
		return err
	}
	if _, err := u.a.js.Publish(ctx, layout.UsageSubjects(u.a.opts.Prefix)+name, value, opts...); err != nil {
		s.forget() // it may have been deleted
		return fmt.Errorf("write to %s: %w", s.name, err)
	}
	return nil
}

// Remove removes the values whose names a NATS wildcard pattern matches.
func (u *UsageStore) Remove(ctx context.Context, pattern string) error {
	s := u.streamOf(pattern)
	err := js.Purge(ctx, u.a.manage, s.name, layout.UsageSubjects(u.a.opts.Prefix)+pattern, 0)
	if js.StreamMissing(err) {
		return nil
	}
	return err
}

// Scan yields the values whose names a NATS wildcard pattern matches. One that is replaced meanwhile may come twice, the
// newer later.
func (u *UsageStore) Scan(ctx context.Context, pattern string, yield func(name string, value []byte)) error {
	s := u.streamOf(pattern)
	root := layout.UsageSubjects(u.a.opts.Prefix)
	for next := js.Seq(1); ; {
		last, n, err := u.batch(ctx, s, root+pattern, next, func(subject string, value []byte) {
			yield(strings.TrimPrefix(subject, root), value)
		})
		if err != nil || n == 0 {
			return err
		}
		next = last + 1
	}
}

// missing is nil if there is no such JetStream stream: then nothing is stored. One that is there and does not answer must
// not pass for one that has nothing, or a day would be rolled up without it.
func (u *UsageStore) missing(ctx context.Context, s *usageStream) error {
	ctx, cancel := context.WithTimeout(ctx, js.Timeout)
	defer cancel()
	_, err := u.a.js.Stream(ctx, s.name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil
	case err == nil:
		err = errors.New("no server answers for it")
	}
	return errNoStore(fmt.Errorf("read %s: %w", s.name, err))
}

// usageBatch bounds the messages of one batched get.
const usageBatch = 256

// batch fetches the values of a pattern from a sequence on, and returns the last one's sequence and how many came; none
// means that there is none left.
func (u *UsageStore) batch(ctx context.Context, s *usageStream, pattern string, seq js.Seq, yield func(subject string, value []byte)) (last js.Seq, n int, err error) {
	r := js.Request{Subject: pattern, Seq: seq, Count: usageBatch, MaxBytes: js.MaxBatchBytes}
	_, err = u.a.gets[0].All(ctx, s.name, r, func(m *nats.Msg) (err error) {
		n++
		yield(js.SubjectOf(m), m.Data)
		last, err = js.SeqOf(m)
		return err
	})
	if js.NoResponders(err) {
		return last, n, u.missing(ctx, s)
	}
	return last, n, readFailure(err)
}
