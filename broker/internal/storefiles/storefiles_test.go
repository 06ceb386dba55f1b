package storefiles

import (
	"bytes"
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

	"github.com/weirstream/weir/protocol/chunk"
)

const testStream = "S2_TEST"

// withServer runs a NATS server on dir for as long as do takes.
func withServer(t *testing.T, dir string, do func(js jetstream.JetStream)) {
	t.Helper()
	srv, err := server.NewServer(&server.Options{JetStream: true, StoreDir: dir, DontListen: true, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	defer srv.WaitForShutdown()
	defer srv.Shutdown()
	if !srv.ReadyForConnections(time.Minute) {
		t.Fatal("the server is not ready")
	}
	nc, err := nats.Connect("", nats.InProcessServer(srv))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	do(js)
}

func streamDir(dir string) string {
	return filepath.Join(dir, "jetstream", "$G", "streams", testStream)
}

func config() jetstream.StreamConfig {
	return jetstream.StreamConfig{Name: testStream, Subjects: []string{"t.*"}, AllowDirect: true}
}

func publish(t *testing.T, js jetstream.JetStream, n int) {
	t.Helper()
	for i := range n {
		m := nats.NewMsg(fmt.Sprintf("t.%d", i%3))
		m.Data = fmt.Appendf(nil, "body %d", i)
		if i%2 == 0 {
			m.Header.Set("Some", "header")
		}
		if _, err := js.PublishMsg(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
}

func lastSeq(t *testing.T, js jetstream.JetStream) (last, messages uint64) {
	t.Helper()
	s, err := js.Stream(t.Context(), testStream)
	if err != nil {
		t.Fatal(err)
	}
	state := s.CachedInfo().State
	return state.LastSeq, state.Msgs
}

// filled is a store with n messages in a stream.
func filled(t *testing.T, n int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	withServer(t, dir, func(js jetstream.JetStream) {
		if _, err := js.CreateStream(t.Context(), config()); err != nil {
			t.Fatal(err)
		}
		publish(t, js, n)
	})
	return dir
}

func mendAll(t *testing.T, dir string) []Fault {
	t.Helper()
	faults, err := Examine(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		if err := f.Mend(); err != nil {
			t.Fatal(err)
		}
	}
	return faults
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o640); err != nil {
		t.Fatal(err)
	}
}

func TestRecordsAreWhatJetStreamStored(t *testing.T) {
	dir := filled(t, 20)
	withServer(t, dir, func(js jetstream.JetStream) {
		s, err := js.Stream(t.Context(), testStream)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.DeleteMsg(t.Context(), 20); err != nil {
			t.Fatal(err)
		}
	})
	blocks, err := Blocks(streamDir(dir))
	if err != nil || len(blocks) == 0 {
		t.Fatal(blocks, err)
	}
	var seqs []uint64
	removals := 0
	for _, path := range blocks {
		b, err := ReadBlock(path)
		if err != nil {
			t.Fatal(err)
		}
		for r, err := range Records(testStream, path, b) {
			if err != nil {
				t.Fatal(err)
			}
			if r.Removal {
				removals++
				continue
			}
			seqs = append(seqs, r.Seq)
			i := r.Seq - 1
			if want := fmt.Sprintf("t.%d", i%3); string(r.Subject) != want {
				t.Errorf("message %d has subject %s", r.Seq, r.Subject)
			}
			if want := fmt.Sprintf("body %d", i); i != 19 && string(r.Body) != want {
				t.Errorf("message %d has body %q", r.Seq, r.Body)
			}
			if hasHeaders := bytes.Contains(r.Headers, []byte("Some")); i != 19 && hasHeaders != (i%2 == 0) {
				t.Errorf("message %d has headers %q", r.Seq, r.Headers)
			}
		}
	}
	if len(seqs) < 19 || removals == 0 {
		t.Fatalf("read messages %v and %d notes of removals", seqs, removals)
	}
}

func TestRecordsSayWhereABlockIsDamaged(t *testing.T) {
	dir := filled(t, 20)
	path := filepath.Join(streamDir(dir), msgsDir, "1.blk")
	whole, err := ReadBlock(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, damage := range []func(b []byte) []byte{
		func(b []byte) []byte { return b[:len(b)-3] },
		func(b []byte) []byte { return append(b, make([]byte, 8)...) },
		func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		func(b []byte) []byte { clear(b[len(b)/2:]); return b },
	} {
		n, damaged := 0, (*DamageError)(nil)
		for _, err := range Records(testStream, path, damage(bytes.Clone(whole))) {
			if err != nil {
				errors.As(err, &damaged)
				break
			}
			n++
		}
		if damaged == nil || n == 0 || n > 20 {
			t.Errorf("%d records and %v", n, damaged)
		}
	}
}

// A stream that was being made when the power failed has nothing to lose.
func TestHalfMadeStreamIsRemoved(t *testing.T) {
	for name, breakIt := range map[string]func(t *testing.T, dir string){
		"empty description":    func(t *testing.T, dir string) { write(t, filepath.Join(dir, metaFile), nil) },
		"description of zeros": func(t *testing.T, dir string) { write(t, filepath.Join(dir, metaFile), make([]byte, 600)) },
		"empty checksum":       func(t *testing.T, dir string) { write(t, filepath.Join(dir, sumFile), nil) },
		"no checksum": func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, sumFile)); err != nil {
				t.Fatal(err)
			}
		},
		"no description": func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, metaFile)); err != nil {
				t.Fatal(err)
			}
		},
		"zeros for records": func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, sumFile), nil)
			write(t, filepath.Join(dir, msgsDir, "1.blk"), make([]byte, 4096))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filled(t, 0)
			breakIt(t, streamDir(dir))
			if faults := mendAll(t, streamDir(dir)); len(faults) != 1 {
				t.Fatal(faults)
			}
			if _, err := os.Stat(streamDir(dir)); !os.IsNotExist(err) {
				t.Fatal("the directory is still there:", err)
			}
			withServer(t, dir, func(js jetstream.JetStream) {
				if _, err := js.CreateStream(t.Context(), config()); err != nil {
					t.Fatal(err)
				}
				publish(t, js, 1)
			})
		})
	}
}

// A description that cannot be read and records beside it are for a person to look at.
func TestRecordsWithoutDescriptionStay(t *testing.T) {
	dir := filled(t, 5)
	write(t, filepath.Join(streamDir(dir), metaFile), make([]byte, 600))
	if faults := mendAll(t, streamDir(dir)); len(faults) != 0 {
		t.Fatal(faults)
	}
}

func TestChecksumOfAnotherDescriptionIsWrittenAgain(t *testing.T) {
	dir := filled(t, 5)
	write(t, filepath.Join(streamDir(dir), sumFile), []byte("0123456789abcdef"))
	if faults := mendAll(t, streamDir(dir)); len(faults) != 1 {
		t.Fatal(faults)
	}
	withServer(t, dir, func(js jetstream.JetStream) {
		if last, n := lastSeq(t, js); last != 5 || n != 5 {
			t.Fatalf("%d messages up to %d", n, last)
		}
	})
}

// JetStream believes an index of an empty stream when the newest block ends in eight zero bytes.
func TestIndexOfAnEmptyStreamIsNotBelieved(t *testing.T) {
	dir := filled(t, 0)
	index := filepath.Join(streamDir(dir), msgsDir, indexFile)
	stale, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	withServer(t, dir, func(js jetstream.JetStream) { publish(t, js, 5) })
	block := filepath.Join(streamDir(dir), msgsDir, "1.blk")
	b, err := os.ReadFile(block)
	if err != nil {
		t.Fatal(err)
	}
	write(t, block, append(b, make([]byte, 8)...))
	write(t, index, stale)
	if faults := mendAll(t, streamDir(dir)); len(faults) != 1 || !strings.Contains(faults[0].What, "index") {
		t.Fatal(faults)
	}
	withServer(t, dir, func(js jetstream.JetStream) {
		if last, n := lastSeq(t, js); last != 5 || n != 5 {
			t.Fatalf("%d messages up to %d", n, last)
		}
	})
}

func TestLeftoversGo(t *testing.T) {
	dir := filled(t, 5)
	for _, name := range []string{"msgs/1.new", "msgs/1.blk.tmp", "meta.inf.tmp"} {
		write(t, filepath.Join(streamDir(dir), name), []byte("x"))
	}
	if faults := mendAll(t, streamDir(dir)); len(faults) != 3 {
		t.Fatal(faults)
	}
	if faults := mendAll(t, streamDir(dir)); len(faults) != 0 {
		t.Fatal("they are still there:", faults)
	}
}

// An interrupted start is undone: what it replaced or removed is back, and what it only added to stays.
func TestUndo(t *testing.T) {
	dir := filled(t, 5)
	streams := filepath.Dir(streamDir(dir))
	undo := OpenUndo(filepath.Join(dir, "undo"))
	block := filepath.Join(streamDir(dir), msgsDir, "1.blk")
	before, err := os.ReadFile(block)
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(streamDir(dir), msgsDir, "2.blk")
	write(t, other, before)
	if err := undo.Keep([]string{streamDir(dir)}); err != nil {
		t.Fatal(err)
	}
	write(t, block+".x", nil)
	if err := os.Rename(block+".x", block); err != nil { // as a compaction whose records did not reach the disk
		t.Fatal(err)
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	changed, err := undo.Restore(streams)
	if err != nil || len(changed) != 1 || changed[0] != testStream {
		t.Fatal(changed, err)
	}
	for _, path := range []string{block, other} {
		if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, before) {
			t.Errorf("%s holds %d bytes: %v", path, len(b), err)
		}
	}
	if _, err := os.Stat(filepath.Join(streamDir(dir), msgsDir, indexFile)); !os.IsNotExist(err) {
		t.Error("the index is still there:", err)
	}
	if changed, err := undo.Restore(streams); err != nil || len(changed) != 0 {
		t.Error("it is not forgotten:", changed, err)
	}
	// One that was not made to its end counts for nothing.
	if err := os.MkdirAll(filepath.Join(undo.temp(), testStream), 0o750); err != nil {
		t.Fatal(err)
	}
	if changed, err := undo.Restore(streams); err != nil || len(changed) != 0 {
		t.Error(changed, err)
	}
	if err := undo.Keep([]string{streamDir(dir)}); err != nil {
		t.Fatal(err)
	}
	if err := undo.Drop(); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "undo*")); err != nil || len(left) != 0 {
		t.Error("left:", left, err)
	}
}

// What stands behind a hole in the records goes, so that a prefix is left.
func TestCutAtHole(t *testing.T) {
	for name, breakIt := range map[string]func(t *testing.T, block string){
		"an empty block": func(t *testing.T, block string) { write(t, block, nil) },
		"a block cut short": func(t *testing.T, block string) {
			if err := os.Truncate(block, 100); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			small := config()
			small.MaxBytes = 120_000 // makes blocks of 32 kB
			withServer(t, dir, func(js jetstream.JetStream) {
				if _, err := js.CreateStream(t.Context(), small); err != nil {
					t.Fatal(err)
				}
				for range 36 {
					if _, err := js.Publish(t.Context(), "t.0", make([]byte, 2500)); err != nil {
						t.Fatal(err)
					}
				}
			})
			blocks, err := Blocks(streamDir(dir))
			if err != nil || len(blocks) < 3 {
				t.Fatal(blocks, err)
			}
			aside := filepath.Join(dir, "aside")
			if cut, err := CutAtHole(streamDir(dir), time.Time{}, aside); cut != nil || err != nil {
				t.Fatal("a whole stream was cut:", cut, err)
			}
			whole, _, err := blockEnd(testStream, blocks[0])
			if err != nil {
				t.Fatal(err)
			}
			breakIt(t, blocks[1])
			cut, err := CutAtHole(streamDir(dir), time.Time{}, aside)
			if err != nil || cut == nil || cut.Last != whole || len(cut.Moved) != len(blocks)-2 {
				t.Fatal(cut, err)
			}
			withServer(t, dir, func(js jetstream.JetStream) {
				if last, n := lastSeq(t, js); last != whole || n != whole {
					t.Fatalf("%d messages up to %d", n, last)
				}
			})
		})
	}
}

// A survey says which file is damaged, and from which seq_num on each stream loses records.
func TestSurvey(t *testing.T) {
	dir := t.TempDir()
	small := config()
	small.MaxBytes = 120_000 // makes blocks of 32 kB
	withServer(t, dir, func(js jetstream.JetStream) {
		if _, err := js.CreateStream(t.Context(), small); err != nil {
			t.Fatal(err)
		}
		for i := range 30 {
			m := nats.NewMsg([]string{"t.a", "t.b"}[i%2])
			m.Header.Set(chunk.Header, fmt.Sprintf("1 first=%d n=2 ts=1-2 size=3 id=x crc=0", i/2*2))
			m.Data = make([]byte, 2500)
			if _, err := js.PublishMsg(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
	})
	if holes, err := Survey(streamDir(dir)); err != nil || len(holes) != 0 {
		t.Fatal("a whole stream has holes:", holes, err)
	}
	blocks, err := Blocks(streamDir(dir))
	if err != nil || len(blocks) < 3 {
		t.Fatal(blocks, err)
	}
	if err := os.Truncate(blocks[1], 6000); err != nil { // two of its messages are left
		t.Fatal(err)
	}
	holes, err := Survey(streamDir(dir))
	if err != nil || len(holes) != 1 {
		t.Fatal(holes, err)
	}
	first, _, err := blockEnd(testStream, blocks[0])
	if err != nil {
		t.Fatal(err)
	}
	h := holes[0]
	if h.Last != first+2 || h.Next <= h.Last+1 || h.Damage.Path != blocks[1] || len(h.Ends) != 2 {
		t.Fatalf("%+v", h)
	}
	for i, e := range h.Ends {
		// Message n holds the records from (n-1)/2*2 on, in turns of two subjects.
		if e.Subject != []string{"t.a", "t.b"}[i] || e.From >= e.To || e.To > 30 || !strings.Contains(h.String(), fmt.Sprintf("%s loses records from seq_num %d to %d", e.Subject, e.From, e.To-1)) {
			t.Errorf("%+v in %s", e, h)
		}
	}
}
