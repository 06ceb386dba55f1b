package httpapi

import "strings"

// authenticate finds the service of whoever asks by the token in Authorization: Bearer (control plane 5.9). It comes
// before everything that looks at the request, so that a stranger learns nothing. The error has code authn.
func (c *call) authenticate() (err error) {
	if c.h.opts.Authenticate == nil {
		c.svc = c.h.whole
		return nil
	}
	if c.svc, err = c.h.opts.Authenticate(c.bearer()); err != nil {
		c.w.Header()["Www-Authenticate"] = []string{"Bearer"} // RFC 9110, 11.6.1
	}
	return err
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
