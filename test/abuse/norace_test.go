//go:build !race

package abuse

// raceFactor is 1: the race detector is off.
const raceFactor = 1
