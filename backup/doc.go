// Package backup copies a broker's store into a directory and back (docs/backup-format.md). It speaks to a running broker
// and knows nothing of how that stores things, except for what a catalog entry says about a stream's id and log.
//
// What a backup holds: the streams that were there when it began and still when it ended. Each is as it was at some moment
// in between: a prefix of what it is now, with everything that was acknowledged before the backup began. What the stream
// itself gave up while it was copied, by trimming or by age, may be missing at the front.
package backup
