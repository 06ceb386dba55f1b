// Package natsd runs the NATS side of a broker: the embedded server or the connection to an external one, its store
// directory, its accounts, and the doors in them. It is part of the broker, with no promise to others.
//
// # Accounts
//
// Where the included NATS configuration has no accounts and no authorization, everything lives in the one global
// account: everybody who may connect may also look at the logs with "nats stream ls", and damage them. With either of them
// the storage lives in an account of its own, [PrivateAccount], which only this process can enter (with keys that it
// makes at start and never writes down), and every other account except the system account gets a door of its own:
// a connection of the broker in that account that serves the S2 subjects. A door in the account rather than an
// exported service keeps sessions simple, because a session talks both ways on subjects that come and go, which
// service imports do not carry.
package natsd
