package dsapi

import (
	"bytes"
	"context"
	"encoding/base64"

	"github.com/weirstream/weir/broker/internal/door"
	"github.com/weirstream/weir/protocol"
)

// encoder is a form of the messages of records, commands left out.
type encoder struct {
	style  door.Style
	append func(dst []byte, recs protocol.Records) []byte
	// size is an upper bound of the output of append, given the number of messages, the sum of their bytes, and the number of their line breaks.
	size func(messages, bytes, breaks int) int
}

var (
	pageOfBytes = encoder{door.StyleBytes, appendBytes, func(_, bytes, _ int) int { return bytes }}
	pageOfJSON  = encoder{door.StyleArray, appendArray, func(messages, bytes, _ int) int { return bytes + messages + 1 }}
	// A line break becomes [nextLine], and a space behind it two.
	eventOfJSON = encoder{door.StyleEventArray, appendArrayEvent,
		func(messages, bytes, breaks int) int { return eventRoom + bytes + messages + 1 + len(nextLine)*breaks }}
	eventOfText = encoder{door.StyleEventText, appendTextEvent,
		func(_, bytes, breaks int) int { return eventRoom + 1 + bytes + len(nextLine)*breaks }}
	eventOfBytes = encoder{door.StyleEventBytes, appendBytesEvent,
		func(_, bytes, _ int) int { return eventRoom + base64.StdEncoding.EncodedLen(bytes) }}
)

// pageStyle is the form of the body of an answer: in JSON mode an array of the messages.
func pageStyle(media string) encoder {
	if isJSON(media) {
		return pageOfJSON
	}
	return pageOfBytes
}

// eventStyle is the form of an event with messages. Those that are no text are in Base64.
func eventStyle(media string) encoder {
	switch {
	case isJSON(media):
		return eventOfJSON
	case isText(media):
		return eventOfText
	}
	return eventOfBytes
}

// room is at least what the records take.
func (e *encoder) room(recs protocol.Records) int {
	messages, size, breaks := 0, 0, 0
	for rec := range recs.All() {
		if rec.Command() == protocol.NoCommand {
			messages++
			size += len(rec.Body)
			if e.style == door.StyleEventArray || e.style == door.StyleEventText {
				breaks += bytes.Count(rec.Body, []byte{'\n'}) + bytes.Count(rec.Body, []byte{'\r'})
			}
		}
	}
	return e.size(messages, size, breaks)
}

// encoded returns records that hold messages, in the form.
func (c *Call) encoded(ctx context.Context, e encoder, recs protocol.Records) ([]byte, error) {
	return c.Encoded(ctx, e.style, func() int { return e.room(recs) }, func(dst []byte) []byte { return e.append(dst, recs) })
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

// joined is the messages in one piece; of one message its own memory.
func joined(recs protocol.Records) []byte {
	if recs.Len() == 1 {
		for rec := range recs.All() {
			if rec.Command() == protocol.NoCommand {
				return rec.Body
			}
		}
	}
	return appendBytes(make([]byte, 0, pageOfBytes.room(recs)), recs)
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
	nextLine   = "\ndata:"
	endEvent   = "\n\n"
	eventRoom  = len(beginEvent) + len(endEvent)
)

func appendBytesEvent(dst []byte, recs protocol.Records) []byte {
	return append(base64.StdEncoding.AppendEncode(append(dst, beginEvent...), joined(recs)), endEvent...)
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
	all := joined(recs)
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
		dst = append(append(dst, text[at:end]...), nextLine...)
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
