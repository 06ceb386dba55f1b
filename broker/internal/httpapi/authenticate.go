package httpapi

import (
	"net/netip"
	"strings"

	"github.com/weirstream/weir/broker/internal/door"
)

// authenticate finds the service of the caller by the token in Authorization: Bearer (control plane 5.9). It comes
// before everything that looks at the request, so that an unauthenticated client learns nothing. The error has code authn.
func (c *call) authenticate() (err error) {
	caller := c.h.whole
	if c.h.opts.Authenticate != nil {
		if caller, err = c.h.opts.Authenticate(c.bearer()); err != nil {
			c.w.Header()["Www-Authenticate"] = []string{"Bearer"} // RFC 9110, 11.6.1
			return err
		}
	}
	c.svc, c.client, c.life = caller.Service, caller.Client, caller.Life
	if c.client.Key == "" {
		c.client = door.Client{Key: address(c.r.RemoteAddr), Part: door.AddressPart}
	}
	return nil
}

// address is the key under which the requests of a client without a token are counted: its address, of IPv6 the network of 64
// bits that one site has.
func address(remote string) string {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return "address " + remote
	}
	ip := at.Addr().Unmap().WithZone("")
	if ip.Is6() {
		if net, err := ip.Prefix(64); err == nil {
			return "address " + net.String()
		}
	}
	return "address " + ip.String()
}

// bearer is the token that the request carries; "" if it carries none, or not exactly one.
func (c *call) bearer() string {
	values := c.r.Header["Authorization"]
	if len(values) != 1 {
		return ""
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return strings.Trim(token, " ")
}
