// Package natsapi is the NATS door: it serves any [protocol.Service] on the subjects of docs/nats-api.md. It decodes,
// calls and encodes; the rules of S2 are the service's.
//
// # Goroutines
//
// The subscriptions' callbacks only admit: they check that there is room and start one goroutine for each request,
// so that a request that waits holds up no other. Admission never waits: a request beyond [Options.MaxInflight] or
// MaxInflightBytes is refused with rate_limited, which promises that nothing was done. Waiting instead would fill the
// subscription's buffer, from which NATS drops silently, and a client could not tell a drop from a slow answer.
//
// A read session is one goroutine, an append session two. All messages that clients send into sessions arrive on one
// wildcard subscription of the door, so that a client behind another server of a cluster needs no new interest to
// spread before its first message arrives. Its callback only files a message with its session and never waits.
//
// Requests of one client run at once, so two appends of which the second was sent before the first was answered may be
// stored in either order. Append sessions keep order.
//
// # Trust
//
// A message may hold anything. Decoders return typed errors; bodies are bounded; a panic in a handler is recovered,
// logged and answered with code other. An answer goes to the subject that the request names, so the door refuses to
// answer to subjects that NATS or weir give a meaning to (those beginning with "$" or with the service's prefix),
// lest a client borrow the door's permissions.
package natsapi
