package js

import (
	"testing"

	"github.com/nats-io/nats.go"
)

func TestParsePubAck(t *testing.T) {
	for data, want := range map[string]Seq{
		`{"stream":"S2_LOG_a_0","seq":17}`:                    17,
		`{"stream":"S2_LOG_a_0","seq":17,"duplicate":true}`:   17,
		`{"stream":"S2_LOG_a_0", "seq":18446744073709551615}`: ^Seq(0),
		`{"stream":"S2_LOG_a_0","seq":18446744073709551615}`:  ^Seq(0),
		`{"stream":"x","domain":"hub","seq":4}`:               4,
	} {
		got, err := ParsePubAck(&nats.Msg{Data: []byte(data)})
		if err != nil || got != want {
			t.Errorf("%s: %d, %v", data, got, err)
		}
	}
	for _, data := range []string{``, `{`, `{"stream":"x","seq":}`, `{"stream":"x","seq":-1}`, `[]`} {
		if _, err := ParsePubAck(&nats.Msg{Data: []byte(data)}); err == nil {
			t.Errorf("%q was taken for an ack", data)
		}
	}
	_, err := ParsePubAck(&nats.Msg{Data: []byte(`{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 5"},"stream":"x","seq":0}`)})
	if !WrongSequence(err) || Refused(err) || StreamMissing(err) || NoRoom(err) {
		t.Errorf("a wrong last sequence gave %v", err)
	}
	_, err = ParsePubAck(&nats.Msg{Data: []byte(`{"error":{"code":503,"err_code":10047,"description":"storage resources exceeded"},"stream":"x","seq":0}`)})
	if !Refused(err) || !NoRoom(err) || err.Error() != "the storage is full: storage resources exceeded (JetStream error 10047)" {
		t.Errorf("a full storage gave %v", err)
	}
}
