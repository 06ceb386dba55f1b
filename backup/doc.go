// Package backup copies a broker's store into a directory and back (docs/backup-format.md). It speaks to a running broker
// and knows nothing of how that stores things, except for a stream's id and log in its catalog entry.
//
// A backup holds the streams that existed when it began and still when it ended. Each is as it was at some moment in
// between: a prefix of its present records, with everything that was acknowledged before the backup began. Records that the
// stream itself gave up while it was copied, by trimming or by age, may be missing at the front.
package backup
