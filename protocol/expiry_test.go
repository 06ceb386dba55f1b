package protocol

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestExpiryJSON(t *testing.T) {
	at := time.Date(2030, 1, 31, 12, 0, 0, 5e6, time.UTC)
	for text, want := range map[string]Expiry{
		`{}`:                                {},
		`{"idle_secs":1}`:                   {IdleSecs: 1},
		`{"at":"2030-01-31T12:00:00.005Z"}`: {At: uint64(at.UnixMilli())},
		`{"idle_secs":18446744073709551615,"at":"2030-01-31T12:00:00.005Z"}`: {IdleSecs: 1<<64 - 1, At: uint64(at.UnixMilli())},
	} {
		var c StreamConfig
		if err := json.Unmarshal([]byte(`{"expiry":`+text+`}`), &c); err != nil || c.Expiry == nil || *c.Expiry != want {
			t.Errorf("%s: %+v, %v", text, c.Expiry, err)
			continue
		}
		b, err := json.Marshal(c)
		if err != nil || !strings.HasSuffix(string(b), `,"expiry":`+text+`}`) {
			t.Errorf("%s: written as %s, %v", text, b, err)
		}
		var r StreamReconfiguration
		if err := json.Unmarshal([]byte(`{"expiry":`+text+`}`), &r); err != nil || !r.Expiry.Present || *r.Expiry.Value != want {
			t.Errorf("%s: as a change %+v, %v", text, r.Expiry, err)
		}
		if b, err := json.Marshal(r); err != nil || string(b) != `{"expiry":`+text+`}` {
			t.Errorf("%s: the change is written as %s, %v", text, b, err)
		}
	}
	for text, says := range map[string]string{
		`{"expiry":{"idle_secs":0}}`:        "expiry.idle_secs: must be at least 1 second",
		`{"expiry":{"idle_secs":-1}}`:       "expiry.idle_secs",
		`{"expiry":{"at":"tomorrow"}}`:      "expiry.at",
		`{"expiry":{"at":1}}`:               "expiry.at",
		`{"expiry":5}`:                      "expiry",
		`{"expiry":{"at":"99999-01-01"}}`:   "expiry.at",
		`{"expiry":{"idle_secs":1.5}}`:      "expiry.idle_secs",
		`{"expiry":{"idle_secs":1},"x":[}`:  "",
		`{"expiry":{},"expiry":{"at":null}`: "",
	} {
		var c StreamConfig
		if err := json.Unmarshal([]byte(text), &c); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", text, err)
		}
	}
	var c StreamConfig
	if err := json.Unmarshal([]byte(`{"expiry":null}`), &c); err != nil || c.Expiry != nil {
		t.Errorf("null: %+v, %v", c, err)
	}
}

// TestResolvedExpiry: an answer tells the expiry only where there is one, and what a stream has stays when something else is
// changed, whatever its basin's default is now.
func TestResolvedExpiry(t *testing.T) {
	if b, err := json.Marshal(DefaultStreamConfig); err != nil || strings.Contains(string(b), "expiry") {
		t.Errorf("%s, %v", b, err)
	}
	basin := StreamConfig{Expiry: &Expiry{IdleSecs: 9}}
	min := uint64(1)
	if got := (StreamReconfiguration{DeleteOnEmptyMinAge: Patch[uint64]{true, &min}}).ApplyResolved(DefaultStreamConfig, basin); !got.Expiry.Never() {
		t.Errorf("%+v", got)
	}
	if got := (StreamReconfiguration{Expiry: Unset[Expiry]()}).ApplyResolved(DefaultStreamConfig, basin); got.Expiry.IdleSecs != 9 {
		t.Errorf("%+v", got)
	}
	if x := ExpiryAt(time.UnixMicro(1)); x.At != 1 {
		t.Errorf("a time is rounded up: %+v", x)
	}
}
