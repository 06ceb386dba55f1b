// Package broker runs weir: it is the composition root. The packages below internal serve it alone.
//
// [Start] opens a store, which is either a NATS server embedded in this process or an existing one, puts the storage
// adapter on it and opens the NATS door in front. [Broker.Service] is the same service in process.
//
// # The order of start and stop
//
//	start: store directory and its lock -> NATS server -> adapter -> NATS doors -> HTTP door
//	stop:  doors refuse -> sessions end with a reason -> appends settle -> adapter -> NATS server -> lock
//
// [Broker.Close] is the one place that holds the stop order.
package broker
