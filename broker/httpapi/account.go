package httpapi

import (
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/weirstream/weir/protocol"
)

// The operations below are decoded, so that malformed requests get what they will always get, and then refused
// (control plane 5 to 7, D-12).

const maxTokenIDBytes = 96 // control plane 1.1

func checkTokenPrefix(field, s string) error {
	switch {
	case len(s) > maxTokenIDBytes:
		return &protocol.NameError{Field: field, Reason: fmt.Sprintf("has %d bytes, at most %d are allowed", len(s), maxTokenIDBytes)}
	case !utf8.ValidString(s):
		return &protocol.NameError{Field: field, Reason: "is not valid UTF-8"}
	case slices.Contains([]byte(s), 0):
		return &protocol.NameError{Field: field, Reason: "may not hold a NUL byte"}
	}
	return nil
}

func parseTokenID(s string) (string, error) {
	if s == "" || s == "." || s == ".." {
		return "", &protocol.NameError{Field: "access token id", Reason: `may not be empty, "." or ".."`}
	}
	return s, checkTokenPrefix("access token id", s)
}

func (c *call) listTokens() error {
	if _, err := parseListQuery(c.r.URL.RawQuery, checkTokenPrefix); err != nil {
		return err
	}
	return notImplemented("access tokens")
}

func (c *call) issueToken() error {
	req, err := jsonBody(c, protocol.DecodeJSON[struct {
		ID                *string         `json:"id"`
		ExpiresAt         *time.Time      `json:"expires_at"`
		AutoPrefixStreams *bool           `json:"auto_prefix_streams"`
		Scope             *map[string]any `json:"scope"`
	}])
	if err != nil {
		return err
	}
	if req.ID == nil || req.Scope == nil {
		return protocol.Errorf(protocol.CodeBadJSON, "id and scope are required")
	}
	if _, err := parseTokenID(*req.ID); err != nil {
		return protocol.Errorf(protocol.CodeBadJSON, "id: %v", err)
	}
	return notImplemented("access tokens")
}

func (c *call) revokeToken() error {
	if _, err := pathName(c.params[0], parseTokenID); err != nil {
		return err
	}
	return notImplemented("access tokens")
}

// The sets of control plane 6.2.
var (
	accountSets = []string{"active-basins", "account-ops"}
	basinSets   = []string{"storage", "append-ops", "read-ops", "read-throughput", "append-throughput", "basin-ops"}
	streamSets  = []string{"storage"}
)

func (c *call) accountMetrics() error { return c.usage(accountSets) }

func (c *call) basinMetrics() error {
	if _, err := c.basinParam(0); err != nil {
		return err
	}
	return c.usage(basinSets)
}

func (c *call) streamMetrics() error {
	if _, err := c.basinParam(0); err != nil {
		return err
	}
	if _, err := c.streamParam(1); err != nil {
		return err
	}
	return c.usage(streamSets)
}

// usage decodes the query of control plane 6.1.
func (c *call) usage(sets []string) error {
	q, err := parseQuery(c.r.URL.RawQuery, metricsParams)
	if err != nil {
		return err
	}
	if set := q.text("set"); set == nil || !slices.Contains(sets, *set) {
		return protocol.Errorf(protocol.CodeBadQuery, "set: want one of %q", sets)
	}
	for _, name := range []string{"start", "end"} {
		if _, err := q.uint(name, 32); err != nil {
			return err
		}
	}
	if v := q.text("interval"); v != nil && !slices.Contains([]string{"minute", "hour", "day"}, *v) {
		return protocol.Errorf(protocol.CodeBadQuery, "interval: want minute, hour or day")
	}
	return notImplemented("usage metrics")
}
