// Package natsd runs the NATS side of a broker: the embedded server or the connection to an external one, its store
// directory, its accounts, and the doors in them. It is part of the broker, with no promise to others.
//
// # Accounts
//
// The storage lives in an account of its own, [PrivateAccount], which only this process can enter. Where the NATS configuration has
// neither accounts nor users, weir puts clients into accounts: holders of access tokens each into one of the token, and
// everybody into one for all where nothing is checked. Otherwise every account except the system account gets a door of its
// own: a connection of the broker in that account that serves the S2 subjects. A door in the account rather than an
// exported service keeps sessions simple, because a session talks both ways on subjects that come and go, which
// service imports do not carry.
package natsd
