// Package access decides who may do what. A [Guard] knows the issued tokens and the root token; it turns a secret into
// a [Caller], and a caller has a [protocol.Service] that does what the token allows and nothing else (control plane
// section 5).
//
// The doors authenticate and then use the caller's service; they have no rules of their own. So a rule stands in one
// place whatever door a request comes through: resources.go for basins, streams and the rest, records.go for what moves
// records, tokens.go for the tokens themselves.
//
// # Promises
//
// Permission comes before existence: what a caller may not see answers the same whether it is there or not. Messages
// name the operation that is missing, or say that a name is out of scope; they never tell more.
//
// A token that is revoked or has expired opens nothing any more, and the sessions that it has opened end with code authn
// at once.
//
// # Secrets
//
// A secret is "weir_" and 32 random bytes. Only its SHA-256 is kept: 256 random bits cannot be guessed, so the slow hashes
// that protect passwords would cost much on every request and protect nothing.
package access
