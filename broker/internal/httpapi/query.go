package httpapi

import (
	"math"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/weirstream/weir/protocol"
)

// query is a parsed query: the parameters that the operation knows, in the order of its names, with nil for one that
// is absent.
type query struct {
	names  []string
	values [8]*string // at least as many as any route has
}

// parseQuery reads a form-encoded query. Unknown parameters are ignored. The error has code bad_query: a known one is
// repeated, or not decodable.
func parseQuery(raw string, names []string) (q query, err error) {
	q.names = names
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		name, value, _ := strings.Cut(pair, "=")
		if name, err = url.QueryUnescape(name); err != nil {
			continue // nothing that is known
		}
		i := slices.Index(names, name)
		if i < 0 {
			continue
		}
		if q.values[i] != nil {
			return q, protocol.Errorf(protocol.CodeBadQuery, "%s: is given more than once", name)
		}
		if value, err = url.QueryUnescape(value); err != nil {
			return q, protocol.Errorf(protocol.CodeBadQuery, "%s: holds an invalid escape", name)
		}
		q.values[i] = &value
	}
	return q, nil
}

func (q *query) text(name string) *string { return q.values[slices.Index(q.names, name)] }

// uint reads an optional parameter of at most bits bits.
func (q *query) uint(name string, bits int) (*uint64, error) {
	v := q.text(name)
	if v == nil {
		return nil, nil
	}
	n, err := parseUint(*v, bits)
	if err != nil {
		return nil, protocol.Errorf(protocol.CodeBadQuery, "%s: want an integer from 0 to %d, got %q", name,
			uint64(math.MaxUint64)>>(64-bits), protocol.Clip(*v))
	}
	return &n, nil
}

// uints reads several parameters of 64 bits.
func (q *query) uints(names ...string) (out [3]*uint64, err error) {
	for i, name := range names {
		if out[i], err = q.uint(name, 64); err != nil {
			return out, err
		}
	}
	return out, nil
}

func (q *query) bool(name string) (bool, error) {
	switch v := q.text(name); {
	case v == nil || *v == "false":
		return false, nil
	case *v == "true":
		return true, nil
	default:
		return false, protocol.Errorf(protocol.CodeBadQuery, "%s: want true or false, got %q", name, protocol.Clip(*v))
	}
}

// readQuery is the query of a read. How many starts it has, and whether they fit its end, is checked later (data plane
// 8.14, steps 7 and 8).
type readQuery struct {
	req    protocol.ReadRequest
	starts int
}

// parseReadQuery reads the parameters of data plane 8.4. The error has code bad_query.
func parseReadQuery(raw string) (rq readQuery, err error) {
	if raw == "" {
		return rq, nil
	}
	q, err := parseQuery(raw, readParams)
	if err != nil {
		return rq, err
	}
	starts, err := q.uints("seq_num", "timestamp", "tail_offset")
	if err != nil {
		return rq, err
	}
	for i, kind := range []protocol.StartKind{protocol.StartSeqNum, protocol.StartTimestamp, protocol.StartTailOffset} {
		if starts[i] != nil {
			rq.starts++
			rq.req.Start = protocol.Start{Kind: kind, Value: *starts[i]}
		}
	}
	if rq.req.Clamp, err = q.bool("clamp"); err != nil {
		return rq, err
	}
	ends, err := q.uints("count", "bytes", "until")
	if err != nil {
		return rq, err
	}
	rq.req.Count, rq.req.Bytes, rq.req.Until = ends[0], ends[1], ends[2]
	secs, err := q.uint("wait", 32)
	if err != nil || secs == nil {
		return rq, err
	}
	wait := time.Duration(*secs) * time.Second // 136 years at most, which fits
	rq.req.Wait = &wait
	return rq, nil
}

// request checks the query as a whole, for a session that resumes behind after, if that is not nil (data plane 8.8).
// The code of the error is invalid.
func (rq readQuery) request(after *eventID) (protocol.ReadRequest, error) {
	if rq.starts > 1 {
		return rq.req, protocol.Errorf(protocol.CodeInvalid, "seq_num, timestamp, tail_offset: at most one may be given")
	}
	if after != nil {
		next := after.seqNum
		if next < math.MaxUint64 {
			next++
		}
		rq.req.Start = protocol.FromSeqNum(next)
		rq.req.Spend(after.count, after.bytes)
	}
	return rq.req, rq.req.Validate()
}

// parseListQuery reads the parameters of a listing whose names check checks. The error has code bad_query.
func parseListQuery(raw string, check func(field, s string) error) (req protocol.ListRequest, err error) {
	q, err := parseQuery(raw, listParams)
	if err != nil {
		return req, err
	}
	for _, name := range listParams[:2] {
		v := q.text(name)
		if v == nil {
			continue
		}
		if err := check(name, *v); err != nil {
			return req, protocol.Errorf(protocol.CodeBadQuery, "%v", err)
		}
		if name == "prefix" {
			req.Prefix = *v
		} else {
			req.StartAfter = *v
		}
	}
	limit, err := q.uint("limit", 64)
	if err != nil || limit == nil {
		return req, err
	}
	req.Limit = int(min(*limit, protocol.MaxListLimit))
	return req, nil
}
