// Package powercut runs the real broker on file systems whose power fails, and checks its promises.
//
// A machine is a loop device with a file system on it. Its power fails in one of two ways: by the file system's own shutdown
// ioctl, which drops the data that is not in the journal, or by a disk that loses part of its volatile write cache (a file of a
// FUSE file system in a process of its own). The broker is killed, the file system is mounted again, which replays its journal,
// and a new broker starts. Then every stream is compared with a ledger.
//
// The ledger demands after a cut, of the classes group and always:
//
//   - the broker starts;
//   - an acknowledged batch is there once, whole, at the position in its ack, unless it is trimmed;
//   - the records are dense, begin at the trim point, and end at a tail that is not below one that was reported;
//   - a batch whose outcome was open is there once and whole, or not at all;
//   - basins and streams whose creation was acknowledged are there.
//
// With class interval the newest may be missing; the broker starts, and each stream is dense up to its end.
//
// TestPowerCut needs root on Linux, loop devices and mkfs of the file systems, and runs if WEIR_POWERCUT_ROUNDS is set: to the
// number of rounds of the mix behind the fixed ones. WEIR_POWERCUT_SEED repeats the choices of a run, not the machine's
// interleaving; WEIR_POWERCUT_SPECS=xfs,ext4 keeps to these machines.
package powercut
