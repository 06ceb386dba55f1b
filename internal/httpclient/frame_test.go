package httpclient_test

import (
	"bytes"
	"encoding/hex"
	"io"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/httpclient"
	"github.com/weirstream/weir/protocol"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestByteExamples reads the three frames that data plane 8.9 spells out, and spells them again.
func TestByteExamples(t *testing.T) {
	heartbeat := unhex(t, "00 00 08 00 12 05 08 05 10 E8 07")
	f, err := httpclient.ReadFrame(bytes.NewReader(heartbeat))
	if err != nil || f.Terminal() {
		t.Fatalf("heartbeat: got %+v and %v", f, err)
	}
	batch, err := protocol.UnmarshalReadBatch(f.Payload)
	if err != nil || batch.Tail == nil || *batch.Tail != (protocol.Position{SeqNum: 5, Timestamp: 1000}) {
		t.Fatalf("heartbeat: got %+v and %v", batch, err)
	}
	if got := httpclient.EncodeFrame(0, protocol.MarshalReadBatch(&batch)); !bytes.Equal(got, heartbeat) {
		t.Fatalf("heartbeat: spelled % X", got)
	}
	for _, c := range []struct {
		head, body string
		code       protocol.Code
	}{
		{"00 00 27 80 01 A0", `{"tail":{"seq_num":0,"timestamp":0}}`, protocol.CodeUnwritten},
		{"00 00 19 80 01 9C", `{"seq_num_mismatch":1}`, protocol.CodeConditionFailed},
	} {
		wire := append(unhex(t, c.head), c.body...)
		f, err := httpclient.ReadFrame(bytes.NewReader(wire))
		if err != nil || !f.Terminal() || protocol.CodeOf(f.Failure()) != c.code {
			t.Fatalf("%s: got %+v and %v", c.body, f, err)
		}
		if got := httpclient.EncodeFrame(f.Flag, f.Payload); !bytes.Equal(got, wire) {
			t.Fatalf("%s: spelled % X", c.body, got)
		}
	}
}

func TestMessagesSurviveCompression(t *testing.T) {
	message := []byte(strings.Repeat("records ", 10_000))
	for _, how := range []httpclient.Compression{httpclient.Plain, httpclient.Zstd, httpclient.Gzip} {
		wire, err := httpclient.EncodeMessage(message, how)
		if err != nil {
			t.Fatal(err)
		}
		f, err := httpclient.ReadFrame(bytes.NewReader(wire))
		if err != nil || f.Compression() != how {
			t.Fatalf("compression %d: got %d and %v", how, f.Compression(), err)
		}
		if got, err := f.Message(); err != nil || !bytes.Equal(got, message) {
			t.Fatalf("compression %d: got %d bytes and %v", how, len(got), err)
		}
		for cut := 1; cut < len(wire); cut += max(1, len(wire)/50) {
			if _, err := httpclient.ReadFrame(bytes.NewReader(wire[:cut])); err != io.ErrUnexpectedEOF {
				t.Fatalf("a frame cut at %d of %d: got %v", cut, len(wire), err)
			}
		}
	}
}
