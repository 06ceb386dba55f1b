package broker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/test/storedir"
)

var events = protocol.StreamRef{Basin: "test-basin", Stream: "events"}

func start(t *testing.T, c conf.Config) *broker.Broker {
	t.Helper()
	b, err := broker.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func closeBroker(t *testing.T, b *broker.Broker) {
	t.Helper()
	if err := b.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func onDisk(dir string) conf.Config {
	c := conf.Default().WithStoreDir(dir)
	c.HTTP.Listen = ""
	c.NATS.Listen = ""
	return c
}

var ensureRequest = protocol.EnsureBasinRequest{Config: protocol.BasinConfig{CreateStreamOnAppend: true}}

// ensureBasin makes a basin whose streams are created by appends.
func ensureBasin(t *testing.T, svc protocol.Service) {
	t.Helper()
	if _, _, err := svc.EnsureBasin(t.Context(), events.Basin, ensureRequest); err != nil {
		t.Fatal(err)
	}
}

func input(bodies ...string) (in protocol.AppendInput) {
	for _, b := range bodies {
		in.Records = append(in.Records, protocol.Record{Body: []byte(b)})
	}
	return in
}

func appendTo(t *testing.T, svc protocol.Service, bodies ...string) protocol.AppendAck {
	t.Helper()
	ack, err := svc.Append(t.Context(), events, input(bodies...))
	if err != nil {
		t.Fatal(err)
	}
	return ack
}

func readAll(t *testing.T, svc protocol.Service) string {
	t.Helper()
	batch, err := svc.Read(t.Context(), events, protocol.ReadRequest{Start: protocol.FromSeqNum(0)})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for rec := range batch.Records.All() {
		out = append(out, fmt.Sprintf("%d:%s", rec.SeqNum, rec.Body))
	}
	return strings.Join(out, " ")
}

func wantCode(t *testing.T, what string, err error, code protocol.Code) {
	t.Helper()
	var e *protocol.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("%s: %v, want code %s", what, err, code)
	}
}

// TestRestart: records, tails and configuration are there after a restart, for every class on disk.
func TestRestart(t *testing.T) {
	for _, d := range []conf.Durability{conf.DurabilityAuto, conf.DurabilityAlways, conf.DurabilityInterval} {
		t.Run(string(d), func(t *testing.T) {
			c := onDisk(t.TempDir())
			c.Durability = d
			for i := range 3 {
				b := start(t, c)
				if i == 0 {
					ensureBasin(t, b.Service())
				}
				if ack := appendTo(t, b.Service(), "x"); ack.Start.SeqNum != uint64(i) {
					t.Errorf("run %d: appended at %v", i, ack.Start)
				}
				closeBroker(t, b)
			}
			b := start(t, c)
			defer closeBroker(t, b)
			if got := readAll(t, b.Service()); got != "0:x 1:x 2:x" {
				t.Errorf("read %q", got)
			}
		})
	}
}

// TestCloseSettles: what Close does to everything that is under way, on the whole broker and on fake time.
func TestCloseSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, conf.Default().WithMemory())
		svc := b.Service()
		ensureBasin(t, svc)
		appendTo(t, svc, "a")

		follower, err := svc.OpenReadSession(t.Context(), events, protocol.ReadRequest{})
		if err != nil {
			t.Fatal(err)
		}
		defer follower.Close()
		followed := make(chan error, 1)
		go func() {
			for {
				if _, err := follower.Next(t.Context()); err != nil {
					followed <- err
					return
				}
			}
		}()

		appender, err := svc.OpenAppendSession(t.Context(), events)
		if err != nil {
			t.Fatal(err)
		}
		defer appender.Close()
		if err := appender.Submit(t.Context(), input("b")); err != nil {
			t.Fatal(err)
		}
		finished, err := svc.OpenAppendSession(t.Context(), events)
		if err != nil {
			t.Fatal(err)
		}
		defer finished.Close()
		if err := finished.Submit(t.Context(), input("c")); err != nil {
			t.Fatal(err)
		}
		if err := finished.CloseSend(); err != nil {
			t.Fatal(err)
		}

		synctest.Wait() // Both inputs are stored; the read below waits behind them.
		waited := make(chan error, 1)
		go func() {
			wait := 50 * time.Second
			_, err := svc.Read(t.Context(), events, protocol.ReadRequest{Wait: &wait})
			waited <- err
		}()

		synctest.Wait()
		began := time.Now()
		closeBroker(t, b)
		if took := time.Since(began); took > time.Second {
			t.Errorf("nothing was in the way, and Close took %s", took)
		}

		wantCode(t, "follower", <-followed, protocol.CodeServerDraining)
		wantCode(t, "waiting read", <-waited, protocol.CodeServerDraining)
		wantCode(t, "submit after Close", appender.Submit(t.Context(), input("d")), protocol.CodeServerDraining)
		if _, err := appender.Recv(t.Context()); err != nil {
			t.Errorf("the ack of an append that was taken: %v", err)
		}
		_, err = appender.Recv(t.Context())
		wantCode(t, "after the last ack", err, protocol.CodeServerDraining)
		if _, err := finished.Recv(t.Context()); err != nil {
			t.Errorf("the ack of an append that was taken: %v", err)
		}
		if _, err := finished.Recv(t.Context()); err != io.EOF {
			t.Errorf("the end of a session whose client had finished: %v, want io.EOF", err)
		}

		_, err = svc.CheckTail(t.Context(), events)
		wantCode(t, "check-tail after Close", err, protocol.CodeServerDraining)
		_, err = svc.OpenReadSession(t.Context(), events, protocol.ReadRequest{})
		wantCode(t, "read session after Close", err, protocol.CodeServerDraining)
		_, err = svc.OpenAppendSession(t.Context(), events)
		wantCode(t, "append session after Close", err, protocol.CodeServerDraining)
		wantCode(t, "reload after Close", b.Reload(), protocol.CodeServerDraining)
		if err, ok := <-b.Done(); ok {
			t.Errorf("Done delivered %v", err)
		}
		closeBroker(t, b)
	})
}

// TestStopIsQuickWithoutClients: the lame duck time is for clients, and the broker's own connections are none.
func TestStopIsQuickWithoutClients(t *testing.T) {
	c := onDisk(t.TempDir())
	c.NATS.Listen = "127.0.0.1:0"
	c.LameDuck = time.Minute
	for range 5 {
		b := start(t, c)
		ensureBasin(t, b.Service())
		appendTo(t, b.Service(), "x")
		if err := b.Reload(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		closeBroker(t, b)
		if took := time.Since(began); took > c.LameDuck/2 {
			t.Fatalf("the stop took %s", took)
		}
	}
}

// TestInvalidInputStoresNothing: not even the stream that the append would have created.
func TestInvalidInputStoresNothing(t *testing.T) {
	b := start(t, conf.Default().WithMemory())
	defer closeBroker(t, b)
	svc := b.Service()
	ensureBasin(t, svc)
	_, err := svc.Append(t.Context(), events, protocol.AppendInput{})
	wantCode(t, "empty batch", err, protocol.CodeInvalid)
	page, err := svc.ListStreams(t.Context(), events.Basin, protocol.ListRequest{})
	if err != nil || len(page.Streams) != 0 {
		t.Errorf("streams %v, %v", page.Streams, err)
	}
}

// TestOverNATS: the doors answer in every account, and the file of accounts can change while the broker runs.
func TestOverNATS(t *testing.T) {
	c := onDisk(t.TempDir())
	c.NATS.Listen = "127.0.0.1:0"
	c.LameDuck = time.Second
	c.NATS.ConfigFile = filepath.Join(t.TempDir(), "nats.conf")
	accounts := func(text string) {
		t.Helper()
		if err := os.WriteFile(c.NATS.ConfigFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	accounts("accounts { TEAM { users: [{user: a, password: b}] } }")
	b := start(t, c)
	defer closeBroker(t, b)
	ensureBasin(t, b.Service())

	request := func(nc *nats.Conn, body string) {
		t.Helper()
		m, err := nc.Request("s2.v1.append.test-basin.events", []byte(body), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if e := m.Header.Get("Nats-Service-Error"); e != "" {
			t.Fatal(e)
		}
	}
	connect := func(user, password string) *nats.Conn {
		t.Helper()
		nc, err := nats.Connect(b.ClientURL(), nats.UserInfo(user, password))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return nc
	}
	request(connect("a", "b"), "one")

	accounts("accounts { TEAM { users: [{user: a, password: b}] }, NEW { users: [{user: n, password: n}] } }")
	if err := b.Reload(); err != nil {
		t.Fatal(err)
	}
	request(connect("n", "n"), "two")
	request(connect("a", "b"), "three")
	inside, err := b.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	request(inside, "four")

	accounts("accounts {")
	if err := b.Reload(); err == nil {
		t.Error("a broken configuration was accepted")
	}
	if got := readAll(t, b.Service()); got != "0:one 1:two 2:three 3:four" {
		t.Errorf("read %q", got)
	}
}

// TestExternal: two brokers, one after the other, on a NATS that runs by itself.
func TestExternal(t *testing.T) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: storedir.New(t),
		MaxPayload: 8 << 20, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	defer func() { s.Shutdown(); s.WaitForShutdown() }()
	if !s.ReadyForConnections(time.Minute) {
		t.Fatal("the server is not ready")
	}
	c := conf.Default()
	c.HTTP.Listen = ""
	c.External.URL = s.ClientURL()
	for i := range 2 {
		b := start(t, c)
		if b.ClientURL() != s.ClientURL() {
			t.Errorf("address %q, want %q", b.ClientURL(), s.ClientURL())
		}
		ensureBasin(t, b.Service())
		if ack := appendTo(t, b.Service(), "x"); ack.End.SeqNum != uint64(i)+1 {
			t.Errorf("run %d: %v", i, ack)
		}
		if err := b.Reload(); err == nil {
			t.Error("an external NATS was reloaded")
		}
		closeBroker(t, b)
	}
}

// TestFailedStartLeavesNothing: after every failure the directory and the port are free again.
func TestFailedStartLeavesNothing(t *testing.T) {
	c := onDisk(t.TempDir())
	bad := c
	bad.SubjectPrefix = "not valid"
	if _, err := broker.Start(t.Context(), bad); err == nil {
		t.Fatal("it started with an invalid configuration")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if b, err := broker.Start(ctx, c); err == nil {
		closeBroker(t, b)
	}
	b := start(t, c)
	if _, err := broker.Start(t.Context(), c); err == nil || !strings.Contains(err.Error(), "another weir") {
		t.Errorf("a second broker on the store directory: %v", err)
	}
	closeBroker(t, b)
	closeBroker(t, start(t, c))
}
