package dsapi

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/weirstream/weir/protocol"
)

// deletionPatience is how long a create waits for the end of a deletion of the same name.
const deletionPatience = 5 * time.Second

// create answers PUT: it makes the stream, with its first content, or finds one that is as it was asked for.
func (c *Call) create() error {
	config, err := c.wanted()
	if err != nil {
		return err
	}
	f, err := c.wantedFork()
	if err != nil {
		return err
	}
	body, free, err := c.Body()
	if err != nil {
		return err
	}
	ctx, cancel := c.Unary(deletionPatience)
	defer cancel()
	defer func() {
		if ctx.Err() == nil { // an append whose outcome is not known may still read the body
			free()
		}
	}()
	req := protocol.CreateStreamRequest{Stream: c.Ref.Stream, Config: config}
	in := protocol.AppendInput{Close: c.wantsClosed()}
	if f == nil {
		if in.Records, err = recordsOf(*config.ContentType, body, true); err != nil {
			return err
		}
	} else {
		media, own, err := c.asFork(ctx, &req, f)
		if err != nil {
			return err
		}
		if in.Records, err = recordsOf(media, body, true); err != nil {
			return err
		}
		if own != nil {
			in.Records = slices.Insert(in.Records, 0, protocol.Record{Body: own})
		}
		if err := fits(in.Records); err != nil {
			return err
		}
	}
	if len(in.Records) > 0 {
		in.MatchSeqNum = firstOwn(&req) // nobody else's content comes first
	}
	created, err := c.provision(ctx, req)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
		c.W.Header().Set("Location", location(c.R))
		if len(in.Records) > 0 || in.Close {
			if _, err := c.Service.Append(ctx, c.Ref, in); err != nil {
				return err
			}
		}
	}
	s, err := c.stream(ctx)
	if err != nil {
		return err
	}
	if !created && f != nil {
		if err := c.completeFork(ctx, &s, in); err != nil {
			return err
		}
	}
	if !created && !sameStream(&s, req.Config, in.Close) {
		return protocol.Errorf(protocol.CodeResourceAlreadyExists, "the stream exists with another content type, expiry or closure")
	}
	c.tellEnd(s.tail)
	c.W.Header().Set("Content-Type", s.media)
	c.tellExpiry(s.config.Expiry)
	c.Respond(status, nil)
	return nil
}

// firstOwn is the seq_num of the first record that a new stream does not share; nil if that is not known before.
func firstOwn(req *protocol.CreateStreamRequest) *uint64 {
	if req.Fork != nil {
		return req.Fork.At
	}
	return new(uint64)
}

// completeFork gives a fork that is there the content that its creation was cut off before.
func (c *Call) completeFork(ctx context.Context, s *stream, in protocol.AppendInput) error {
	if in.MatchSeqNum == nil || s.tail.SeqNum != *in.MatchSeqNum || s.tail.Closed {
		return nil
	}
	_, err := c.Service.Append(ctx, c.Ref, in)
	switch protocol.CodeOf(err) {
	case "", protocol.CodeConditionFailed, protocol.CodeStreamClosed: // if refused, another request has completed it
		s.tail, err = c.Service.CheckTail(ctx, c.Ref)
	}
	return err
}

// sameStream reports whether a stream that is there is as it was asked for. A content type of nil is that of the source of a fork;
// its request token has told that the fork was asked for in the same way.
func sameStream(s *stream, config protocol.StreamConfig, closed bool) bool {
	if config.ContentType == nil {
		return s.tail.Closed == closed
	}
	x := protocol.Expiry{}
	if config.Expiry != nil {
		x = *config.Expiry
	}
	return mediaType(s.media) == mediaType(*config.ContentType) && s.config.Expiry == x && s.tail.Closed == closed
}

// provision makes the stream; created is false if there is one already. One that is there is refused as a fork if it is none, or
// another one.
func (c *Call) provision(ctx context.Context, req protocol.CreateStreamRequest) (created bool, err error) {
	for began := time.Now(); ; {
		_, result, err := c.Service.CreateStream(ctx, c.Ref.Basin, req)
		switch protocol.CodeOf(err) {
		case "":
			return result == protocol.ProvisionCreated, nil
		case protocol.CodeResourceAlreadyExists:
			if req.Fork == nil {
				return false, nil
			}
		case protocol.CodeStreamDeletionPending:
			if time.Since(began) < deletionPatience {
				select {
				case <-time.After(20 * time.Millisecond):
					continue
				case <-ctx.Done():
				}
			}
		}
		return false, err
	}
}

// wanted is the configuration that the headers ask for. Records stay until the stream goes: the protocol has no retention.
func (c *Call) wanted() (config protocol.StreamConfig, err error) {
	media := c.R.Header.Get("Content-Type")
	if media == "" {
		media = defaultMedia
	}
	config.ContentType = &media
	config.RetentionPolicy = &protocol.RetentionPolicy{}
	ttl, hasTTL := c.R.Header[headTTL]
	at, hasAt := c.R.Header[headExpiresAt]
	switch {
	case hasTTL && hasAt:
		return config, protocol.Errorf(protocol.CodeBadHeader, "Stream-TTL and Stream-Expires-At exclude each other")
	case hasTTL:
		n, err := strconv.ParseUint(ttl[0], 10, 63)
		if err != nil || ttl[0] != strconv.FormatUint(n, 10) {
			return config, protocol.Errorf(protocol.CodeBadHeader, "Stream-TTL is %q, it must be a number of seconds without a sign or leading zeros", protocol.Clip(ttl[0]))
		}
		config.Expiry = &protocol.Expiry{IdleSecs: max(n, 1)}
	case hasAt:
		t, err := time.Parse(time.RFC3339Nano, at[0])
		if err != nil {
			return config, protocol.Errorf(protocol.CodeBadHeader, "Stream-Expires-At is %q, it must be an RFC 3339 time", protocol.Clip(at[0]))
		}
		x := protocol.ExpiryAt(t)
		config.Expiry = &x
	}
	return config, nil
}

// location is the URL of the request's stream.
func location(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host + r.URL.EscapedPath()
}
