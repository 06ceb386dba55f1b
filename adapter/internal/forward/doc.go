// Package forward encodes the messages between a node and the owner of a log: frames of requests one way, frames of answers the other.
//
// Frames of a link, which is one way from a node to the owner of a log in one epoch, are numbered from 1, so that both sides notice
// when one is lost: NATS delivers a message at most once, and those of a connection in order.
package forward
