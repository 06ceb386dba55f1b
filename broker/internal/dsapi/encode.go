package dsapi

import (
	"bytes"
	"encoding/base64"

	"github.com/weirstream/weir/broker/internal/door"
	"github.com/weirstream/weir/protocol"
)

// encoder appends the messages of records, commands left out.
type encoder func(dst []byte, recs protocol.Records) []byte

// pageStyle is the form of the body of an answer: in JSON mode an array of the messages.
func pageStyle(media string) (door.Style, encoder) {
	if isJSON(media) {
		return door.StyleArray, appendArray
	}
	return door.StyleBytes, appendBytes
}

// eventStyle is the form of an event with messages. Those that are no text are in Base64.
func eventStyle(media string) (door.Style, encoder) {
	switch {
	case isJSON(media):
		return door.StyleEventArray, appendArrayEvent
	case isText(media):
		return door.StyleEventText, appendTextEvent
	}
	return door.StyleEventBytes, appendBytesEvent
}

// holdMessages reports whether there is a record that is no command.
func holdMessages(recs protocol.Records) bool {
	for rec := range recs.All() {
		if rec.Command() == protocol.NoCommand {
			return true
		}
	}
	return false
}

func appendBytes(dst []byte, recs protocol.Records) []byte {
	for rec := range recs.All() {
		if rec.Command() == protocol.NoCommand {
			dst = append(dst, rec.Body...)
		}
	}
	return dst
}

func appendArray(dst []byte, recs protocol.Records) []byte {
	sep := byte('[')
	for rec := range recs.All() {
		if rec.Command() == protocol.NoCommand {
			dst = append(append(dst, sep), rec.Body...)
			sep = ','
		}
	}
	return append(dst, ']')
}

const (
	beginEvent = "event: data\ndata:"
	endEvent   = "\n\n"
)

func appendBytesEvent(dst []byte, recs protocol.Records) []byte {
	all := appendBytes(nil, recs)
	return append(base64.StdEncoding.AppendEncode(append(dst, beginEvent...), all), endEvent...)
}

// appendArrayEvent breaks lines where the messages do, which may be no JSON if another door has appended them.
func appendArrayEvent(dst []byte, recs protocol.Records) []byte {
	dst = append(dst, beginEvent...)
	sep := byte('[')
	for rec := range recs.All() {
		if rec.Command() == protocol.NoCommand {
			dst = appendLines(append(dst, sep), rec.Body)
			sep = ','
		}
	}
	return append(append(dst, ']'), endEvent...)
}

func appendTextEvent(dst []byte, recs protocol.Records) []byte {
	all := appendBytes(nil, recs)
	dst = append(dst, beginEvent...)
	if len(all) > 0 && all[0] == ' ' { // a reader drops one
		dst = append(dst, ' ')
	}
	return append(appendLines(dst, all), endEvent...)
}

// appendLines appends a text of which each further line, whatever ends the one before, begins a field of an event, so that none of
// it can be taken for another field.
func appendLines(dst, text []byte) []byte {
	feed, back := bytes.IndexByte(text, '\n'), bytes.IndexByte(text, '\r') // each is looked for again behind it alone
	for at := 0; ; {
		end := feed
		if back >= 0 && (feed < 0 || back < feed) {
			end = back
		}
		if end < 0 {
			return append(dst, text[at:]...)
		}
		dst = append(append(dst, text[at:end]...), "\ndata:"...)
		at = end + 1
		if text[end] == '\r' && at == feed {
			at++
		}
		if feed >= 0 && feed < at {
			feed = indexFrom(text, at, '\n')
		}
		if back >= 0 && back < at {
			back = indexFrom(text, at, '\r')
		}
		if at < len(text) && text[at] == ' ' { // a reader drops one
			dst = append(dst, ' ')
		}
	}
}

func indexFrom(text []byte, at int, b byte) int {
	if i := bytes.IndexByte(text[at:], b); i >= 0 {
		return at + i
	}
	return -1
}
