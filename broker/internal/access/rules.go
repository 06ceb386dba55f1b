package access

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/weirstream/weir/protocol"
)

// service is the part of the whole service that a caller may use. Every method begins with the rule of its line in control plane
// 5.5, in one of the forms allow, basin and stream; a method without a rule does not compile, because nothing is inherited.
type service struct {
	g      *Guard
	c      *Caller
	inner  Core
	scope  protocol.AccessTokenScope
	prefix string // before every name of a stream that the caller uses (control plane 5.10)
}

var _ protocol.Service = (*service)(nil)

// allow checks that the token lives and allows all of ops. Codes: authn, permission_denied, unavailable.
func (s *service) allow(ops ...protocol.Operation) error {
	if !s.c.alive() {
		return errAuthn()
	}
	if s.c.life != nil { // the root's token stands in no catalog
		if err := s.g.current(); err != nil {
			return err
		}
	}
	for _, op := range ops {
		if !s.c.ops.Has(op) {
			return errMissing(op)
		}
	}
	return nil
}

// basin is allow for something in a basin.
func (s *service) basin(name protocol.BasinName, ops ...protocol.Operation) error {
	if err := s.allow(ops...); err != nil {
		return err
	}
	if !s.scope.Basins.Matches(string(name)) {
		return errOutOfScope("basin")
	}
	return nil
}

// stream is allow for something with a stream. It returns the stream's full name. Codes: as allow; invalid.
func (s *service) stream(ref protocol.StreamRef, ops ...protocol.Operation) (protocol.StreamRef, error) {
	if err := s.basin(ref.Basin, ops...); err != nil {
		return ref, err
	}
	if s.prefix != "" {
		name, err := protocol.ParseStreamName(s.prefix + string(ref.Stream))
		if err != nil {
			return ref, protocol.Errorf(protocol.CodeInvalid,
				"stream name: is not valid, or has more than %d bytes, with the prefix that the access token puts before it", protocol.MaxStreamNameBytes)
		}
		ref.Stream = name
	}
	if !s.scope.Streams.Matches(string(ref.Stream)) {
		return ref, errOutOfScope("stream")
	}
	return ref, nil
}

// errMissing and errOutOfScope say no more than the caller knows of its own token, so that they are the same whether the
// requested object exists or not.
func errMissing(op protocol.Operation) *protocol.Error {
	return protocol.Errorf(protocol.CodePermissionDenied, "the access token does not allow %s", op)
}

func errOutOfScope(what string) *protocol.Error {
	return protocol.Errorf(protocol.CodePermissionDenied, "the %s is out of the access token's scope", what)
}

// hide takes the prefix off the stream's name in the message of a failure (control plane 5.10). ref has the full name.
func (s *service) hide(err error, ref protocol.StreamRef) error {
	var e *protocol.Error
	if err == nil || s.prefix == "" || !errors.As(err, &e) {
		return err
	}
	full := string(ref.Stream)
	if !strings.Contains(e.Message, full) && !strings.Contains(e.Message, quoted(full)) {
		return err
	}
	own := strings.TrimPrefix(full, s.prefix)
	out := *e
	out.Message = strings.NewReplacer(`"`+quoted(full)+`"`, `"`+quoted(own)+`"`, ref.String(),
		protocol.StreamRef{Basin: ref.Basin, Stream: protocol.StreamName(own)}.String()).Replace(e.Message)
	if strings.Contains(out.Message, full) || strings.Contains(out.Message, quoted(full)) {
		out.Message = "the request on the stream failed"
	}
	return &out
}

// quoted is how a name stands between the quotes of %q.
func quoted(name string) string {
	q := strconv.Quote(name)
	return q[1 : len(q)-1]
}

// narrow restricts a listing to a set, so that a page costs the same however much is outside. ok is false if nothing can
// match. The page that comes back may still hold one name too many, behind that of an exact set: pass it through keep.
func narrow(set protocol.ResourceSet, req protocol.ListRequest) (out protocol.ListRequest, ok bool) {
	//exhaustive:enforce
	switch set = set.Normal(); set.Kind {
	case protocol.MatchExact:
		// A name stands before all others that it is a prefix of.
		ok = strings.HasPrefix(set.Name, req.Prefix) && (req.StartAfter == "" || set.Name > req.StartAfter)
		req.Prefix, req.Limit = set.Name, 1
		return req, ok
	case protocol.MatchPrefix:
		switch {
		case strings.HasPrefix(req.Prefix, set.Name):
		case strings.HasPrefix(set.Name, req.Prefix):
			req.Prefix = set.Name
		default:
			return req, false
		}
		return req, true
	case protocol.MatchNone:
	}
	return req, false
}

// keep leaves the items of a narrowed page that are in the set.
func keep[T any](set protocol.ResourceSet, items []T, more *bool, name func(T) string) []T {
	if set.Kind == protocol.MatchPrefix {
		return items // narrow has seen to it
	}
	*more = false
	if len(items) > 0 && set.Matches(name(items[0])) {
		return items[:1]
	}
	return items[:0]
}

// bound returns a context that ends with ctx or the token, for calls that may wait long.
func (s *service) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if s.c.life == nil {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(s.c.life, func() { cancel(errAuthn()) })
	return ctx, func() { unhook(); cancel(nil) }
}
