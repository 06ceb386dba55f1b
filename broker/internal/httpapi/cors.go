package httpapi

import (
	"net/http"

	"github.com/weirstream/weir/protocol"
)

// cors lets pages of other origins use the API (control plane 9.2): the answer mirrors the origin, the method and the headers
// that the browser asks for. Where nothing is checked no page gets to send the credentials that the browser has of its user.
// It reports whether the request was a preflight, and is answered.
func (c *call) cors() (answered bool) {
	in, out := c.r.Header, c.w.Header()
	origin := in["Origin"]
	if len(origin) == 0 || !c.originAllowed(origin[0]) {
		return false
	}
	out["Access-Control-Allow-Origin"] = origin[:1]
	if !c.h.opts.Open {
		out["Access-Control-Allow-Credentials"] = []string{"true"}
	}
	method := in["Access-Control-Request-Method"]
	if c.r.Method != http.MethodOptions || len(method) == 0 {
		out["Vary"] = []string{"origin"}
		out["Access-Control-Expose-Headers"] = []string{exposedHeaders}
		return false
	}
	out["Vary"] = []string{"origin, access-control-request-method, access-control-request-headers"}
	out["Access-Control-Allow-Methods"] = method[:1]
	if names := in["Access-Control-Request-Headers"]; len(names) > 0 {
		out["Access-Control-Allow-Headers"] = names
	}
	out["Access-Control-Max-Age"] = []string{"600"}
	out["Content-Length"] = []string{"0"}
	c.takeSlotless()
	c.status = http.StatusOK
	c.w.WriteHeader(http.StatusOK)
	return true
}

// exposedHeaders are the headers that pages may read beside those that every browser lets them read.
const exposedHeaders = protocol.HeaderProvisionResult + ", Retry-After-Ms, Allow"
