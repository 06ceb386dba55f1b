// Package access decides which caller may do which operation. A [Guard] knows the issued tokens and the root token; it turns
// a secret into a [Caller], and a caller has a [protocol.Service] that does the operations that the token allows and nothing
// else (control plane section 5).
//
// The doors authenticate and then use the caller's service; they have no rules of their own. So a rule stands in one place
// for all doors: resources.go for basins, streams and the rest, records.go for the operations that move records, tokens.go
// for the tokens themselves.
//
// # Promises
//
// Permission comes before existence: an object that a caller may not see answers the same whether it exists or not. Messages
// name the operation that is missing, or say that a name is out of scope; they never say more.
//
// A token that is revoked or has expired opens nothing any more, and the sessions that it has opened end with code authn
// at once.
//
// # Secrets
//
// A secret is "weir_" and 32 random bytes. Only its SHA-256 is kept: 256 random bits cannot be guessed, so the slow hashes
// that protect passwords would cost much on every request and protect nothing.
package access
