// Package conf is the configuration of a broker: one struct, [Config], filled from defaults, a file, the environment
// and flags, in this order of rising precedence, and then checked once.
//
// The file is in the syntax of nats-server's configuration: `key: value`, nested blocks, # comments, includes, and
// $VARIABLES of the file or the environment. A key that does not exist and a value that cannot be read are errors which
// name the key, its place and the allowed values; nothing is dropped in silence.
//
// Every setting is one row of the table in fields.go, from which its key, its environment variable (nats.listen is
// WEIR_NATS_LISTEN) and its flag (--nats-listen) follow.
package conf
