package natsapi

import (
	"strings"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/subject"
)

// basin reads the one token of a basin verb's subject. The code of the error is bad_path.
func (c *call) basin() (protocol.BasinName, error) {
	name, err := protocol.ParseBasinName(c.rest)
	if err != nil {
		return "", badPath(err)
	}
	return name, nil
}

// stream reads the tokens of a stream's subject. The code of the error is bad_path.
func (c *call) stream() (protocol.StreamRef, error) {
	basin, rest, found := strings.Cut(c.rest, ".")
	name, err := protocol.ParseBasinName(basin)
	if err != nil {
		return protocol.StreamRef{}, badPath(err)
	}
	if !found {
		return protocol.StreamRef{}, protocol.Errorf(protocol.CodeBadPath, "the subject names no stream: %s.%s", c.ep.usage, "<stream> is missing")
	}
	stream, err := subject.Decode(rest)
	if err != nil {
		return protocol.StreamRef{}, badPath(err)
	}
	return protocol.StreamRef{Basin: name, Stream: stream}, nil
}

func badPath(err error) error {
	return protocol.Errorf(protocol.CodeBadPath, "subject: %v", err)
}

// checkSize bounds a JSON body (data plane 8.11).
func (c *call) checkSize() error {
	if len(c.body) > protocol.MaxRequestBytes {
		return protocol.Errorf(protocol.CodeBadJSON, "the body has %d bytes, at most %d are allowed", len(c.body), protocol.MaxRequestBytes)
	}
	return nil
}
