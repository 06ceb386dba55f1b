package httpapi

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/s2s"
)

// Request headers, in the form that net/http gives their names.
const (
	headerBasin         = "S2-Basin"
	headerEncryptionKey = protocol.HeaderEncryptionKey
	headerStreamConfig  = "S2-Stream-Config"
	headerRequestToken  = protocol.HeaderRequestToken
	headerFormat        = protocol.HeaderFormat
	headerLastEventID   = "Last-Event-Id"
)

// header returns the first value of a header (data plane 8.2). The error has code bad_header: the value holds
// something else than visible ASCII.
func (c *call) header(name string) (value string, present bool, err error) {
	values := c.r.Header[name]
	if len(values) == 0 {
		return "", false, nil
	}
	if !protocol.VisibleASCII(values[0]) {
		return "", true, protocol.Errorf(protocol.CodeBadHeader, "%s: may hold only visible ASCII", strings.ToLower(name))
	}
	return values[0], true, nil
}

// media is the kind of body that Content-Type or Accept names.
func (c *call) media(name string) protocol.MediaKind {
	if values := c.r.Header[name]; len(values) > 0 {
		return protocol.ParseMedia(values[0])
	}
	return protocol.KindNone
}

// contentEncoding is how the request's body is compressed; ok is false if in a way that is not supported.
func (c *call) contentEncoding() (s2s.Compression, bool) {
	switch values := c.r.Header["Content-Encoding"]; len(values) {
	case 0:
		return s2s.NoCompression, true
	case 1:
		return s2s.ParseContentEncoding(values[0])
	}
	return s2s.NoCompression, false
}

// basinHeader returns the basin that a stream's request names. The error has code bad_header.
func (c *call) basinHeader() (protocol.BasinName, error) {
	v, present, err := c.header(headerBasin)
	if err != nil {
		return "", err
	}
	if !present {
		return "", protocol.Errorf(protocol.CodeBadHeader, "s2-basin: is required")
	}
	name, err := protocol.ParseBasinName(v)
	if err != nil {
		return "", protocol.Errorf(protocol.CodeBadHeader, "s2-basin: %v", err)
	}
	return name, nil
}

// requestToken returns the idempotency token, nil if there is none. The error has code bad_header.
func (c *call) requestToken() (*string, error) {
	v, present, err := c.header(headerRequestToken)
	if err != nil || !present {
		return nil, err
	}
	if err := protocol.CheckRequestToken(v); err != nil {
		return nil, protocol.Errorf(protocol.CodeBadHeader, "s2-request-token: %v", err)
	}
	return &v, nil
}

// recordFormat is how record strings stand in JSON. The error has code bad_header.
func (c *call) recordFormat() (protocol.RecordFormat, error) {
	v, present, err := c.header(headerFormat)
	if err != nil || !present {
		return protocol.FormatRaw, err
	}
	return protocol.ParseRecordFormat(v)
}

// recordOptions reads the options of a call that moves records: the key for an encrypted stream (data plane 7.2) and the
// configuration of a stream that the call may create. The error has code bad_header.
func (c *call) recordOptions() (opts []protocol.RecordOption, err error) {
	key, present, err := c.header(headerEncryptionKey)
	if err != nil {
		return nil, err
	}
	if present {
		// Its length and characters are checked here, the rest once the stream is known. No message repeats it.
		key, err := protocol.ParseEncryptionKey("s2-encryption-key", key)
		if err != nil {
			return nil, err
		}
		opts = append(opts, protocol.WithEncryptionKey(key))
	}
	// A configuration is checked also if the stream exists; an empty header is none.
	config, _, err := c.header(headerStreamConfig)
	if err != nil || strings.TrimSpace(config) == "" {
		return opts, err
	}
	layer, err := protocol.ParseNewStreamConfig("s2-stream-config", config)
	if err != nil {
		return nil, err
	}
	return append(opts, protocol.WithNewStream(layer)), nil
}

// eventID is the position of a reader in an SSE session: the records that an earlier response delivered.
type eventID struct {
	seqNum, count, bytes uint64
}

// lastEventID returns where an SSE session resumes; nil if it does not. The error has code bad_header.
func (c *call) lastEventID() (*eventID, error) {
	v, present, err := c.header(headerLastEventID)
	if err != nil || !present {
		return nil, err
	}
	id, ok := parseEventID(v)
	if !ok {
		return nil, protocol.Errorf(protocol.CodeBadHeader, "last-event-id: want <seq_num>,<count>,<bytes>")
	}
	return &id, nil
}

func parseEventID(v string) (id eventID, ok bool) {
	for _, dst := range []*uint64{&id.seqNum, &id.count, &id.bytes} {
		part, rest, more := strings.Cut(v, ",")
		n, err := parseUint(part, 64)
		if err != nil || more == (dst == &id.bytes) {
			return eventID{}, false
		}
		*dst, v = n, rest
	}
	return id, true
}

// parseUint reads decimal digits and nothing else.
func parseUint(s string, bits int) (uint64, error) { return strconv.ParseUint(s, 10, bits) }

// basinParam decodes the first segment of the path, streamParam segment i. The errors have code bad_path.
func (c *call) basinParam() (protocol.BasinName, error) {
	return pathName(c.params[0], protocol.ParseBasinName)
}

func (c *call) streamParam(i int) (protocol.StreamName, error) {
	return pathName(c.params[i], protocol.ParseStreamName)
}

func pathName[T ~string](segment string, parse func(string) (T, error)) (T, error) {
	s, err := url.PathUnescape(segment)
	if err != nil {
		return "", protocol.Errorf(protocol.CodeBadPath, "the path holds an invalid escape")
	}
	name, err := parse(s)
	if err != nil {
		return "", protocol.Errorf(protocol.CodeBadPath, "%v", err)
	}
	return name, nil
}

// stream names the stream of a request under /v1/streams/{stream}: first the header, then the path.
func (c *call) stream() (ref protocol.StreamRef, err error) {
	if ref.Basin, err = c.basinHeader(); err != nil {
		return ref, err
	}
	ref.Stream, err = c.streamParam(0)
	return ref, err
}
