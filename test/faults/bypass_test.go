package faults

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/chunk"
)

// storedSubjects returns the subject of every message in the basin's logs, newest last, by name of the log.
func storedSubjects(t *testing.T, nc *nats.Conn, basin string) map[string]string {
	t.Helper()
	js, err := jetstream.New(nc)
	must(t, err)
	logs := map[string]string{}
	names := js.StreamNames(t.Context(), jetstream.WithStreamListSubject("s2.log.*.*."+basin+".>"))
	for name := range names.Name() {
		s, err := js.Stream(t.Context(), name)
		must(t, err)
		info, err := s.Info(t.Context(), jetstream.WithSubjectFilter("s2.log.*.*."+basin+".>"))
		must(t, err)
		for subject := range info.State.Subjects {
			logs[subject] = name
		}
	}
	must(t, names.Err())
	return logs
}

// chunkOf returns the newest stored message of a subject.
func chunkOf(t *testing.T, nc *nats.Conn, log, subject string) *jetstream.RawStreamMsg {
	t.Helper()
	js, err := jetstream.New(nc)
	must(t, err)
	s, err := js.Stream(t.Context(), log)
	must(t, err)
	m, err := s.GetLastMsgForSubject(t.Context(), subject)
	must(t, err)
	return m
}

// store publishes a message straight into JetStream, behind weir's back.
func store(t *testing.T, nc *nats.Conn, m *nats.Msg) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	js, err := jetstream.New(nc)
	must(t, err)
	_, err = js.PublishMsg(ctx, m)
	must(t, err)
}

// TestFaultForeignMessage: another client of an external NATS server writes into a log. The message is no chunk: the broker
// reports its stream as damaged and never serves the message, and the other streams of the log go on.
func TestFaultForeignMessage(t *testing.T) {
	for _, tc := range []struct {
		name    string
		message func(t *testing.T, newest *jetstream.RawStreamMsg) *nats.Msg
	}{
		{"no header", func(*testing.T, *jetstream.RawStreamMsg) *nats.Msg { return &nats.Msg{Data: []byte("garbage")} }},
		{"no header and no body", func(*testing.T, *jetstream.RawStreamMsg) *nats.Msg { return &nats.Msg{} }},
		{"a header that is none", func(*testing.T, *jetstream.RawStreamMsg) *nats.Msg {
			return &nats.Msg{Header: nats.Header{chunk.Header: {"1 first=-1 n=99999999999999999999 crc=0"}}, Data: []byte("x")}
		}},
		{"the header of a chunk around another payload", func(_ *testing.T, m *jetstream.RawStreamMsg) *nats.Msg {
			return &nats.Msg{Header: nats.Header{chunk.Header: m.Header[chunk.Header]}, Data: append([]byte("x"), m.Data...)}
		}},
		{"a chunk whose checksum was left alone", func(t *testing.T, m *jetstream.RawStreamMsg) *nats.Msg {
			h := strings.Replace(m.Header.Get(chunk.Header), "first=", "first=7", 1)
			return &nats.Msg{Header: nats.Header{chunk.Header: {h}}, Data: m.Data}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newNATSServer(t)
			cfg := outside(s.url())
			cfg.Logs = 1
			b := start(t, cfg)
			svc := b.Service()
			victim := newLedger(t, svc, "open-basin", "victim")
			other := newLedger(t, svc, "open-basin", "other")
			idle := newLedger(t, svc, "open-basin", "idle")
			victim.mustAppend(t, svc, 3, 50)
			nc := s.connect()
			var subject, log string
			for subject, log = range storedSubjects(t, nc, "open-basin") { // any one of them
			}
			other.mustAppend(t, svc, 2, 50)
			idle.mustAppend(t, svc, 2, 50)
			m := tc.message(t, chunkOf(t, nc, log, subject))
			m.Subject = subject
			store(t, nc, m)

			// The next append finds that the log has moved on, and that its stream has not suffered.
			for range 5 {
				other.mustAppend(t, svc, 2, 50)
			}
			if err := victim.append(t.Context(), svc, 1, 50); protocol.CodeOf(err) != protocol.CodeStorage {
				t.Errorf("an append to the damaged stream: %v", err)
			}
			checkDamaged := func(svc protocol.Service) {
				t.Helper()
				b, err := svc.Read(t.Context(), victim.ref, protocol.ReadRequest{Start: protocol.FromSeqNum(0)})
				if err == nil {
					victim.check(t, b.Records.Slice(), uint64(b.Records.Len())) // what was there before may be read
				} else if protocol.CodeOf(err) != protocol.CodeStorage {
					t.Errorf("a read of the damaged stream: %v", err)
				}
				if _, err := svc.CheckTail(t.Context(), victim.ref); err != nil && protocol.CodeOf(err) != protocol.CodeStorage {
					t.Errorf("the tail of the damaged stream: %v", err)
				}
			}
			checkDamaged(svc)
			other.verify(t, svc)
			idle.verify(t, svc)
			b.stop()

			b = start(t, cfg)
			svc = b.Service()
			checkDamaged(svc)
			if err := victim.append(t.Context(), svc, 1, 50); protocol.CodeOf(err) != protocol.CodeStorage {
				t.Errorf("an append to the damaged stream after a restart: %v", err)
			}
			idle.mustAppend(t, svc, 2, 50)
			idle.verify(t, svc)
			other.mustAppend(t, svc, 2, 50)
			other.verify(t, svc)

			// The way out is to delete the stream; a new one under its name begins at 0.
			must(t, svc.DeleteStream(t.Context(), victim.ref))
			eventually(t, "the name is free again", func() bool {
				_, _, err := svc.CreateStream(t.Context(), victim.ref.Basin, protocol.CreateStreamRequest{Stream: victim.ref.Stream})
				return err == nil
			})
			fresh := &ledger{ref: victim.ref}
			fresh.mustAppend(t, svc, 3, 50)
			fresh.verify(t, svc)
		})
	}
}

// TestFaultForeignWriter: somebody writes into a log of an external NATS all the time while streams of it are appended to.
// Every append is decided again as often as it takes, and none is lost or doubled. The writer is not so fast that nothing else comes through: how fast that
// would be depends on the machine.
func TestFaultForeignWriter(t *testing.T) {
	s := newNATSServer(t)
	cfg := outside(s.url())
	cfg.Logs = 1
	b := start(t, cfg)
	svc := b.Service()
	l := newLedger(t, svc, "open-basin", "s")
	l.mustAppend(t, svc, 1, 50)
	nc := s.connect()
	ctx, cancel := context.WithCancel(t.Context())
	var written atomic.Int64
	var writer sync.WaitGroup
	writer.Go(func() {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if written.Load() >= 10+5*int64(l.count(acked)) {
					continue
				}
				_ = nc.Publish(fmt.Sprintf("s2.log.express.0.open-basin.0.stranger%d", written.Add(1)%10), []byte("garbage"))
			case <-ctx.Done():
				return
			}
		}
	})
	run := startAppenders(t, svc, 4, []*ledger{l})
	time.Sleep(scale(300*time.Millisecond, 3*time.Second))
	eventually(t, "both write", func() bool { return written.Load() > 50 && l.count(acked) > 10 })
	run.end()
	cancel()
	writer.Wait()
	l.verify(t, svc)
}

// TestFaultStorageIsPrivate: with accounts the storage is out of reach of every client.
func TestFaultStorageIsPrivate(t *testing.T) {
	cfg := withNATS(t, onDisk(t.TempDir()), `accounts { TEAM { jetstream: enabled, users: [{user: a, password: b}] } }`)
	cfg.NATS.Listen = "127.0.0.1:0"
	b := start(t, cfg)
	svc := b.Service()
	l := newLedger(t, svc, "safe-basin", "s")
	l.mustAppend(t, svc, 3, 50)
	team, err := nats.Connect(b.ClientURL(), nats.UserInfo("a", "b"))
	must(t, err)
	defer team.Close()
	for name, nc := range map[string]*nats.Conn{"a user": team, "the embedding program": b.conn()} {
		if n := len(storedSubjectsOrNone(t, nc, "safe-basin")); n != 0 {
			t.Errorf("%s sees %d stored subjects", name, n)
		}
		for _, subject := range []string{"s2.log.express.0.safe-basin.0.x", "$KV.S2_CATALOG.b.safe-basin", "$JS.API.STREAM.PURGE.S2_LOG_express_0", "$JS.API.STREAM.DELETE.KV_S2_CATALOG"} {
			m, err := nc.RequestWithContext(timeout(t, 500*time.Millisecond), subject, []byte("{}"))
			if err == nil && !strings.Contains(string(m.Data), `"error"`) {
				t.Errorf("%s reached %s: %s", name, subject, m.Data)
			}
		}
	}
	l.mustAppend(t, svc, 3, 50)
	l.verify(t, svc)
	b.stop()
	b = start(t, cfg)
	l.verify(t, b.Service())
}

func storedSubjectsOrNone(t *testing.T, nc *nats.Conn, basin string) map[string]string {
	t.Helper()
	m, err := nc.RequestWithContext(timeout(t, 500*time.Millisecond), "$JS.API.STREAM.NAMES", nil)
	if err != nil || strings.Contains(string(m.Data), `"error"`) {
		return nil // no JetStream for this account at all
	}
	return storedSubjects(t, nc, basin)
}

func timeout(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
