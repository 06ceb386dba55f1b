// Package broker runs weir: it is the composition root, and the only package beside adapter that knows NATS servers.
//
// [Start] opens a store, which is either a NATS server embedded in this process or an existing one, puts the storage
// adapter on it and opens the NATS door in front. [Broker.Service] is the same service in process.
//
// # What is started, and stopped, in which order
//
//	start: store directory and its lock -> NATS server -> adapter -> NATS doors -> HTTP door
//	stop:  doors refuse -> sessions end with a reason -> appends settle -> adapter -> NATS server -> lock
//
// [Broker.Close] is the one place that holds the stop order.
//
// # Accounts
//
// Where the included NATS configuration has no accounts and no authorization, everything lives in the one global
// account: whoever may connect may also look at the logs with "nats stream ls", and damage them. With either of them
// the storage lives in an account of its own, [PrivateAccount], which only this process can enter (with keys that it
// makes at start and never writes down), and every other account except the system account gets a door of its own:
// a connection of the broker in that account that serves the S2 subjects. A door in the account rather than an
// exported service keeps sessions simple, because a session talks both ways on subjects that come and go, which
// service imports do not carry.
package broker
