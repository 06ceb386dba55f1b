// Package durable decides when what JetStream has written counts: it syncs the file system of the store for many writes at
// once ([Committer]), notes how far each JetStream stream is on disk ([Watermarks]), and tells at the next start what is
// missing ([Losses]). It knows JetStream streams by their names and last sequences only.
package durable
