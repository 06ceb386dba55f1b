package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

const repairHelp = `Look through the files of a store directory on which no broker runs.

It reports what a crash or a power cut has left and can be mended without losing a record: a log that was being made, the
checksum of a description, an index that JetStream would believe wrongly, files that were about to take the place of others.
A broker mends these by itself when it starts after a crash. It also reads every record and reports what is lost: which file is
damaged where, and which streams lose records from which seq_num on. Nothing makes these whole but a backup.

Without --mend nothing is changed. With it, the safe ones are done: in place after a question (--yes answers it), or with --copy-to
in a copy of the directory.

The exit code is 1 if something is lost, or could be mended and was not.`

// Repaired is the result of a look through a store directory.
type Repaired struct {
	Safe []string `json:"safe"`
	Lost []string `json:"lost"`
}

func (a *app) repair() *cobra.Command {
	c := &cobra.Command{
		Use:   "repair",
		Short: "Look through a store directory, and mend what is safe to mend",
		Long:  repairHelp,
		Example: `  weir repair --store-dir /var/lib/weir
  weir repair --store-dir /var/lib/weir --mend --copy-to /var/tmp/weir-mended
  weir repair --store-dir /var/lib/weir --mend --yes`,
		Args: atMost(0),
	}
	dir := c.Flags().String("store-dir", a.getenv("WEIR_STORE_DIR"), "store `directory` of the broker ($WEIR_STORE_DIR)")
	prefix := c.Flags().String("subject-prefix", "s2", "first token of the broker's subjects")
	mend := c.Flags().Bool("mend", false, "do what is safe")
	yes := c.Flags().Bool("yes", false, "mend in place without a question")
	copyTo := c.Flags().String("copy-to", "", "mend a copy of the store in this `directory`, which must not exist")
	c.RunE = func(*cobra.Command, []string) error {
		switch {
		case *dir == "":
			return usagef("--store-dir is missing")
		case *copyTo != "" && !*mend:
			return usagef("--copy-to goes with --mend")
		}
		a.ran = true
		at := *dir
		if *copyTo != "" {
			if err := copyStore(*dir, *copyTo); err != nil {
				return err
			}
			at = *copyTo
		} else if *mend && !*yes {
			ok, err := a.agrees("Change files of " + *dir + "? [y/N] ")
			if err != nil {
				return err
			}
			if !ok {
				return errors.New("nothing was changed")
			}
		}
		found, err := a.env.Repair(at, *prefix, *mend)
		if err != nil {
			return err
		}
		if err := a.tellRepaired(found, *mend, at); err != nil {
			return err
		}
		if len(found.Lost) > 0 || len(found.Safe) > 0 && !*mend {
			return errDifferent
		}
		return nil
	}
	return c
}

func (a *app) tellRepaired(found Repaired, mended bool, dir string) error {
	if a.json {
		return json.NewEncoder(a.env.Stdout).Encode(found)
	}
	var b strings.Builder
	what := "can be mended without losing a record (--mend)"
	if mended {
		what = "mended"
	}
	for _, line := range found.Safe {
		fmt.Fprintf(&b, "%s: %s\n", what, line)
	}
	for _, line := range found.Lost {
		fmt.Fprintf(&b, "lost: %s\n", line)
	}
	if len(found.Safe)+len(found.Lost) == 0 {
		fmt.Fprintf(&b, "nothing is wrong with the files of %s\n", dir)
	}
	return a.printf("%s", b.String())
}

// agrees asks a question on the terminal. Without a terminal the answer is no.
func (a *app) agrees(question string) (bool, error) {
	if !a.env.Terminal(a.env.Stdin) {
		return false, usagef("there is no terminal to ask on: say --yes, or mend a copy with --copy-to")
	}
	if err := a.printf("%s", question); err != nil {
		return false, err
	}
	line, err := bufio.NewReader(a.env.Stdin).ReadString('\n')
	if err != nil && line == "" {
		return false, nil // no answer
	}
	return strings.EqualFold(strings.TrimSpace(line), "y"), nil
}

// copyStore copies a store directory. The lock file stays behind: it says which process holds the original.
func copyStore(from, to string) error {
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("%q exists already: --copy-to wants a directory that does not", to)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
		return fmt.Errorf("copy the store: %w", err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return fmt.Errorf("copy the store: %w", err)
	}
	return nil
}
