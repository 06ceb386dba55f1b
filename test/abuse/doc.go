// Package abuse runs attacks against a real broker, in a process of its own, over real sockets: clients that take nothing,
// that send half of the bytes that they announce, that hold every slot. Each test holds the broker's resident memory and the answers
// that another client gets meanwhile to bounds. docs/limits.md lists the bounds.
//
// WEIR_ABUSE=full runs the attacks at full length ("make abuse"); otherwise they are scaled down.
package abuse
