package dsapi

import (
	"context"
	"net/url"
	"strconv"
	"strings"

	"github.com/weirstream/weir/protocol"
)

// Path begins the paths of this protocol; the names of a basin and of a stream follow.
const Path = "/ds/"

// fork is what the headers of a PUT ask to share.
type fork struct {
	source protocol.StreamRef
	at     *uint64 // nil: the tail
	// sub is how much is shared behind at: messages in JSON mode, and otherwise bytes of the one message that begins there.
	sub uint64
}

// wantedFork reads the headers of a fork; nil if there are none.
func (c *Call) wantedFork() (*fork, error) {
	source, isFork := c.R.Header[headFork]
	at, hasAt := c.R.Header[headForkAt]
	sub, hasSub := c.R.Header[headForkSub]
	if !isFork {
		if hasAt || hasSub {
			return nil, protocol.Errorf(protocol.CodeBadHeader, "Stream-Fork-Offset and Stream-Fork-Sub-Offset go with Stream-Forked-From")
		}
		return nil, nil //nolint:nilnil // there is none
	}
	f := &fork{source: protocol.StreamRef{Basin: c.Ref.Basin}}
	var err error
	if f.source.Stream, err = sourceName(source[0], c.Ref.Basin, c.NoBasin); err != nil {
		return nil, err
	}
	if hasAt {
		seq, ok := parseForkOffset(at[0])
		if !ok {
			return nil, protocol.Errorf(protocol.CodeBadHeader, "Stream-Fork-Offset %q is not an offset that this server gave", protocol.Clip(at[0]))
		}
		f.at = &seq
	}
	if hasSub {
		f.sub, err = strconv.ParseUint(sub[0], 10, 64)
		switch {
		case err != nil || f.sub > maxSafe || sub[0] != strconv.FormatUint(f.sub, 10):
			return nil, protocol.Errorf(protocol.CodeBadHeader, "Stream-Fork-Sub-Offset is %q, it must be a whole number up to 2^53-1", protocol.Clip(sub[0]))
		case f.sub > 0 && !hasAt:
			return nil, protocol.Errorf(protocol.CodeBadHeader, "Stream-Fork-Sub-Offset goes with Stream-Fork-Offset")
		}
	}
	return f, nil
}

// parseForkOffset takes offsets, and the two names of the beginning: that of reads, and the first offset of the protocol's
// reference server, which the protocol's suite sends to every server.
func parseForkOffset(s string) (uint64, bool) {
	if s == "-1" || s == "0000000000000000_0000000000000000" {
		return 0, true
	}
	return parseOffset(s)
}

// sourceName is the stream that a path names: the whole path of a stream of the basin, or the path below the basin. With noBasin
// these are the same.
func sourceName(path string, basin protocol.BasinName, noBasin bool) (protocol.StreamName, error) {
	rest, ok := strings.CutPrefix(path, "/")
	if below, whole := strings.CutPrefix(path, Path); whole && !noBasin {
		var of string
		if of, rest, ok = strings.Cut(below, "/"); of != string(basin) {
			return "", protocol.Errorf(protocol.CodeBadHeader, "Stream-Forked-From names the basin %q: a fork and its source are in one basin", protocol.Clip(of))
		}
	}
	if !ok {
		return "", protocol.Errorf(protocol.CodeBadHeader, "Stream-Forked-From is %q, it must be the path of a stream", protocol.Clip(path))
	}
	text, err := url.PathUnescape(rest)
	if err != nil {
		return "", protocol.Errorf(protocol.CodeBadHeader, "Stream-Forked-From is malformed")
	}
	name, err := protocol.ParseStreamName(text)
	if err != nil {
		return "", protocol.Errorf(protocol.CodeBadHeader, "Stream-Forked-From: %v", err)
	}
	return name, nil
}

// asFork makes the creation that of a fork. It returns the content type, and the part of a message with which the fork begins on
// its own, if any.
func (c *Call) asFork(ctx context.Context, req *protocol.CreateStreamRequest, f *fork) (media string, own []byte, err error) {
	config, err := c.Service.GetStreamConfig(ctx, f.source)
	if code := protocol.CodeOf(err); code == protocol.CodeStreamNotFound || code == protocol.CodeStreamDeletionPending {
		// A fork that is there outlives its source, and to ask for it again finds it.
		if there, absent := c.Service.GetStreamConfig(ctx, c.Ref); absent == nil {
			config, err = there, nil
		}
	}
	if err != nil {
		return "", nil, err
	}
	media = mediaOf(&config)
	if asked := c.R.Header.Get("Content-Type"); asked != "" && mediaType(asked) != mediaType(media) {
		return "", nil, protocol.Errorf(protocol.CodeConditionFailed, "Content-Type is %q, that of the source is %q", protocol.Clip(asked), media)
	}
	at := f.at
	if f.sub > 0 {
		var seq uint64
		if seq, own, err = c.forkWithin(ctx, media, f); err != nil {
			return "", nil, err
		}
		at = &seq
	}
	req.Config.ContentType = nil // that of the source
	req.Fork = &protocol.ForkRequest{Source: f.source.Stream, At: at}
	// With a token a repeat finds the fork, and a request for another one is refused.
	token := "durable-streams." + strconv.FormatUint(f.sub, 10)
	req.RequestToken = &token
	return media, own, nil
}

// forkWithin finds the seq_num at which a fork with a sub-offset begins, and the beginning of the message there that it has as its own.
func (c *Call) forkWithin(ctx context.Context, media string, f *fork) (seq uint64, own []byte, err error) {
	next, left := *f.at, f.sub
	for {
		batch, err := c.Read(ctx, f.source, protocol.ReadRequest{Start: protocol.FromSeqNum(next)}, 0)
		if protocol.CodeOf(err) == protocol.CodeUnwritten || err == nil && batch.Records.Len() == 0 {
			return 0, nil, protocol.Errorf(protocol.CodeBadHeader, "Stream-Fork-Sub-Offset is %d, which is beyond the end of the source", f.sub)
		}
		if err != nil {
			return 0, nil, err
		}
		for rec := range batch.Records.All() {
			next = rec.SeqNum + 1
			if rec.Command() != protocol.NoCommand {
				continue
			}
			if isJSON(media) {
				if left--; left == 0 {
					return next, nil, nil
				}
				continue
			}
			switch n := uint64(len(rec.Body)); {
			case left > n:
				return 0, nil, protocol.Errorf(protocol.CodeBadHeader, "Stream-Fork-Sub-Offset is %d, the message there has %d bytes", f.sub, n)
			case left == n:
				return next, nil, nil
			}
			return rec.SeqNum, rec.Body[:left], nil
		}
	}
}
