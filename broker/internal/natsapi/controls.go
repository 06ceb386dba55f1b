package natsapi

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/protocol"
)

// controls are the headers of a message that speak to the door, parsed.
type controls struct {
	contentType  media
	accept       media
	format       protocol.RecordFormat
	requestToken *string
	timeout      *time.Duration
	matchSeqNum  *uint64
	fencingToken *string
	timestamp    *uint64
	closes       *bool
	producer     producerControls
	writerSeq    *string
	maxPayload   *uint64
	session      string // "", SessionRead, SessionAppend
	window       *uint64
	frame        string
	seq          *uint64
	// encryptionKey is as it came, because only the requests that need it report a fault of it; a secret.
	encryptionKey *string
	streamConfig  string
}

// producerControls are the three headers of a producer.
type producerControls struct {
	id         *string
	epoch, seq *uint64
}

func (p producerControls) given() bool { return p.id != nil || p.epoch != nil || p.seq != nil }

// producer is nil when none of the headers is given. The code of the error is bad_header.
func (p producerControls) producer() (*protocol.Producer, error) {
	if !p.given() {
		return nil, nil //nolint:nilnil // there is none
	}
	if p.id == nil || p.epoch == nil || p.seq == nil {
		return nil, protocol.Errorf(protocol.CodeBadHeader, "%s, %s and %s go together", protocol.HeaderProducerID, protocol.HeaderProducerEpoch, protocol.HeaderProducerSeq)
	}
	return &protocol.Producer{ID: *p.id, Epoch: *p.epoch, Seq: *p.seq}, nil
}

// media is a kind of body.
type media uint8

const (
	mediaNone media = iota // no header
	mediaRaw
	mediaJSON
	mediaProtobuf
)

// setControl parses one control header. Keys are the headers' names in lower case.
var setControl = map[string]func(c *controls, value string) error{
	strings.ToLower(protocol.HeaderContentType): func(c *controls, v string) (err error) {
		c.contentType, err = parseMedia(protocol.HeaderContentType, v)
		return err
	},
	strings.ToLower(protocol.HeaderAccept): func(c *controls, v string) error {
		// A request for a format that the door cannot produce is answered as JSON, as over HTTP (data plane 8.3).
		c.accept, _ = parseMedia(protocol.HeaderAccept, v)
		return nil
	},
	strings.ToLower(protocol.HeaderFormat): func(c *controls, v string) (err error) {
		c.format, err = protocol.ParseRecordFormat(v)
		return err
	},
	strings.ToLower(protocol.HeaderEncryptionKey): func(c *controls, v string) error {
		c.encryptionKey = &v
		return nil
	},
	strings.ToLower(protocol.HeaderStreamConfig): func(c *controls, v string) error {
		c.streamConfig = v
		return nil
	},
	strings.ToLower(protocol.HeaderRequestToken): func(c *controls, v string) error {
		if err := protocol.CheckRequestToken(v); err != nil {
			return protocol.Errorf(protocol.CodeBadHeader, "%s: %v", protocol.HeaderRequestToken, err)
		}
		c.requestToken = &v
		return nil
	},
	strings.ToLower(protocol.HeaderTimeout): func(c *controls, v string) error {
		ms, err := parseUint(protocol.HeaderTimeout, v)
		if err != nil {
			return err
		}
		d := time.Duration(math.MaxInt64)
		if *ms < math.MaxInt64/uint64(time.Millisecond) {
			d = time.Duration(*ms) * time.Millisecond
		}
		c.timeout = &d
		return nil
	},
	strings.ToLower(protocol.HeaderMatchSeqNum): func(c *controls, v string) (err error) {
		c.matchSeqNum, err = parseUint(protocol.HeaderMatchSeqNum, v)
		return err
	},
	strings.ToLower(protocol.HeaderFencingToken): func(c *controls, v string) error {
		c.fencingToken = &v
		return nil
	},
	strings.ToLower(protocol.HeaderTimestamp): func(c *controls, v string) (err error) {
		c.timestamp, err = parseUint(protocol.HeaderTimestamp, v)
		return err
	},
	strings.ToLower(protocol.HeaderClose): func(c *controls, v string) (err error) {
		c.closes, err = parseBool(protocol.HeaderClose, v)
		return err
	},
	strings.ToLower(protocol.HeaderProducerID): func(c *controls, v string) error {
		c.producer.id = &v
		return nil
	},
	strings.ToLower(protocol.HeaderProducerEpoch): func(c *controls, v string) (err error) {
		c.producer.epoch, err = parseUint(protocol.HeaderProducerEpoch, v)
		return err
	},
	strings.ToLower(protocol.HeaderProducerSeq): func(c *controls, v string) (err error) {
		c.producer.seq, err = parseUint(protocol.HeaderProducerSeq, v)
		return err
	},
	strings.ToLower(protocol.HeaderWriterSeq): func(c *controls, v string) error {
		c.writerSeq = &v
		return nil
	},
	strings.ToLower(protocol.HeaderSession): func(c *controls, v string) error {
		c.session = strings.ToLower(strings.TrimSpace(v))
		if c.session != protocol.SessionRead && c.session != protocol.SessionAppend {
			return protocol.Errorf(protocol.CodeBadHeader, "%s is %q, it may be %s or %s",
				protocol.HeaderSession, protocol.Clip(v), protocol.SessionRead, protocol.SessionAppend)
		}
		return nil
	},
	strings.ToLower(protocol.HeaderMaxPayload): func(c *controls, v string) (err error) {
		c.maxPayload, err = parseUint(protocol.HeaderMaxPayload, v)
		return err
	},
	strings.ToLower(protocol.HeaderWindow): func(c *controls, v string) (err error) {
		c.window, err = parseUint(protocol.HeaderWindow, v)
		return err
	},
	// Looked at before all others, by [call.authenticate].
	strings.ToLower(protocol.HeaderAccessToken): func(*controls, string) error { return nil },
	strings.ToLower(protocol.HeaderFrame): func(c *controls, v string) error {
		c.frame = strings.ToLower(strings.TrimSpace(v))
		return nil
	},
	strings.ToLower(protocol.HeaderSeq): func(c *controls, v string) (err error) {
		c.seq, err = parseUint(protocol.HeaderSeq, v)
		return err
	},
}

// controlPrefixes begin the names of headers that are not data: those of weir, and those that NATS keeps for itself
// and adds on the way, such as Nats-Request-Info. In lower case.
const (
	weirPrefix = "s2-"
	natsPrefix = "nats-"
)

// parseControls reads the control headers. An unknown S2- header and one given twice are errors, because to ignore them
// might drop a condition. The code of the error is bad_header.
func parseControls(head nats.Header) (c controls, err error) {
	seen := make([]string, 0, 8)
	for _, name := range sortedNames(head) {
		lower := strings.ToLower(name)
		set, known := setControl[lower]
		switch {
		case !known && strings.HasPrefix(lower, weirPrefix):
			return controls{}, protocol.Errorf(protocol.CodeBadHeader, "unknown header %q", protocol.Clip(name))
		case !known:
			continue
		}
		if slices.Contains(seen, lower) || len(head[name]) != 1 {
			return controls{}, protocol.Errorf(protocol.CodeBadHeader, "header %s is given more than once", protocol.Clip(name))
		}
		seen = append(seen, lower)
		if err := set(&c, head[name][0]); err != nil {
			return controls{}, err
		}
	}
	return c, nil
}

// isControl reports whether a header is not part of a record in raw form.
func isControl(name string) bool {
	lower := strings.ToLower(name)
	if strings.HasPrefix(lower, weirPrefix) || strings.HasPrefix(lower, natsPrefix) {
		return true
	}
	_, known := setControl[lower]
	return known
}

func parseMedia(header, v string) (media, error) {
	switch protocol.ParseMedia(v) {
	case protocol.KindRaw:
		return mediaRaw, nil
	case protocol.KindJSON:
		return mediaJSON, nil
	case protocol.KindProtobuf:
		return mediaProtobuf, nil
	case protocol.KindNone:
		if strings.TrimSpace(v) == "" {
			return mediaNone, nil
		}
	}
	return mediaNone, protocol.Errorf(protocol.CodeBadHeader, "%s is %q, it may be %s, %s, %s or absent",
		header, protocol.Clip(v), protocol.MediaRaw, protocol.MediaJSON, protocol.MediaProtobuf)
}

func parseUint(header, v string) (*uint64, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(v), 10, 64)
	if err != nil {
		return nil, protocol.Errorf(protocol.CodeBadHeader, "%s is %q, it must be a whole number from 0 to %d",
			header, protocol.Clip(v), uint64(math.MaxUint64))
	}
	return &n, nil
}

func parseBool(header, v string) (*bool, error) {
	switch strings.ToLower(strings.TrimSpace(v)) {
	case "true":
		return new(true), nil
	case "false":
		return new(false), nil
	}
	return nil, protocol.Errorf(protocol.CodeBadHeader, "%s is %q, it may be true or false", header, protocol.Clip(v))
}

func sortedNames(head nats.Header) []string {
	names := make([]string, 0, len(head))
	for name := range head {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
