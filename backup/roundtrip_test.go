package backup_test

import (
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/weirstream/weir/backup"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/test/storedir"
)

// everyState fills a broker with streams in every state that there is, and returns them.
func everyState(t *testing.T, r *rig) []protocol.StreamRef {
	t.Helper()
	ctx := t.Context()
	main := r.basin("main-basin", protocol.BasinConfig{CreateStreamOnAppend: true})
	secret := r.basin("secret-basin", protocol.BasinConfig{StreamCipher: protocol.CipherAEGIS256})
	r.basin("empty-basin", protocol.BasinConfig{})
	token := "create-once"
	if _, _, err := r.CreateBasin(ctx, protocol.CreateBasinRequest{Basin: "token-basin", RequestToken: &token}); err != nil {
		t.Fatal(err)
	}
	refs := []protocol.StreamRef{r.stream(main, "never/written", protocol.StreamConfig{})}
	for i, name := range []string{"plain", "a.b", "*", ">", "$SYS", "=2E", "sp ace/tab\t", "//", "é/日本/\U0001F30A", strings.Repeat("n", 512), "100%", "..."} {
		ref := r.stream(main, name, protocol.StreamConfig{})
		for k := range i + 1 {
			r.append(ref, protocol.Record{Headers: []protocol.Header{{Name: []byte("k"), Value: []byte{0, 255}}}, Body: []byte{byte(k), 0, '\n'}})
		}
		refs = append(refs, ref)
	}
	trimmed := r.stream(main, "trimmed", protocol.StreamConfig{})
	for i := range 10 {
		r.append(trimmed, record(fmt.Sprint(i)), record("second"))
	}
	r.append(trimmed, protocol.TrimRecord(7))
	whole := r.stream(main, "trimmed whole", protocol.StreamConfig{})
	r.append(whole, record("gone"))
	r.append(whole, protocol.TrimRecord(2))
	fenced := r.stream(main, "fenced", protocol.StreamConfig{})
	r.append(fenced, record("x"), protocol.FenceRecord("the holder"))
	uncapped := true
	media := "application/json"
	future := r.stream(main, "future", protocol.StreamConfig{Uncapped: &uncapped, RetentionPolicy: &protocol.RetentionPolicy{}, ContentType: &media})
	ahead := uint64(time.Now().Add(time.Hour).UnixMilli())
	r.append(future, protocol.Record{Timestamp: &ahead, Body: []byte("later")})
	closed := r.stream(main, "closed", protocol.StreamConfig{})
	r.append(closed, record("a"), protocol.CloseRecord())
	ended := r.stream(main, "ended", protocol.StreamConfig{})
	if _, err := r.Append(ctx, ended, protocol.AppendInput{Close: true}); err != nil {
		t.Fatal(err)
	}
	produced := r.stream(main, "produced", protocol.StreamConfig{})
	if _, err := r.Append(ctx, produced, protocol.AppendInput{Records: []protocol.Record{record("once")}, Producer: &protocol.Producer{ID: "p", Epoch: 3}}); err != nil {
		t.Fatal(err)
	}
	refs = append(refs, trimmed, whole, fenced, future, closed, ended, produced)

	deleted := r.stream(main, "deleted", protocol.StreamConfig{})
	r.append(deleted, record("no more"))
	if err := r.DeleteStream(ctx, deleted); err != nil {
		t.Fatal(err)
	}
	again := r.stream(main, "made again", protocol.StreamConfig{})
	r.append(again, record("first life"), record("first life"))
	if err := r.DeleteStream(ctx, again); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the name is free", func() bool {
		_, _, err := r.CreateStream(ctx, main, protocol.CreateStreamRequest{Stream: again.Stream, RequestToken: &token})
		return err == nil
	})
	r.append(again, record("second life"))

	sealed := r.stream(secret, "sealed", protocol.StreamConfig{})
	if _, err := r.Append(ctx, sealed, protocol.AppendInput{Records: []protocol.Record{record("hidden")}}, protocol.WithEncryptionKey(testKey)); err != nil {
		t.Fatal(err)
	}
	return append(refs, again)
}

var testKey = protocol.NewEncryptionKey([32]byte{1, 2, 3})

// TestRoundTrip: a restored broker holds what the first one held, and goes on from there, wherever each keeps it.
func TestRoundTrip(t *testing.T) {
	for name, target := range map[string]func(t *testing.T) *rig{
		"memory": func(t *testing.T) *rig { return inMemory(t) },
		"other logs and prefix": func(t *testing.T) *rig {
			return inMemory(t, func(c *conf.Config) { c.Logs, c.SubjectPrefix = 7, "zz" })
		},
		"one log": func(t *testing.T) *rig { return inMemory(t, func(c *conf.Config) { c.Logs = 1 }) },
		"directory": func(t *testing.T) *rig {
			return inMemory(t, func(c *conf.Config) { onDisk(c, t.TempDir()) })
		},
		"external": func(t *testing.T) *rig {
			return inMemory(t, func(c *conf.Config) { c.Memory, c.External.URL = false, natsServer(t) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			src := inMemory(t, func(c *conf.Config) { c.Logs = 3 })
			refs := everyState(t, src)
			dir, m := save(t, src, backup.SaveOptions{Compress: len(name)%2 == 0, PageBytes: 700})
			dst := target(t)
			done := restore(t, dst, dir, backup.RestoreOptions{BatchBytes: 900})
			if done.Streams != m.Streams || done.Basins != 4 || done.Records != m.Records {
				t.Errorf("restored %+v of %+v", done, m)
			}
			compare(t, src, dst, refs)
			goOn(t, dst, refs)
			if name == "directory" {
				dst.stop()
				dst.start()
				compareCatalogs(t, src, dst)
				goOn(t, dst, refs)
			}
		})
	}
}

func compareCatalogs(t *testing.T, src, dst *rig) {
	t.Helper()
	want, got := src.catalog(), dst.catalog()
	if !maps.Equal(want, got) {
		t.Errorf("the catalogs differ:\n%v\n%v", want, got)
	}
}

// compare holds everything that a client can see of two brokers side by side.
func compare(t *testing.T, src, dst *rig, refs []protocol.StreamRef) {
	t.Helper()
	compareCatalogs(t, src, dst)
	for _, ref := range refs {
		if want, got := src.tail(ref), dst.tail(ref); want != got {
			t.Errorf("%s: the tail is %v, not %v", ref, got, want)
		}
		if want, got := src.records(ref), dst.records(ref); !reflect.DeepEqual(want, got) {
			t.Errorf("%s: holds %v, not %v", ref, got, want)
		}
	}
	sealed := protocol.StreamRef{Basin: "secret-basin", Stream: "sealed"}
	batch, err := dst.Read(t.Context(), sealed, protocol.ReadRequest{Start: protocol.FromSeqNum(0)}, protocol.WithEncryptionKey(testKey))
	if err != nil || string(batch.Records.Slice()[0].Body) != "hidden" {
		t.Errorf("the encrypted stream reads %v, %v", batch, err)
	}
}

// goOn appends behind the tails.
func goOn(t *testing.T, r *rig, refs []protocol.StreamRef) {
	t.Helper()
	for _, ref := range refs {
		next := r.tail(ref).SeqNum
		in := protocol.AppendInput{Records: []protocol.Record{record("more")}, MatchSeqNum: &next}
		if ref.Stream == "fenced" {
			wrong, right := "another", "the holder"
			in.FencingToken = &wrong
			if _, err := r.Append(t.Context(), ref, in); code(err) != protocol.CodeConditionFailed {
				t.Errorf("%s: a wrong fencing token gave %v", ref, err)
			}
			in.FencingToken = &right
		}
		if ref.Stream == "produced" {
			again, err := r.Append(t.Context(), ref, protocol.AppendInput{Records: in.Records, Producer: &protocol.Producer{ID: "p", Epoch: 3}})
			if err != nil || !again.Repeated || again.Start.SeqNum != 0 {
				t.Errorf("%s: made again: %+v, %v", ref, again, err)
			}
		}
		ack, err := r.Append(t.Context(), ref, in)
		if ref.Stream == "closed" || ref.Stream == "ended" {
			if code(err) != protocol.CodeStreamClosed {
				t.Errorf("%s: an append gave %v", ref, err)
			}
			continue
		}
		if err != nil || ack.Start.SeqNum != next {
			t.Errorf("%s: appended at %v, %v; want %d", ref, ack.Start, err, next)
		}
	}
	once := "create-once"
	if _, result, err := r.CreateBasin(t.Context(), protocol.CreateBasinRequest{Basin: "token-basin", RequestToken: &once}); err != nil || result != protocol.ProvisionNoop {
		t.Errorf("a repeated create gave %v, %v", result, err)
	}
	if _, result, err := r.CreateStream(t.Context(), "main-basin", protocol.CreateStreamRequest{Stream: "made again", RequestToken: &once}); err != nil || result != protocol.ProvisionNoop {
		t.Errorf("a repeated create of a stream gave %v, %v", result, err)
	}
}

func natsServer(t *testing.T) string {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: storedir.New(t), NoSigs: true, NoLog: true, MaxPayload: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(time.Minute) {
		t.Fatal("the NATS server is not ready")
	}
	if u, err := url.Parse(s.ClientURL()); err != nil || u.Port() == "" {
		t.Fatal(s.ClientURL())
	}
	return s.ClientURL()
}

// TestTokensAndLocation: access tokens open what they opened, their secrets are nowhere, and the default location comes
// along.
func TestTokensAndLocation(t *testing.T) {
	locations := func(c *conf.Config) { c.Locations = "local,cellar" }
	root := func(c *conf.Config) { c.RootToken = "the-root-token-of-this-test" }
	src, dst := inMemory(t, locations, root), inMemory(t, locations, root)
	secret, err := src.IssueAccessToken(t.Context(), protocol.IssueAccessTokenRequest{ID: "rea/d.er", Scope: protocol.AccessTokenScope{
		Basins: protocol.ResourceSet{Kind: protocol.MatchPrefix}, Ops: protocol.Operations(protocol.OpListBasins)}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := src.SetDefaultLocation(t.Context(), "cellar"); err != nil {
		t.Fatal(err)
	}
	src.basin("some-basin", protocol.BasinConfig{})
	dir, m := save(t, src, backup.SaveOptions{})
	if m.Tokens != 1 {
		t.Errorf("the backup holds %d tokens", m.Tokens)
	}
	for _, name := range files(t, dir) {
		if strings.Contains(contentOf(t, dir, name), secret) {
			t.Errorf("%s holds a secret", name)
		}
	}
	if done := restore(t, dst, dir, backup.RestoreOptions{}); done.Tokens != 1 {
		t.Errorf("restored %+v", done)
	}
	compareCatalogs(t, src, dst)
	svc, err := dst.b.Authenticate(secret)
	if err != nil {
		t.Fatal(err)
	}
	if page, err := svc.ListBasins(t.Context(), protocol.ListRequest{}); err != nil || len(page.Basins) != 1 {
		t.Errorf("the token lists %v, %v", page, err)
	}
	if at, err := dst.DefaultLocation(t.Context()); err != nil || at.Name != "cellar" {
		t.Errorf("the default location is %v, %v", at, err)
	}
	if _, err := backup.Restore(t.Context(), dst.Client, dir, backup.RestoreOptions{}); code(err) != protocol.CodeResourceAlreadyExists ||
		!strings.Contains(err.Error(), "some-basin") || !strings.Contains(err.Error(), "access token") {
		t.Errorf("a second restore gave %v", err)
	}
	if done := restore(t, dst, dir, backup.RestoreOptions{SkipExisting: true}); done.Tokens != 0 ||
		!slices.Equal(done.Skipped, []string{"basin some-basin", "the default location", "access token rea/d.er"}) {
		t.Errorf("a second restore that skips gave %+v", done)
	}
}

// TestOnlyRoot: nobody but the holder of the root token gets at a backup.
func TestOnlyRoot(t *testing.T) {
	r := inMemory(t, func(c *conf.Config) { c.RootToken = "the-root-token-of-this-test" })
	r.basin("some-basin", protocol.BasinConfig{})
	everything := protocol.AccessTokenScope{
		Basins: protocol.ResourceSet{Kind: protocol.MatchPrefix}, Streams: protocol.ResourceSet{Kind: protocol.MatchPrefix},
		AccessTokens: protocol.ResourceSet{Kind: protocol.MatchPrefix}, Ops: protocol.AllOperations,
	}
	secret, err := r.IssueAccessToken(t.Context(), protocol.IssueAccessTokenRequest{ID: "almost-root", Scope: everything})
	if err != nil {
		t.Fatal(err)
	}
	holder := r.as(secret)
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"catalog": func() error { _, err := holder.ExportCatalog(ctx, protocol.ExportCatalogRequest{}); return err },
		"chunks": func() error {
			_, err := holder.ExportChunks(ctx, protocol.ExportChunksRequest{Basin: "some-basin"})
			return err
		},
		"purged": func() error {
			_, err := holder.PurgedStreams(ctx, protocol.PurgedStreamsRequest{Basin: "some-basin"})
			return err
		},
		"begin":   func() error { return holder.BeginRestore(ctx, protocol.BeginRestoreRequest{}) },
		"streams": func() error { _, err := holder.ImportStreams(ctx, protocol.ImportStreamsRequest{}); return err },
		"put":     func() error { return holder.ImportChunks(ctx, protocol.ImportChunksRequest{}) },
		"end":     func() error { return holder.EndRestore(ctx, protocol.EndRestoreRequest{}) },
		"abort":   func() error { return holder.AbortRestore(ctx, "some-basin", "x") },
		"entry":   func() error { return holder.ImportEntry(ctx, protocol.CatalogEntry{}) },
	} {
		if err := call(); code(err) != protocol.CodePermissionDenied {
			t.Errorf("%s gave %v", name, err)
		}
	}
	if _, err := backup.Save(ctx, r.as("the-root-token-of-this-test"), filepath.Join(t.TempDir(), "b"), backup.SaveOptions{}); err != nil {
		t.Errorf("the root token: %v", err)
	}
	if _, err := r.as("garbage").ExportCatalog(ctx, protocol.ExportCatalogRequest{}); code(err) != protocol.CodeAuthn {
		t.Errorf("garbage gave %v", err)
	}
}

// TestManyStreams: a log is read once, not once a stream.
func TestManyStreams(t *testing.T) {
	src, dst := inMemory(t), inMemory(t)
	b := src.basin("many-basin", protocol.BasinConfig{CreateStreamOnAppend: true})
	const n = 2000
	for i := range n {
		src.append(protocol.StreamRef{Basin: b, Stream: protocol.StreamName(fmt.Sprintf("s/%d", i))}, record(fmt.Sprint(i)))
	}
	counted := &counting{Source: src.Client}
	dir := filepath.Join(t.TempDir(), "b")
	if _, err := backup.Save(t.Context(), counted, dir, backup.SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	if counted.chunks.Load() > 20 {
		t.Errorf("%d streams took %d calls", n, counted.chunks.Load())
	}
	if done := restore(t, dst, dir, backup.RestoreOptions{}); done.Streams != n || done.Records != n {
		t.Errorf("restored %+v", done)
	}
	compareCatalogs(t, src, dst)
	for _, i := range []int{0, 1, n / 2, n - 1} {
		ref := protocol.StreamRef{Basin: b, Stream: protocol.StreamName(fmt.Sprintf("s/%d", i))}
		if want, got := src.records(ref), dst.records(ref); !reflect.DeepEqual(want, got) || len(got) != 1 {
			t.Errorf("%s: %v, not %v", ref, got, want)
		}
	}
}

// TestSomeBasins: with a choice of basins nothing else is copied or restored.
func TestSomeBasins(t *testing.T) {
	src := inMemory(t)
	for _, name := range []string{"first-basin", "second-basin", "third-basin"} {
		src.append(src.stream(src.basin(name, protocol.BasinConfig{}), "s", protocol.StreamConfig{}), record(name))
	}
	if _, err := src.IssueAccessToken(t.Context(), protocol.IssueAccessTokenRequest{ID: "t", Scope: protocol.AccessTokenScope{Ops: protocol.AllOperations}}); err != nil {
		t.Fatal(err)
	}
	dir, m := save(t, src, backup.SaveOptions{Basins: []protocol.BasinName{"first-basin", "second-basin"}})
	if m.Basins != 2 || m.Tokens != 0 {
		t.Errorf("the backup holds %+v", m)
	}
	dst := inMemory(t)
	if done := restore(t, dst, dir, backup.RestoreOptions{Basins: []protocol.BasinName{"second-basin"}}); done.Basins != 1 {
		t.Errorf("restored %+v", done)
	}
	if got := dst.records(protocol.StreamRef{Basin: "second-basin", Stream: "s"}); len(got) != 1 {
		t.Errorf("restored %v", got)
	}
	if _, err := backup.Restore(t.Context(), dst.Client, dir, backup.RestoreOptions{Basins: []protocol.BasinName{"third-basin"}}); err == nil {
		t.Error("a basin that is not in the backup was restored")
	}
	if _, err := backup.Save(t.Context(), src.Client, filepath.Join(t.TempDir(), "x"), backup.SaveOptions{Basins: []protocol.BasinName{"no-such-basin"}}); code(err) != protocol.CodeBasinNotFound {
		t.Errorf("a basin that is not there gave %v", err)
	}
}
