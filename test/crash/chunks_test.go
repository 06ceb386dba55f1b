package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/adapter"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/chunk"
)

// A shelf is what a NATS server alone, without weir, finds in a store: the chunks of every log, each decoded and
// compared with the one before it.
type shelf struct {
	newest  map[string]chunk.Chunk               // by subject
	gaps    map[string]uint64                    // end of the last gap, by subject
	count   int                                  // of chunks
	records map[protocol.StreamRef]catalogRecord // from the catalog
	refs    map[string]protocol.StreamRef        // by the id at the end of the subject
	deleted map[protocol.BasinName]struct{}      // basins with a deletion under way
	left    []string                             // newest chunks of subjects that belong to no stream of the catalog
}

// catalogRecord is what the check needs of the catalog's values.
type catalogRecord struct {
	Name      string    `json:"name"`
	ID        string    `json:"id"`
	Log       int       `json:"log"`
	DeletedAt time.Time `json:"deleted_at"`
}

// takeStock reads a copy of the store of a broker that is gone.
func takeStock(t *testing.T, dir string) (*shelf, error) {
	t.Helper()
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	opts := &server.Options{DontListen: true, NoSigs: true, NoLog: true, JetStream: true, StoreDir: copied, MaxPayload: 8 << 20}
	// The storage is in an account of its own (docs/architecture.md).
	if err := opts.ProcessConfigString(`accounts { WEIR { jetstream: enabled, users: [{user: test, password: test}] } }`); err != nil {
		t.Fatal(err)
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	defer func() {
		srv.Shutdown()
		srv.WaitForShutdown()
	}()
	if !srv.ReadyForConnections(startLimit) {
		t.Fatal("the NATS server is not ready")
	}
	nc, err := nats.Connect("", nats.InProcessServer(srv), nats.UserInfo("test", "test"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	s := &shelf{newest: map[string]chunk.Chunk{}, gaps: map[string]uint64{}, records: map[protocol.StreamRef]catalogRecord{},
		refs: map[string]protocol.StreamRef{}, deleted: map[protocol.BasinName]struct{}{}}
	if err := s.readCatalog(ctx, js); err != nil {
		return nil, err
	}
	streams := js.ListStreams(ctx)
	var logs []string
	for info := range streams.Info() {
		if _, ok := layout.ParseLog("s2", info.Config.Name); ok {
			logs = append(logs, info.Config.Name)
		}
	}
	if err := streams.Err(); err != nil {
		t.Fatal(err)
	}
	for _, log := range logs {
		if err := s.readLog(ctx, js, log); err != nil {
			return nil, err
		}
	}
	// JetStream purges message by message: a kill in between leaves some of what was purged, all below the trim point.
	for subject, end := range s.gaps {
		if c := s.newest[subject]; c.Trim < end {
			return nil, fmt.Errorf("subject %s: chunks before seq_num %d are missing, and the newest one does not trim them: %s", subject, end, c.EncodeHeader())
		}
	}
	for subject, c := range s.newest {
		basin, id := subjectParts(subject)
		_, named := s.refs[id]
		_, deleted := s.deleted[basin]
		if !named && !deleted {
			s.left = append(s.left, fmt.Sprintf("%s: %s", subject, c.EncodeHeader()))
		}
	}
	return s, nil
}

func (s *shelf) readCatalog(ctx context.Context, js jetstream.JetStream) error {
	kv, err := js.KeyValue(ctx, "S2_CATALOG")
	if err != nil {
		return fmt.Errorf("the catalog: %w", err)
	}
	w, err := kv.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return fmt.Errorf("the catalog: %w", err)
	}
	defer w.Stop() // read to its end
	for e := range w.Updates() {
		if e == nil {
			return nil
		}
		var rec catalogRecord
		value, err := adapter.CatalogJSON(e.Key(), e.Value())
		if err == nil {
			err = json.Unmarshal(value, &rec)
		}
		if err != nil {
			return fmt.Errorf("catalog entry %s: %w", e.Key(), err)
		}
		kind, basin, _ := strings.Cut(e.Key(), ".")
		if kind == "b" {
			if !rec.DeletedAt.IsZero() {
				s.deleted[protocol.BasinName(basin)] = struct{}{}
			}
			continue
		}
		basin, _, _ = strings.Cut(basin, ".")
		ref := protocol.StreamRef{Basin: protocol.BasinName(basin), Stream: protocol.StreamName(rec.Name)}
		s.records[ref], s.refs[rec.ID] = rec, ref
	}
	return errors.New("the catalog's watch ended early")
}

// readLog reads a log from its first message to its last.
func (s *shelf) readLog(ctx context.Context, js jetstream.JetStream, log string) error {
	stream, err := js.Stream(ctx, log)
	if err != nil {
		return fmt.Errorf("log %s: %w", log, err)
	}
	state := stream.CachedInfo().State
	if state.Msgs == 0 {
		return nil
	}
	c, err := js.OrderedConsumer(ctx, log, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy})
	if err != nil {
		return fmt.Errorf("log %s: %w", log, err)
	}
	result := make(chan error, 1)
	ids := map[string]bool{}
	left := state.Msgs
	consuming, err := c.Consume(func(m jetstream.Msg) {
		if left == 0 {
			return
		}
		left--
		err := s.take(m, ids)
		if err != nil {
			err = fmt.Errorf("log %s: %w", log, err)
			left = 0
		}
		if left == 0 {
			result <- err
		}
	})
	if err != nil {
		return fmt.Errorf("log %s: %w", log, err)
	}
	defer consuming.Stop()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return fmt.Errorf("log %s: %d messages could not be read in time", log, left)
	}
}

// take compares a chunk with the one before it on its subject.
func (s *shelf) take(m jetstream.Msg, ids map[string]bool) error {
	meta, err := m.Metadata()
	if err != nil {
		return err
	}
	c, err := chunk.Decode(m.Headers().Get(chunk.Header), m.Data())
	if err != nil {
		return fmt.Errorf("message %d: %w", meta.Sequence.Stream, err)
	}
	s.count++
	subject := m.Subject()
	before, follows := s.newest[subject]
	if follows && before.Next < c.FirstSeqNum() {
		s.gaps[subject], follows = c.FirstSeqNum(), false
		before = chunk.Chunk{Next: c.FirstSeqNum()}
	} else if !follows {
		before = chunk.Chunk{Next: c.FirstSeqNum()}
	}
	if ids[c.ID] {
		return fmt.Errorf("message %d: a second chunk with the id %s", meta.Sequence.Stream, c.ID)
	}
	ids[c.ID] = true
	if err := chains(&before, &c, follows); err != nil {
		return fmt.Errorf("message %d on %s: %w (the chunk before: %s; this one: %s)", meta.Sequence.Stream, subject, err, before.EncodeHeader(), c.EncodeHeader())
	}
	s.newest[subject] = c
	return nil
}

// subjectParts returns the basin and the stream's id of a subject.
func subjectParts(subject string) (basin protocol.BasinName, id string) {
	place, ok := layout.ParseSubject("s2", subject)
	if !ok {
		return "", subject
	}
	return place.Basin, place.ID.String()
}

// logName is the JetStream stream behind a log of a basin.
func logName(t *testing.T, basin protocol.BasinName, number int) string {
	t.Helper()
	log, ok := layout.LogOf(basin, number)
	if !ok {
		t.Fatalf("there is no log %d", number)
	}
	return log.Stream("s2")
}

// blockFiles are the files that hold a log's messages, oldest first.
func blockFiles(t *testing.T, dir, log string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "jetstream", "WEIR", "streams", log, "msgs", "*.blk"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no block files of %s in %s: %v", log, dir, err)
	}
	return files
}
