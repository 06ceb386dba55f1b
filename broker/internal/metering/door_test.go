package metering

import (
	"context"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirstream/weir/protocol"
)

// oneAck is an append session that refuses what comes with a context that has ended, and acknowledges all else at once.
type oneAck struct{ protocol.AppendSession }

func (oneAck) Submit(ctx context.Context, _ protocol.AppendInput) error { return ctx.Err() }

func (oneAck) Recv(context.Context) (protocol.AppendAck, error) {
	return protocol.AppendAck{End: protocol.Position{SeqNum: 1}}, nil
}

// TestAnInputThatWasNotHandedOverIsNotCounted: the session goes on, and each ack is counted with the size of its own input.
func TestAnInputThatWasNotHandedOverIsNotCounted(t *testing.T) {
	reg := prometheus.NewRegistry()
	d := NewDoors(reg)[InProcess]
	a := &doorAppends{AppendSession: oneAck{}, d: d}
	ended, end := context.WithCancel(t.Context())
	end()
	input := func(size int) protocol.AppendInput {
		return protocol.AppendInput{Records: []protocol.Record{{Body: make([]byte, size)}}}
	}
	if a.Submit(ended, input(1000)) == nil {
		t.Fatal("the input was taken")
	}
	small := input(1)
	if err := a.Submit(t.Context(), small); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Recv(t.Context()); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var counted float64
	for _, f := range families {
		if f.GetName() == "weir_append_bytes_total" {
			for _, m := range f.GetMetric() {
				counted += m.GetCounter().GetValue()
			}
		}
	}
	if want := float64(small.MeteredSize()); counted != want || len(a.waiting) != 0 {
		t.Errorf("counted %v bytes, want %v; %d inputs wait", counted, want, len(a.waiting))
	}
}
