package adapter

import (
	"errors"
	"testing"

	"github.com/nats-io/nats.go"
)

func TestParsePubAck(t *testing.T) {
	for data, want := range map[string]jsSeq{
		`{"stream":"S2_LOG_a_0","seq":17}`:                    17,
		`{"stream":"S2_LOG_a_0","seq":17,"duplicate":true}`:   17,
		`{"stream":"S2_LOG_a_0", "seq":18446744073709551615}`: ^jsSeq(0),
		`{"stream":"S2_LOG_a_0","seq":18446744073709551615}`:  ^jsSeq(0),
		`{"stream":"x","domain":"hub","seq":4}`:               4,
	} {
		got, err := parsePubAck(&nats.Msg{Data: []byte(data)})
		if err != nil || got != want {
			t.Errorf("%s: %d, %v", data, got, err)
		}
	}
	for _, data := range []string{``, `{`, `{"stream":"x","seq":}`, `{"stream":"x","seq":-1}`, `[]`} {
		if _, err := parsePubAck(&nats.Msg{Data: []byte(data)}); err == nil {
			t.Errorf("%q was taken for an ack", data)
		}
	}
	_, err := parsePubAck(&nats.Msg{Data: []byte(`{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 5"},"stream":"x","seq":0}`)})
	var e *apiError
	if !errors.As(err, &e) || e.ErrCode != jsWrongLastSequence || refused(err) {
		t.Errorf("a wrong last sequence gave %v", err)
	}
}
