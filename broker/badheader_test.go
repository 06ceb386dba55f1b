package broker_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weirstream/weir/conf"
)

// TestUnreadableHeaders: a header block that nats.go cannot read is refused; it would be dropped whole, with the conditions and
// the access token in it.
func TestUnreadableHeaders(t *testing.T) {
	for _, mode := range []string{"open", "checked"} {
		t.Run(mode, func(t *testing.T) {
			c := onDisk(t.TempDir())
			c.NATS.Listen, c.LameDuck = "127.0.0.1:0", 0
			connect := connectLine("")
			if mode == "checked" {
				c, connect = guarded(t.TempDir()), connectLine(rootToken)
			}
			b := start(t, c)
			defer closeBroker(t, b)
			ensureBasin(t, b.Service())
			appendTo(t, b.Service(), "first")
			w := dialWire(t, b)
			w.send(connect, "SUB in 1", "PING")
			w.until("PONG")
			for name, head := range map[string]string{
				"a line break in a value":  "NATS/1.0\r\nS2-Match-Seq-Num: 7\r\nnote: a\nb\r\n\r\n",
				"a line without a colon":   "NATS/1.0\r\nS2-Match-Seq-Num: 7\r\nnote\r\n\r\n",
				"a folded line":            "NATS/1.0\r\nnote: a\r\n S2-Match-Seq-Num: 7\r\n\r\n",
				"no empty line at the end": "NATS/1.0\r\nS2-Match-Seq-Num: 7\r\n",
				"another first line":       "HTTP/1.1\r\nS2-Match-Seq-Num: 7\r\n\r\n",
				"a token that is wrong":    "NATS/1.0\r\nS2-Access-Token: wrong\r\nnote\r\n\r\n",
			} {
				body := "second"
				w.send(fmt.Sprintf("HPUB s2.v1.append.%s.%s in %d %d", events.Basin, events.Stream, len(head), len(head)+len(body)), head+body)
				if got := w.until(`{"code"`); !strings.Contains(got, `"bad_header"`) {
					t.Errorf("%s: %q", name, got)
				}
			}
			if got := readAll(t, b.Service()); got != "0:first" {
				t.Errorf("stored: %s", got)
			}
			head := "NATS/1.0\r\nS2-Match-Seq-Num: 1\r\n\r\n"
			w.send(fmt.Sprintf("HPUB s2.v1.append.%s.%s in %d %d", events.Basin, events.Stream, len(head), len(head)+1), head+"x")
			if got := w.until(`{"start"`); got == "" {
				t.Error("a block that can be read is refused")
			}
		})
	}
}

// TestHeadersForJetStream: what JetStream would obey and weir does not is refused by name, with weir's own way.
func TestHeadersForJetStream(t *testing.T) {
	c := conf.Default().WithMemory()
	c.NATS.Listen, c.HTTP.Listen, c.LameDuck = "127.0.0.1:0", "", 0
	b := start(t, c)
	defer closeBroker(t, b)
	ensureBasin(t, b.Service())
	w := dialWire(t, b)
	w.send(connectLine(""), "SUB in 1", "PING")
	w.until("PONG")
	for header, instead := range map[string]string{
		"Nats-Expected-Last-Sequence": "S2-Match-Seq-Num", "Nats-Expected-Stream": "S2-Match-Seq-Num", "nats-msg-id": "S2-Match-Seq-Num",
		"Nats-TTL": "retention_policy", "Nats-Rollup": "trim",
	} {
		head := "NATS/1.0\r\n" + header + ": 1\r\n\r\n"
		w.send(fmt.Sprintf("HPUB s2.v1.append.%s.%s in %d %d", events.Basin, events.Stream, len(head), len(head)+1), head+"x")
		if got := w.until(`{"code"`); !strings.Contains(got, `"bad_header"`) || !strings.Contains(got, header) || !strings.Contains(got, instead) {
			t.Errorf("%s: %q", header, got)
		}
	}
}
