// Package httpapi is the HTTP door: it serves any [protocol.Service] as S2's v1 HTTP API (data plane section 8, control
// plane 0.3). It decodes, calls and encodes; the rules of S2 are the service's, and the forms on the wire are
// protocol's.
//
// # Requests
//
// A request is matched by its method and by its path as it stands on the wire: nothing is cleaned, redirected or decoded
// before (see routes.go). Then a handler evaluates its parts in the order of data plane 8.14 and control plane 1.2, so
// that of two mistakes every server reports the same one. A handler that returns an error before it has written
// anything gets it answered as JSON; a session sends it as its last frame or event.
//
// # Sessions
//
// A read session (SSE or s2s) is the request's goroutine alone: it writes as fast as its client reads, and the service holds
// the batches that it has not asked for. An append session has a second goroutine that reads the request body, so that acks
// leave while inputs arrive, over HTTP/1.1 too. The end of the input, for any reason, stands behind the acks of all inputs
// before it.
//
// # Bounds
//
// Bodies are at most 2 MiB after decompression, and decompression stops there. A body must make progress while it is
// expected; between the frames of a session a client may be silent for as long as it likes. All requests and sessions
// are counted, and refused with rate_limited beyond a limit. Connections are the server's matter: see
// [NewServer] for the deadlines that go with this handler.
//
// # Secrets
//
// Nothing of a request but its route, names and outcome is logged: no header, no query, no body.
package httpapi
