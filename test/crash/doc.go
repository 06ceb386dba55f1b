// Package crash kills brokers and checks their promises.
//
// TestCrash starts the real broker in a child process (this test binary, run again), lets many clients work on it over
// NATS, kills it with SIGKILL at a random moment, starts it again, and compares every stream with a model that knows which
// requests were acknowledged, refused and left open. The Damage tests kill a broker and then break its files.
//
// The model demands after every restart:
//
//   - an acknowledged batch is there once, whole, byte for byte, at the positions in its ack;
//   - a batch whose outcome was left open is there once and whole, or not at all, and if not at all then for ever;
//   - a batch that was refused with a code that promises no effect is not there;
//   - seq_nums are dense, the tail is the last record + 1, timestamps never decrease;
//   - the trim point and the fencing token are those that the batches, in order, lead to, and every batch held to its
//     conditions (match_seq_num, fencing_token) where it stands;
//   - streams and basins are as the last acknowledged change left them, or as the one change under way would leave them;
//   - a fork holds the records of its source below its place, whatever became of the source, and then its own batches;
//   - a stream with an expiry is not gone before its time, and not there after it;
//   - a reader that followed across the kills has seen every record once, and none that is missing now.
//
// Environment: WEIR_CRASH_ROUNDS is the number of kills (default 3, 2 with -short), WEIR_CRASH_SEED repeats the random
// choices of a run (the moments still depend on the machine). Every failure names seed, round and stream.
package crash
