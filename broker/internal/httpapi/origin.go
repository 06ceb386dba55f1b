package httpapi

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/weirstream/weir/protocol"
)

// checkOrigin refuses requests of web pages that may not use the API. Where nothing is checked a browser on this machine is
// the way in for everybody whose page it shows: so only pages of this machine, and of the configured origins, are let in, and
// only under a name that such a page has. A name that leads here by its owner's DNS is none (DNS rebinding). Clients that are
// no browsers send no Origin, and the Host that they were given.
func (c *call) checkOrigin() *protocol.Error {
	if !c.h.opts.Open {
		return nil
	}
	if !c.h.hosts.allows(c.r.Host) {
		return protocol.Errorf(protocol.CodePermissionDenied, "this broker checks no access tokens, so it does not answer under the name %q: use an IP address or localhost, name its origin in http.cors_origins, or set a root token", protocol.Clip(c.r.Host))
	}
	if origin := c.r.Header["Origin"]; len(origin) > 0 && !c.originAllowed(origin[0]) {
		return protocol.Errorf(protocol.CodePermissionDenied, "this broker checks no access tokens, so pages of %q may not use it: name the origin in http.cors_origins, or set a root token", protocol.Clip(origin[0]))
	}
	return nil
}

// originAllowed reports whether pages of the origin may use the API.
func (c *call) originAllowed(origin string) bool {
	switch {
	case slices.Contains(c.h.opts.CORSOrigins, origin):
		return true
	case c.sameOrigin(origin):
		return true
	case c.h.opts.NoCORS:
		return false
	case len(c.h.opts.CORSOrigins) > 0 && !c.h.opts.Open:
		return false
	case !c.h.opts.Open:
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && loopbackHost(u.Host)
}

// sameOrigin reports whether the origin is that of the request itself.
func (c *call) sameOrigin(origin string) bool {
	scheme := "http://"
	if c.r.TLS != nil {
		scheme = "https://"
	}
	return strings.EqualFold(origin, scheme+c.r.Host)
}

// hosts are the names under which a broker answers where nothing is checked, beside IP addresses and localhost.
type hosts []string

// hostsOf are the names in origins.
func hostsOf(origins []string) (names hosts) {
	for _, o := range origins {
		if u, err := url.Parse(o); err == nil {
			names = append(names, strings.ToLower(u.Hostname()))
		}
	}
	return names
}

func (h hosts) allows(host string) bool {
	name := hostname(host)
	if name == "" || name == "localhost" || slices.Contains(h, name) { // without a Host it is no browser
		return true
	}
	_, err := netip.ParseAddr(name)
	return err == nil
}

// hostname is a Host without its port, in lower case.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}

func loopbackHost(host string) bool {
	name := hostname(host)
	ip, err := netip.ParseAddr(name)
	return name == "localhost" || err == nil && ip.IsLoopback()
}

// refuseOrigin answers a request that checkOrigin has refused.
func (c *call) refuseOrigin(e *protocol.Error) { c.failStatus(http.StatusForbidden, e) }
