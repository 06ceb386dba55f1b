// Package client speaks to weir over NATS. [Client] implements [protocol.Service], so a program can exchange it for the
// service in process; its failures are the server's own [*protocol.Error] values.
//
// # Outcomes
//
// A call that got no answer in time fails with request_timeout: whether it took effect is unknown. When no broker is
// there it fails with unavailable. When the connection ends before the answer, a call that changes something fails with
// code other: a second after there is another connection, over which its answer may still come, or after five seconds without
// one. Whether it took effect is unknown.
// A call that only reads is sent again over the next connection, until it has its answer or its time is up. Nothing else is
// sent twice by this package, except the opening of a session and appends that name their producer, which makes a repeat
// harmless: those are sent again until their outcome is known.
//
// A server that stops tells the client to leave. The client then holds new requests back, waits for the answers that it is
// owed, and has the connection go to another server that it knows, so that no request fails ([nats.Conn.ForceReconnect];
// other users of the connection see the reconnection too). What a server refused with server_draining goes to another one.
//
// # Sessions
//
// A read session resumes by itself where it stood, when a message was lost, the connection was renewed, the server went
// away, or nothing came for 20 s: the records that Next returns have neither gap nor duplicate. Each session takes a
// subscription of its own. Its buffer is larger than the bytes that the server may send without an acknowledgement, so a
// slow reader slows only itself.
//
// An append session does not resume while inputs are unanswered, for they may be stored: it ends with an error that says
// so, code other. It does so when a server that stops has said that it has not taken them. With [protocol.WithProducer] it does resume: it sends the unanswered inputs again, at most
// [protocol.ProducerWindow], and each is stored once. When all inputs are answered, the next Submit opens it anew on any
// server that answers.
package client
