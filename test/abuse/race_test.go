//go:build race

package abuse

// raceFactor is how much more memory the race detector takes.
const raceFactor = 4
