// Package dsapi is the Durable Streams door: it serves the Durable Streams protocol on the streams of any [protocol.Service]. A
// stream of that protocol is an ordinary stream, and the other way round: what is appended there are records' bodies, in JSON
// mode one record for each element, and what is read are the bodies of the records, commands left out.
//
// Like the other doors it has no rules of its own: it decodes, calls and encodes. Package httpapi, which mounts it, finds out who
// asks, admits the request, and bounds its body and its answer.
package dsapi
