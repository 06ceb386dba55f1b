// Package abuse runs attacks against a real broker, in a process of its own, over real sockets: clients that take nothing,
// that send half of the bytes that they announce, that hold every slot. Each test bounds the broker's resident memory and
// checks the answers that another client gets meanwhile. docs/limits.md lists the bounds.
//
// WEIR_ABUSE=full runs the attacks at full length ("make abuse"); otherwise they are scaled down.
package abuse
