// Package durable decides when JetStream's writes count: it syncs the file system of the store for many writes at
// once ([Committer]), notes how far each JetStream stream is on disk ([Watermarks]), and reports missing records at the next
// start ([Losses]). It knows JetStream streams by their names and last sequences only.
package durable
