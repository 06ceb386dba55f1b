// Package metering counts usage and answers queries of it (control plane section 6).
//
// Four decorators count. Each event has one of them:
//
//   - [Appends], below the service: every append, of all doors, by storage class and connection.
//   - [Operations], above the service: every other call that counts as an operation, and the records that are read.
//   - [Tokens]: operations on access tokens.
//   - [Door], one for each door: the latencies, records, bytes and failures that its clients see. It measures for /metrics
//     and adds nothing to the usage.
//
// Counting is a few atomic additions into the counters of the basin's current minute: no lock, no allocation. Every ten
// seconds the counters are collected into hours of minutes, and each hour that has changed is written to the [Store] whole,
// under a key that holds this process's name. So a write may be repeated, several brokers on one store do not know of each
// other, and a restart needs to load nothing: a query adds up the values that all of them have written. A crash loses the
// last ten seconds.
//
// A day that is over is rolled up into one value, see rollup.go. docs/adr/0010 gives the reasons for this form and its size;
// docs/metrics.md explains the figures to users.
package metering
