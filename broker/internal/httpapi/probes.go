package httpapi

import (
	_ "embed"
	"net/http"
)

// health answers a probe (control plane 9.1): 503 while the broker drains or its store has failed.
func (c *call) health() error {
	status, text := http.StatusOK, "OK"
	if err := c.h.opts.Health(); err != nil {
		status, text = http.StatusServiceUnavailable, err.Error()
	} else if c.h.admit.Draining() {
		status, text = http.StatusServiceUnavailable, "the broker is stopping"
	}
	c.respond(status, contentText, []byte(text))
	return nil
}

func (c *call) prometheus() error {
	c.status = http.StatusOK
	c.writes.begin()
	defer c.writes.done()
	c.h.metrics.show.ServeHTTP(c.w, c.r)
	return nil
}

//go:embed openapi.json
var openAPI []byte

func (c *call) openAPI() error {
	c.respond(http.StatusOK, contentJSON, openAPI)
	return nil
}
