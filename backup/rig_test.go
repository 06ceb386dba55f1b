package backup_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/backup"
	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// rig is a broker and a client of it.
type rig struct {
	t   testing.TB
	cfg conf.Config
	b   *broker.Broker
	nc  *nats.Conn
	*client.Client
}

func quiet(c conf.Config) conf.Config {
	c.HTTP.Listen, c.NATS.Listen = "", ""
	c.LameDuck = 5 * time.Second
	return c
}

// inMemory is a broker that keeps nothing.
func inMemory(t testing.TB, change ...func(*conf.Config)) *rig {
	t.Helper()
	cfg := quiet(conf.Default().WithMemory())
	for _, f := range change {
		f(&cfg)
	}
	r := &rig{t: t, cfg: cfg}
	r.start()
	t.Cleanup(r.stop)
	return r
}

func onDisk(c *conf.Config, dir string) {
	*c = quiet(c.WithStoreDir(dir))
	c.Memory = false
}

func (r *rig) start() {
	r.t.Helper()
	var err error
	if r.b, err = broker.Start(context.Background(), r.cfg); err != nil {
		r.t.Fatal(err)
	}
	if r.nc, err = r.b.Connect(); err != nil {
		r.t.Fatal(err)
	}
	r.Client = client.New(r.nc, client.Options{Prefix: r.cfg.SubjectPrefix})
}

func (r *rig) stop() {
	r.nc.Close()
	if err := r.b.Close(context.Background()); err != nil {
		r.t.Error(err)
	}
}

func (r *rig) basin(name string, c protocol.BasinConfig) protocol.BasinName {
	r.t.Helper()
	if _, _, err := r.CreateBasin(r.t.Context(), protocol.CreateBasinRequest{Basin: protocol.BasinName(name), Config: c}); err != nil {
		r.t.Fatal(err)
	}
	return protocol.BasinName(name)
}

func (r *rig) stream(basin protocol.BasinName, name string, c protocol.StreamConfig) protocol.StreamRef {
	r.t.Helper()
	ref := protocol.StreamRef{Basin: basin, Stream: protocol.StreamName(name)}
	if _, _, err := r.CreateStream(r.t.Context(), basin, protocol.CreateStreamRequest{Stream: ref.Stream, Config: c}); err != nil {
		r.t.Fatal(err)
	}
	return ref
}

func record(body string) protocol.Record { return protocol.Record{Body: []byte(body)} }

func (r *rig) append(ref protocol.StreamRef, recs ...protocol.Record) protocol.AppendAck {
	r.t.Helper()
	ack, err := r.Append(r.t.Context(), ref, protocol.AppendInput{Records: recs})
	if err != nil {
		r.t.Fatal(err)
	}
	return ack
}

// records are what a reader sees from the beginning, up to 1000.
func (r *rig) records(ref protocol.StreamRef) (out []string) {
	r.t.Helper()
	batch, err := r.Read(r.t.Context(), ref, protocol.ReadRequest{Start: protocol.FromSeqNum(0), Clamp: true})
	if err != nil {
		if protocol.CodeOf(err) == protocol.CodeUnwritten {
			return nil
		}
		r.t.Fatal(ref, err)
	}
	for rec := range batch.Records.All() {
		out = append(out, fmt.Sprintf("%d@%d %v %q", rec.SeqNum, rec.Timestamp, rec.Headers, rec.Body))
	}
	return out
}

func (r *rig) tail(ref protocol.StreamRef) protocol.Position {
	r.t.Helper()
	tail, err := r.CheckTail(r.t.Context(), ref)
	if err != nil {
		r.t.Fatal(ref, err)
	}
	return tail.Position
}

// catalog is all entries by key, without what another broker may decide otherwise.
func (r *rig) catalog() map[string]string {
	r.t.Helper()
	out := map[string]string{}
	page := func(basin protocol.BasinName) (keys []string) {
		req := protocol.ExportCatalogRequest{Basin: basin, MaxBytes: 300}
		for {
			p, err := r.ExportCatalog(r.t.Context(), req)
			if err != nil {
				r.t.Fatal(err)
			}
			for _, e := range p.Entries {
				var v map[string]any
				if err := json.Unmarshal(e.Value, &v); err != nil {
					r.t.Fatal(err)
				}
				for _, own := range []string{"log", "logs", "restored", "after"} {
					delete(v, own)
				}
				text, _ := json.Marshal(v)
				out[e.Key] = string(text)
				keys = append(keys, e.Key)
				req.After = e.Key
			}
			if !p.More {
				return keys
			}
		}
	}
	for _, key := range page("") {
		if name, ok := strings.CutPrefix(key, "b."); ok {
			page(protocol.BasinName(name))
		}
	}
	return out
}

func save(t testing.TB, r *rig, o backup.SaveOptions) (dir string, m *backup.Manifest) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "backup")
	m, err := backup.Save(t.Context(), r.Client, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return dir, m
}

func restore(t testing.TB, r *rig, dir string, o backup.RestoreOptions) *backup.Restored {
	t.Helper()
	done, err := backup.Restore(t.Context(), r.Client, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// as is a client with another access token.
func (r *rig) as(token string) *client.Client {
	return client.New(r.nc, client.Options{Prefix: r.cfg.SubjectPrefix, AccessToken: token})
}

// counting counts calls.
type counting struct {
	backup.Source
	chunks atomic.Int64
}

func (c *counting) ExportChunks(ctx context.Context, req protocol.ExportChunksRequest) (protocol.ExportChunksPage, error) {
	c.chunks.Add(1)
	return c.Source.ExportChunks(ctx, req)
}

// files lists the files of a backup.
func files(t testing.TB, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(dir, path)
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func contentOf(t testing.TB, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func code(err error) protocol.Code { return protocol.CodeOf(err) }

// eventually waits for what the broker does in the background.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// idOf is the id of a stream.
func idOf(t testing.TB, r *rig, ref protocol.StreamRef) string {
	t.Helper()
	page, err := r.ExportCatalog(t.Context(), protocol.ExportCatalogRequest{Basin: ref.Basin})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range page.Entries {
		var v struct {
			Name protocol.StreamName
			ID   string
		}
		if err := json.Unmarshal(e.Value, &v); err != nil {
			t.Fatal(err)
		}
		if v.Name == ref.Stream {
			return v.ID
		}
	}
	t.Fatal("no stream", ref)
	return ""
}
