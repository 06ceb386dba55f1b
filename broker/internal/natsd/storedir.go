package natsd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// The layout below the store directory, as the NATS server makes it:
//
//	weir.lock                                     ours
//	weir.mode                                     ours: whether one broker has the store alone
//	weir.marks                                    the adapter's: how far each log was synced
//	weir.probe                                    the adapter's: a file to see that the store takes writes
//	weir.clean                                    ours: the last stop was in order
//	weir.undo/, weir.cut/                         ours: see storecare.go
//	jetstream/<account>/streams/<stream>/meta.inf one directory for each JetStream stream
//	                                     msgs/    its records
const (
	streamMetaFile = "meta.inf"
	streamMsgsDir  = "msgs"
)

func streamsDir(dir, account string) string {
	return filepath.Join(dir, server.JetStreamStoreDir, account, "streams")
}

// storeLimit is how many bytes JetStream may hold: the bytes that it holds now and those that are free, less a reserve.
// Reaching the limit refuses writes, each with an error; filling the disk instead makes JetStream turn itself off.
// JetStream's own default leaves a quarter of the disk unused. 0 means unknown.
func storeLimit(dir string) (int64, error) {
	free, ok := FreeBytes(dir)
	if !ok {
		return 0, nil
	}
	const least = 1 << 20
	if free < least {
		return 0, fmt.Errorf("the file system of the store directory %q is full (%d bytes free): free some space", dir, free)
	}
	used, err := treeSize(filepath.Join(dir, server.JetStreamStoreDir))
	if err != nil {
		return 0, err
	}
	return used + free - storeReserve(free), nil
}

// storeReserve is the space that a full store gets on a reload, to trim and delete: one twentieth of the free space, at most
// 1 GiB, and enough for a few chunks on a small disk.
func storeReserve(free int64) int64 {
	const few, most = 4 << 20, 1 << 30
	return min(max(free/20, min(few, free/4)), most)
}

// treeSize is the size of all files below dir; a missing dir has none.
func treeSize(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the store directory cannot be read (%w): check its permissions", err)
		}
		if !d.Type().IsRegular() {
			return nil
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return nil
	})
	return total, err
}

// checkMoved refuses a store directory whose records are in the global account, where the storage was once: a broker on it would
// start empty.
func checkMoved(dir, prefix string) error {
	if hasStorage(streamsDir(dir, PrivateAccount), prefix) || !hasStorage(streamsDir(dir, globalAccount), prefix) {
		return nil
	}
	return fmt.Errorf("the store directory %q holds its records in the NATS account %s, as an early version of weir kept them: make a backup with the version that wrote it "+
		"(weir backup), and restore it (weir restore) into a broker of this version with an empty store directory", dir, globalAccount)
}

func hasStorage(dir, prefix string) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false // Missing, or about to be reported by the server itself.
	}
	prefix = strings.ToUpper(prefix)
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		name := strings.TrimPrefix(e.Name(), "KV_")
		return strings.HasPrefix(name, prefix+"_") || name == prefix
	})
}

// notRecovered returns the names of the directories with records whose stream the server has not recovered. It leaves a
// stream out whose description is damaged and starts without it, with a warning; to a broker that is lost data. It leaves out
// as well the remains of a stream whose deletion a crash interrupted: those are headless, without a description.
func notRecovered(dir, account string, recovered []string) (damaged, headless []string, err error) {
	entries, err := os.ReadDir(streamsDir(dir, account))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("the store directory %q cannot be read (%w): check its permissions", dir, err)
	}
	for _, e := range entries {
		// A leading dot marks a stream whose removal the server completes at start.
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") || slices.Contains(recovered, e.Name()) {
			continue
		}
		d := filepath.Join(streamsDir(dir, account), e.Name())
		if _, err := os.Stat(filepath.Join(d, streamMetaFile)); err == nil {
			damaged = append(damaged, e.Name())
		} else if n, err := treeSize(filepath.Join(d, streamMsgsDir)); err != nil || n > 0 {
			headless = append(headless, e.Name())
		}
	}
	return damaged, headless, nil
}

// errDamaged names the streams that are lost, for the operator.
func errDamaged(dir, account string, lost []string) error {
	paths := make([]string, len(lost))
	for i, name := range lost {
		paths[i] = filepath.Join(streamsDir(dir, account), name)
	}
	return fmt.Errorf("the store is damaged: the NATS server could not recover %s (its warnings in the log say why, "+
		"and weir repair lists the records that its files still hold); restore it from a backup, or, to give up everything in it, move it away", strings.Join(paths, ", "))
}
