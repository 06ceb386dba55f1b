package natsapi

import (
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/protocol"
)

// jetStreamHeaders are the headers that JetStream obeys in a publication and weir does not, by the beginnings of their names
// in lower case, with the way to ask weir for it.
var jetStreamHeaders = []struct{ begins, instead string }{
	{"nats-expected-", "conditions are in " + protocol.HeaderMatchSeqNum + " and " + protocol.HeaderFencingToken},
	{"nats-msg-id", "weir drops no duplicates by an id; " + protocol.HeaderMatchSeqNum + " makes an append happen once"},
	{"nats-ttl", "records live as long as the stream's retention_policy says"},
	{"nats-batch-", "the records of one body in JSON or protobuf are stored together or not at all"},
	{"nats-schedule", "weir stores at once"},
	{"nats-incr", "weir has no counters"},
	{"nats-rollup", "a trim command removes what is before it"},
}

// checkForeign refuses an append with headers that speak to JetStream: dropped in silence, they would take a condition or a
// lifetime with them. The code of the error is bad_header.
func checkForeign(head nats.Header) error {
	for name := range head {
		lower := strings.ToLower(name)
		if !strings.HasPrefix(lower, natsPrefix) {
			continue
		}
		for _, h := range jetStreamHeaders {
			if strings.HasPrefix(lower, h.begins) {
				return protocol.Errorf(protocol.CodeBadHeader, "weir does not obey %s: %s", protocol.Clip(name), h.instead)
			}
		}
	}
	return nil
}
