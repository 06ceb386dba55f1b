package tap

import (
	"encoding/base64"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/weirstream/weir/protocol"
)

// fill makes the message of a record: its body, its headers, its seq_num and its timestamp.
func (p *publisher) fill(rec *protocol.SequencedRecord) {
	head := p.msg.Header
	clear(head)
	p.seqNum[0] = strconv.FormatUint(rec.SeqNum, 10)
	p.timestamp[0] = strconv.FormatUint(rec.Timestamp, 10)
	head[protocol.HeaderSeqNum], head[protocol.HeaderTimestamp] = p.seqNum[:], p.timestamp[:]
	for _, h := range rec.Headers {
		name, value := string(h.Name), string(h.Value)
		if !plain(name, value) {
			name, value = protocol.HeaderEscaped, base64.StdEncoding.EncodeToString(h.Name)+":"+base64.StdEncoding.EncodeToString(h.Value)
		}
		head[name] = append(head[name], value)
	}
	p.msg.Data = rec.Body
}

// plain reports whether a header can be one of NATS as it is. Names that speak to weir, JetStream or a NATS client cannot:
// the writer of a record must not decide how the stream of a subscriber treats its message.
func plain(name, value string) bool {
	if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) || strings.Trim(value, " \t") != value {
		return false
	}
	for _, begins := range [...]string{"nats-", "s2-"} {
		if len(name) >= len(begins) && strings.EqualFold(name[:len(begins)], begins) {
			return false
		}
	}
	return !strings.EqualFold(name, "status") && !strings.EqualFold(name, "description")
}
