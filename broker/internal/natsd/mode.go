package natsd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// modeFile names the kind of broker that the store directory belongs to: one that has it alone, or a node of a cluster. A NATS
// server that runs as a node of a cluster deletes, half a minute after its start, each stream that the cluster does not know,
// and so all of a store that was written alone.
const modeFile = "weir.mode"

// modeSingle is the mode of a store that one broker has alone. The mode of a node is "cluster NAME, node NAME".
const modeSingle = "single"

// modeCluster begins the mode of a node.
const modeCluster = "cluster "

// nodeOf stands between the cluster and the node in the mode of a node.
const nodeOf = ", node "

// claimMode notes the mode in a store directory that has none yet, and refuses a directory of another mode. A directory without
// the note is new, or was written alone.
func claimMode(dir, mode string) error {
	path := filepath.Join(dir, modeFile)
	text, err := os.ReadFile(path)
	is := strings.TrimSpace(string(text))
	switch {
	case err == nil && is == mode:
		return nil
	case err == nil && is != "":
		return wrongMode(dir, is, mode)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the store directory %q cannot be read (%w): check its permissions", dir, err)
	}
	if mode != modeSingle {
		if _, err := os.Stat(filepath.Join(dir, server.JetStreamStoreDir)); err == nil {
			return wrongMode(dir, modeSingle, mode)
		}
	}
	if err := writeSynced(path, mode+"\n"); err != nil {
		return fmt.Errorf("the store directory %q cannot be written (%w): free space or give this user write permission", dir, err)
	}
	return nil
}

// wrongMode says how to go on: a node that is called otherwise than before needs its name back, anything else a move of the records.
func wrongMode(dir, is, wanted string) error {
	cluster, was, _ := strings.Cut(is, nodeOf)
	if other, now, ok := strings.Cut(wanted, nodeOf); ok && was != "" && cluster == other {
		return fmt.Errorf("the store directory %q belongs to node %q of %s and this start is as node %q, whose copies the others do not know: "+
			"set nats.server_name to %s (without it the name follows cluster.advertise or cluster.listen), or give a new node a new store directory",
			dir, was, cluster, now, was)
	}
	return fmt.Errorf("the store directory %q belongs to mode %q and this start is in mode %q, which would delete what is in it: "+
		"start it in its own mode; to move the records, make a backup there (weir backup) and restore it (weir restore) into a broker of the other mode with a new store directory",
		dir, is, wanted)
}

// writeSynced writes a small file beside its place, syncs it and moves it there, so that a crash leaves all of it or nothing.
func writeSynced(path, text string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.WriteString(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
