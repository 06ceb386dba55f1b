package protocol_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

func TestAsError(t *testing.T) {
	inner := protocol.Wrap(protocol.CodeStorage, io.ErrUnexpectedEOF, "cannot read")
	for name, c := range map[string]struct {
		err  error
		code protocol.Code
	}{
		"nil":                    {nil, ""},
		"typed":                  {inner, protocol.CodeStorage},
		"wrapped":                {fmt.Errorf("reading: %w", inner), protocol.CodeStorage},
		"deadline":               {fmt.Errorf("x: %w", context.DeadlineExceeded), protocol.CodeRequestTimeout},
		"cancelled":              {context.Canceled, protocol.CodeClientHangup},
		"unknown":                {errors.New("/var/secret is gone"), protocol.CodeOther},
		"typed around a context": {protocol.Wrap(protocol.CodeOther, context.Canceled, "m"), protocol.CodeOther},
	} {
		t.Run(name, func(t *testing.T) {
			if got := protocol.CodeOf(c.err); got != c.code {
				t.Fatalf("got %q, want %q", got, c.code)
			}
			e := protocol.AsError(c.err)
			if c.err == nil {
				if e != nil {
					t.Fatal("an error from nil")
				}
				return
			}
			if strings.Contains(string(e.Body()), "secret") {
				t.Error("the client sees the cause")
			}
			if !errors.Is(c.err, &protocol.Error{Code: c.code}) && errors.As(c.err, new(*protocol.Error)) {
				t.Error("does not match by code")
			}
		})
	}
	if !errors.Is(inner, io.ErrUnexpectedEOF) || !strings.Contains(inner.Error(), "unexpected EOF") {
		t.Error("the log does not see the cause")
	}
}

func TestReadRequest(t *testing.T) {
	n := func(v uint64) *uint64 { return &v }
	wait := func(d time.Duration) *time.Duration { return &d }
	for name, c := range map[string]struct {
		req              protocol.ReadRequest
		bounded, follows bool
		limit            protocol.Limit
	}{
		"4.4 no limits":             {protocol.ReadRequest{}, false, true, protocol.NoLimit},
		"4.4 no limits, wait 0":     {protocol.ReadRequest{Wait: wait(0)}, false, true, protocol.NoLimit},
		"4.4 count":                 {protocol.ReadRequest{Count: n(5)}, true, false, protocol.Limit{Count: 5, Bytes: 1<<64 - 1}},
		"4.4 bytes and wait 0":      {protocol.ReadRequest{Bytes: n(7), Wait: wait(0)}, true, false, protocol.Limit{Count: 1<<64 - 1, Bytes: 7}},
		"4.4 until and wait":        {protocol.ReadRequest{Until: n(0), Wait: wait(1)}, true, true, protocol.Limit{Count: 1<<64 - 1, Bytes: 1<<64 - 1, HasUntil: true}},
		"4.3 count 0 and bytes max": {protocol.ReadRequest{Count: n(0), Bytes: n(1<<64 - 1)}, true, false, protocol.Limit{Bytes: 1<<64 - 1}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.req.Bounded() != c.bounded || c.req.MayFollow() != c.follows || c.req.Limit() != c.limit {
				t.Fatalf("bounded %v, may follow %v, limit %+v", c.req.Bounded(), c.req.MayFollow(), c.req.Limit())
			}
		})
	}
	t.Run("4.1 timestamp against until", func(t *testing.T) {
		for ts, ok := range map[uint64]bool{4: true, 5: false, 6: false} {
			err := (&protocol.ReadRequest{Start: protocol.FromTimestamp(ts), Until: n(5)}).Validate()
			if ok && err != nil {
				t.Fatal(err)
			} else if !ok {
				wantCode(t, err, protocol.CodeInvalid, "start `timestamp` exceeds or equal to `until`")
			}
		}
		if err := (&protocol.ReadRequest{Start: protocol.FromSeqNum(9), Until: n(5)}).Validate(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestPageSize(t *testing.T) {
	for limit, want := range map[int]int{0: 1000, 1: 1, 5: 5, 1000: 1000, 1001: 1000, 1500: 1000, 1<<63 - 1: 1000} {
		if got := (protocol.ListRequest{Limit: limit}).PageSize(); got != want {
			t.Errorf("A.2/37 A.2/38 limit %d: page of %d, want %d", limit, got, want)
		}
	}
}
