package dsapi

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/weirstream/weir/protocol"
)

// deletionPatience is how long a create waits for the end of a deletion of the same name.
const deletionPatience = 5 * time.Second

// create answers PUT: it makes the stream, with its first content, or finds one that is as it was asked for.
func (c *Call) create() error {
	if c.R.Header.Get(headFork) != "" || c.R.Header.Get(headForkAt) != "" {
		return protocol.Errorf(protocol.CodeNotImplemented, "%s: forks are not served by this door yet", headFork)
	}
	config, err := c.wanted()
	if err != nil {
		return err
	}
	body, free, err := c.Body()
	if err != nil {
		return err
	}
	defer free()
	in := protocol.AppendInput{Close: c.wantsClosed()}
	if in.Records, err = recordsOf(*config.ContentType, body, true); err != nil {
		return err
	}
	ctx, cancel := c.Unary(deletionPatience)
	defer cancel()
	created, err := c.provision(ctx, config)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
		c.W.Header().Set("Location", location(c.R))
		if len(in.Records) > 0 || in.Close {
			if in.Close && len(in.Records) > 0 || len(in.Records) > 0 {
				first := uint64(0)
				in.MatchSeqNum = &first // nobody else's content comes first
			}
			if _, err := c.Service.Append(ctx, c.Ref, in); err != nil {
				return err
			}
		}
	}
	s, err := c.stream(ctx)
	if err != nil {
		return err
	}
	if !created && !sameStream(&s, config, in.Close) {
		return protocol.Errorf(protocol.CodeResourceAlreadyExists, "the stream exists with another content type, expiry or closure")
	}
	c.tellEnd(s.tail)
	c.W.Header().Set("Content-Type", s.media)
	c.tellExpiry(s.config.Expiry)
	c.Respond(status, nil)
	return nil
}

func sameStream(s *stream, config protocol.StreamConfig, closed bool) bool {
	x := protocol.Expiry{}
	if config.Expiry != nil {
		x = *config.Expiry
	}
	return mediaType(s.media) == mediaType(*config.ContentType) && s.config.Expiry == x && s.tail.Closed == closed
}

// provision makes the stream; created is false if there is one already.
func (c *Call) provision(ctx context.Context, config protocol.StreamConfig) (created bool, err error) {
	for began := time.Now(); ; {
		_, _, err := c.Service.CreateStream(ctx, c.Ref.Basin, protocol.CreateStreamRequest{Stream: c.Ref.Stream, Config: config})
		switch protocol.CodeOf(err) {
		case "":
			return true, nil
		case protocol.CodeResourceAlreadyExists:
			return false, nil
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
