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
	} else if c.h.leaving.Load() {
		status, text = http.StatusServiceUnavailable, "the broker is stopping"
	}
	c.respond(status, contentText, []byte(text))
	return nil
}

// prometheus makes the whole answer before it writes any of it: a client that takes nothing must not stand in the way of others.
func (c *call) prometheus() error {
	made := &inMemory{header: c.w.Header(), status: http.StatusOK, body: getBuffer(largeBuffer)}
	defer func() { putBuffer(made.body) }()
	if !c.h.metrics.make(made, c.r) {
		return nil
	}
	c.growSlotless(len(*made.body))
	c.writeWhole(made.status, len(*made.body), *made.body)
	return nil
}

// inMemory is an answer that is being made.
type inMemory struct {
	header http.Header
	status int
	body   *[]byte
}

func (w *inMemory) Header() http.Header { return w.header }

func (w *inMemory) WriteHeader(status int) { w.status = status }

func (w *inMemory) Write(b []byte) (int, error) {
	*w.body = append(*w.body, b...)
	return len(b), nil
}

//go:embed openapi.json
var openAPI []byte

func (c *call) openAPI() error {
	c.respond(http.StatusOK, contentJSON, openAPI)
	return nil
}
