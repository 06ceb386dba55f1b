package natsapi_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/broker/internal/natsapi"
	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/protocol"
)

// keyed notes the key of each call that can have one.
type keyed struct {
	*memory
	keys []string
}

func (k *keyed) note(method string, opts ...protocol.RecordOption) {
	text := "none"
	if key := protocol.MakeRecordOptions(opts...).EncryptionKey; !key.IsZero() {
		text = key.Reveal()
	}
	k.keys = append(k.keys, method+" "+text)
}

func (k *keyed) CheckTail(ctx context.Context, ref protocol.StreamRef) (protocol.StreamTail, error) {
	k.note("tail")
	return k.memory.CheckTail(ctx, ref)
}

func (k *keyed) Append(ctx context.Context, ref protocol.StreamRef, in protocol.AppendInput, opts ...protocol.RecordOption) (protocol.AppendAck, error) {
	k.note("append", opts...)
	return k.memory.Append(ctx, ref, in, opts...)
}

func (k *keyed) Read(ctx context.Context, ref protocol.StreamRef, req protocol.ReadRequest, opts ...protocol.RecordOption) (protocol.ReadBatch, error) {
	k.note("read", opts...)
	return k.memory.Read(ctx, ref, req, opts...)
}

func (k *keyed) OpenAppendSession(ctx context.Context, ref protocol.StreamRef, opts ...protocol.RecordOption) (protocol.AppendSession, error) {
	k.note("append session", opts...)
	return k.memory.OpenAppendSession(ctx, ref, opts...)
}

func (k *keyed) OpenReadSession(ctx context.Context, ref protocol.StreamRef, req protocol.ReadRequest, opts ...protocol.RecordOption) (protocol.ReadSession, error) {
	k.note("read session", opts...)
	return k.memory.OpenReadSession(ctx, ref, req, opts...)
}

// keyedEnv is an env whose second door, with the prefix k, is before a service that notes keys.
func keyedEnv(t *testing.T) (*env, *keyed) {
	e := newEnv(t, natsapi.Options{})
	k := &keyed{memory: e.svc}
	dnc := e.connect()
	door, err := natsapi.Serve(t.Context(), dnc, k, natsapi.Options{Prefix: "k"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		dnc.Close()
		_ = door.Close(context.Background())
	})
	return e, k
}

// TestEncryptionKey: data plane 7.2, over NATS.
func TestEncryptionKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, k := keyedEnv(t)
		head := []string{"S2-Encryption-Key", "  !!!!secret "}
		equal(t, "append", failure(e.request("k.v1.append.demo-basin.greetings", "a", append(head, "Colour", "red")...)).Code, "")
		equal(t, "read", failure(e.request("k.v1.read.demo-basin.greetings", `{"seq_num":0}`, head...)).Code, "")
		equal(t, "append session", failure(e.request("k.v1.append.demo-basin.greetings", "", append(head, "S2-Session", "append")...)).Code, "")
		equal(t, "read session", e.request("k.v1.read.demo-basin.greetings", `{"seq_num":0}`, append(head, "S2-Session", "read")...).Header.Get("S2-Frame"), "open")
		equal(t, "keys", strings.Join(k.keys, ", "), "append !!!!secret, read !!!!secret, append session !!!!secret, read session !!!!secret")

		for rec := range must[protocol.ReadBatch](t)(e.client().Read(t.Context(), greetings, protocol.ReadRequest{Start: protocol.FromSeqNum(0)})).Records.All() {
			equal(t, "headers of the record", len(rec.Headers), 1)
			equal(t, "header", string(rec.Headers[0].Name), "Colour")
		}

		k.keys = nil
		for _, bad := range []string{"", "   ", strings.Repeat("k", 45), "\xc3\xa9", "a b\x01"} {
			for _, verb := range []string{"append", "read"} {
				f := failure(e.request("k.v1."+verb+".demo-basin.greetings", `{}`, "S2-Encryption-Key", bad))
				equal(t, verb, f.Code, protocol.CodeBadHeader)
				if strings.TrimSpace(bad) != "" && strings.Contains(f.Message, bad) {
					t.Errorf("the failure repeats the key: %s", f.Message)
				}
			}
			// The tail needs no key and does not look at one.
			equal(t, "tail", failure(e.request("k.v1.tail.demo-basin.greetings", "", "S2-Encryption-Key", bad)).Code, "")
		}
		equal(t, "calls with a bad key", strings.Join(k.keys, ", "), strings.TrimSuffix(strings.Repeat("tail none, ", 5), ", "))
	})
}

// TestSessionInputsHaveNoKeyOfTheirOwn: one that is sent would be taken for a change of the key.
func TestSessionInputsHaveNoKeyOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, natsapi.Options{})
		a := e.appender(t)
		a.send("", 1, "a", "S2-Encryption-Key", "key")
		a.expectEnd(1, protocol.CodeBadFrame)
		equal(t, "tail", must[protocol.StreamTail](t)(e.client().CheckTail(t.Context(), greetings)).SeqNum, 0)
	})
}

// TestClientSendsTheKey with calls and with the openings of sessions, and never with anything else.
func TestClientSendsTheKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, k := keyedEnv(t)
		c := client.New(e.nc, client.Options{Prefix: "k"})
		key := protocol.NewEncryptionKey([32]byte(bytes.Repeat([]byte{7}, 32)))
		seen := map[string]bool{}
		spy := must[*nats.Subscription](t)(e.nc.Subscribe("k.v1.>", func(m *nats.Msg) {
			if m.Header.Get("S2-Encryption-Key") != "" {
				seen[strings.Join(strings.Split(m.Subject, ".")[:3], ".")] = true
			}
		}))
		ctx, with := t.Context(), protocol.WithEncryptionKey(key)
		must[protocol.AppendAck](t)(c.Append(ctx, greetings, body("a"), with))
		must[protocol.ReadBatch](t)(c.Read(ctx, greetings, protocol.ReadRequest{Start: protocol.FromSeqNum(0)}, with))
		must[protocol.StreamTail](t)(c.CheckTail(ctx, greetings))
		w := must[protocol.AppendSession](t)(c.OpenAppendSession(ctx, greetings, with))
		if err := w.Submit(ctx, body("b")); err != nil {
			t.Fatal(err)
		}
		must[protocol.AppendAck](t)(w.Recv(ctx))
		_ = w.Close()
		r := must[protocol.ReadSession](t)(c.OpenReadSession(ctx, greetings, protocol.ReadRequest{Start: protocol.FromSeqNum(0)}, with))
		must[protocol.ReadBatch](t)(r.Next(ctx))
		_ = r.Close()
		text := key.Reveal()
		equal(t, "keys", strings.Join(k.keys, ", "),
			"append "+text+", read "+text+", tail none, append session "+text+", read session "+text)
		synctest.Wait()
		_ = spy.Unsubscribe()
		equal(t, "subjects with a key", len(seen), 2)
		equal(t, "append", seen["k.v1.append"], true)
		equal(t, "read", seen["k.v1.read"], true)
	})
}
