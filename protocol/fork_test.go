package protocol

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestForkRequestJSON(t *testing.T) {
	at := uint64(7)
	for text, want := range map[string]*ForkRequest{
		`{"stream":"s"}`:                                    nil,
		`{"stream":"s","fork":null}`:                        nil,
		`{"stream":"s","fork":{"source":"a/b"}}`:            {Source: "a/b"},
		`{"stream":"s","fork":{"source":"a","at":null}}`:    {Source: "a"},
		`{"stream":"s","fork":{"at":7,"source":"a","x":1}}`: {Source: "a", At: &at},
	} {
		var req CreateStreamRequest
		if err := json.Unmarshal([]byte(text), &req); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		same := func(got *ForkRequest) bool {
			if got == nil || want == nil {
				return got == want
			}
			return got.Source == want.Source && (got.At == nil) == (want.At == nil) && (got.At == nil || *got.At == *want.At)
		}
		if !same(req.Fork) {
			t.Errorf("%s: %+v", text, req.Fork)
		}
		b, err := json.Marshal(req)
		var back CreateStreamRequest
		if err == nil {
			err = json.Unmarshal(b, &back)
		}
		if err != nil || !same(back.Fork) {
			t.Errorf("%s: written as %s, %v", text, b, err)
		}
	}
	for text, says := range map[string]string{
		`{"stream":"s","fork":{}}`:                        "fork.source",
		`{"stream":"s","fork":{"source":""}}`:             "fork.source",
		`{"stream":"s","fork":{"source":"a","at":-1}}`:    "fork.at",
		`{"stream":"s","fork":{"source":"a","at":"1"}}`:   "fork.at",
		`{"stream":"s","fork":"a"}`:                       "fork",
		`{"stream":"s","fork":{"source":"` + ShadowPrefix: "",
	} {
		var req CreateStreamRequest
		if err := json.Unmarshal([]byte(text), &req); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
