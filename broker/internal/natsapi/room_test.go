package natsapi_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/weirstream/weir/broker/internal/natsapi"
	"github.com/weirstream/weir/protocol"
)

// TestAnswersFitTheirClient: an answer has no more than the client says it takes, or than is assumed of one that says nothing.
func TestAnswersFitTheirClient(t *testing.T) {
	e := newEnv(t, natsapi.Options{AssumedPayload: 200 << 10})
	for range 5 {
		e.request("s2.v1.append.demo-basin.fit", strings.Repeat("x", 90<<10))
	}
	for _, tt := range []struct {
		says string
		most int
		want int
	}{{"", 200 << 10, 2}, {strconv.Itoa(100 << 10), 100 << 10, 1}, {strconv.Itoa(300 << 10), 300 << 10, 3}, {"99999999", 1 << 20, 5}} {
		head := []string{"Accept", protocol.MediaProtobuf}
		if tt.says != "" {
			head = append(head, protocol.HeaderMaxPayload, tt.says)
		}
		got := e.request("s2.v1.read.demo-basin.fit", `{"seq_num":0}`, head...)
		batch := must[protocol.ReadBatch](t)(protocol.UnmarshalReadBatch(got.Data))
		if got.Size() > tt.most || batch.Records.Len() != tt.want {
			t.Errorf("%q: %d bytes, %d records; want %d in at most %d", tt.says, got.Size(), batch.Records.Len(), tt.want, tt.most)
		}
	}
}
