// Package conformance states, case by case, the behavior of a weir broker, and checks it through [protocol.Service]. It knows
// nothing of how the broker is reached: a [Door] opens the service in process, over NATS, or however else it is
// offered, and [Run] puts every case to it.
//
// A case names the row of the specification that it checks: "A.8/131" is row 131 in section A.8 of the data plane's
// appendix, "cp A.5/103" a row of the control plane's, and "cp 4.10" a section of the control plane without a row of
// its own. "weir" is the row of features that S2 does not have. The file rows.go says for every row of the data plane where
// it is checked, if not here; a test holds the two together.
//
// A rule that shows only in HTTP (statuses, headers, bodies, events, frames) is a [WebCase]: [RunWeb] checks it by raw
// requests through a [WebDoor].
//
// A rule of access tokens is a [TokenCase]: [RunTokens] puts it to a [TokenDoor], whose broker checks tokens. [Calls] is every
// operation as a client asks for it, with the operations that a token needs for it.
//
// Cases come in two kinds. A timed case runs in a testing/synctest bubble with a broker of its own: hours pass in
// no time, waits are exact, and nothing may listen or touch a disk. All other cases share one broker and keep to
// basins of their own.
package conformance
