package natsapi

import (
	"strings"

	"github.com/weirstream/weir/broker/internal/door"
	"github.com/weirstream/weir/protocol"
)

// authenticate finds the service of the caller. A token in a header decides, for clients whose NATS credential is not
// one of weir's tokens; without a token it is the service that the door was opened with. The error has code authn.
func (c *call) authenticate() (err error) {
	c.svc = c.door.whole
	if c.door.opts.Authenticate == nil {
		if c.svc == nil {
			return errNoToken()
		}
		return nil
	}
	switch token, given := accessToken(c.head); {
	case given:
		var caller door.Caller
		if caller, err = c.door.opts.Authenticate(token); err == nil {
			c.svc, c.client = c.door.opts.measured(caller.Service), caller.Client
		}
	case c.svc == nil:
		err = errNoToken()
	}
	return err
}

func errNoToken() error {
	return protocol.Errorf(protocol.CodeAuthn, "an access token is required: put it in the header %s", protocol.HeaderAccessToken)
}

// accessToken returns the token that a message carries; "" if it is given more than once, so that none is chosen.
func accessToken(head map[string][]string) (token string, given bool) {
	for name, values := range head {
		if !strings.EqualFold(name, protocol.HeaderAccessToken) {
			continue
		}
		if given || len(values) != 1 {
			return "", true
		}
		token, given = strings.TrimSpace(values[0]), true
	}
	return token, given
}
