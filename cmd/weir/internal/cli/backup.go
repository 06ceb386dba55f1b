package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/backup"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

const backupHelp = `Copy everything that a running broker holds into a directory: basins, streams with their records and
state, access tokens (their hashes, never a secret) and the default location. Appends and reads go on
meanwhile. Each stream is copied as it is at some moment of the backup, with every record that was
acknowledged before it began. Streams made or deleted meanwhile are left out.

Everything is read again and checked before the backup counts as complete; the file manifest.json, written
last, says so. DIR must be empty or not exist. The records of encrypted streams stay encrypted; everything
else can be read by everybody who can read DIR.

It requires the root token if the broker checks access tokens.`

const restoreHelp = `Put a backup into a running broker. The backup is read and checked before anything is written. Each basin
shows at once, when it is complete; every stream goes on at its tail, with its configuration, trim point and
fencing token. At the end the tails of all streams are compared with the backup.

If the broker has a basin or an access token of the backup already, nothing is restored, unless
--skip-existing leaves those as they are. After an interruption run the command again with
--skip-existing: basins that were complete stay, the one that was not is removed and begun anew.

It requires the root token if the broker checks access tokens.`

// backupReport is the output of backup --json.
type backupReport struct {
	Dir string `json:"dir"`
	*backup.Manifest
	Files int   `json:"files"` // in the place of the manifest's list
	Bytes int64 `json:"bytes"`
	// Checksum is shadowed, too: it is that of a file.
	Checksum *string `json:"sha256,omitempty"`
}

// basinFlag adds the choice of basins.
func basinFlag(c *cobra.Command, usage string) func() ([]protocol.BasinName, error) {
	names := c.Flags().StringArray("basin", nil, usage)
	return func() (basins []protocol.BasinName, err error) {
		for _, name := range *names {
			b, err := basinArg(name)
			if err != nil {
				return nil, err
			}
			basins = append(basins, b)
		}
		return basins, nil
	}
}

// rateFlag adds a bound on the bytes a second.
func rateFlag(c *cobra.Command) func() (int64, error) {
	rate := c.Flags().String("rate", "", "copy at most this many `bytes` a second, such as 50MiB")
	return func() (int64, error) {
		if *rate == "" {
			return 0, nil
		}
		n, err := conf.ParseSize(*rate)
		if err != nil || n <= 0 {
			return 0, usagef("--rate is %q; it must be a size such as 50MiB", *rate)
		}
		return n, nil
	}
}

func (a *app) backup() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:   "backup DIR",
		Short: "Copy a running broker's store into a directory",
		Long:  backupHelp,
		Example: `  weir backup ./backup-monday
  weir backup ./backup-demo --basin demo-basin --zstd --rate 50MiB
  weir backup ./backup-monday --verify-only`,
		Args: need("DIR"),
	})
	basins := basinFlag(c, "copy only this `basin`, and no access tokens; may be repeated")
	force := c.Flags().Bool("force", false, "replace the backup, or the rest of one, in DIR")
	compress := c.Flags().Bool("zstd", false, "compress the files")
	rate := rateFlag(c)
	verifyOnly := c.Flags().Bool("verify-only", false, "check the backup in DIR; needs no broker")
	save := func(args []string) (call, error) {
		o := backup.SaveOptions{Force: *force, Compress: *compress}
		var err error
		if o.Basins, err = basins(); err != nil {
			return nil, err
		}
		if o.Rate, err = rate(); err != nil {
			return nil, err
		}
		return func(ctx context.Context, svc protocol.Service) error { return a.runBackup(ctx, svc, args[0], o) }, nil
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if !*verifyOnly {
			return a.verb(save)(cmd, args)
		}
		a.ran = true
		ctx, stop := a.interruptible(cmd.Context())
		defer stop()
		began := time.Now()
		line := a.backupLine()
		m, err := backup.Verify(ctx, args[0], line.show)
		line.clear()
		if err != nil {
			return err
		}
		return a.printBackup("verified", args[0], m, time.Since(began))
	}
	return c
}

// backupService returns the calls of backups, which not every client of a broker has.
func backupService(svc protocol.Service) (protocol.BackupService, error) {
	if b, ok := svc.(protocol.BackupService); ok {
		return b, nil
	}
	return nil, protocol.Errorf(protocol.CodeNotImplemented, "this connection knows no backups")
}

func (a *app) runBackup(ctx context.Context, svc protocol.Service, dir string, o backup.SaveOptions) error {
	src, err := backupService(svc)
	if err != nil {
		return err
	}
	began := time.Now()
	line := a.backupLine()
	o.Progress = line.show
	m, err := backup.Save(ctx, src, dir, o)
	line.clear()
	if err != nil {
		return err
	}
	return a.printBackup("backed up", dir, m, time.Since(began))
}

func (a *app) printBackup(done, dir string, m *backup.Manifest, took time.Duration) error {
	report := backupReport{Dir: dir, Manifest: m, Files: len(m.Files)}
	for _, f := range m.Files {
		report.Bytes += f.Bytes
	}
	if a.json {
		return a.printJSON(report)
	}
	return a.printf("%s %s in %s, in %s: %s, %s, %s (%s metered), %s\n", done, sizeText(report.Bytes), dir,
		took.Round(time.Millisecond), count(m.Basins, "basin"), count(m.Streams, "stream"), count(int(m.Records), "record"),
		sizeText(int64(m.Metered)), count(m.Tokens, "access token"))
}

// sizeText writes a size for people.
func sizeText(n int64) string {
	const unit = 1 << 10
	if n < unit {
		return count(int(n), "byte")
	}
	f, i := float64(n)/unit, 0
	for ; f >= unit && i < 3; i++ {
		f /= unit
	}
	return fmt.Sprintf("%.1f %s", f, [...]string{"KiB", "MiB", "GiB", "TiB"}[i])
}

// count writes a number of things.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (a *app) restore() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:   "restore DIR",
		Short: "Put a backup into a running broker",
		Long:  restoreHelp,
		Example: `  weir restore ./backup-monday
  weir restore ./backup-monday --basin demo-basin --skip-existing`,
		Args: need("DIR"),
	})
	basins := basinFlag(c, "restore only this `basin`, and no access tokens; may be repeated")
	skip := c.Flags().Bool("skip-existing", false, "leave basins and access tokens alone that the broker has already")
	noVerify := c.Flags().Bool("no-verify", false, "do not read the backup as a whole first; damage is noticed in the middle")
	rate := rateFlag(c)
	c.RunE = a.verb(func(args []string) (call, error) {
		o := backup.RestoreOptions{SkipExisting: *skip, NoVerify: *noVerify}
		var err error
		if o.Basins, err = basins(); err != nil {
			return nil, err
		}
		if o.Rate, err = rate(); err != nil {
			return nil, err
		}
		return func(ctx context.Context, svc protocol.Service) error { return a.runRestore(ctx, svc, args[0], o) }, nil
	})
	return c
}

// restoreReport is the output of restore --json.
type restoreReport struct {
	Dir string `json:"dir"`
	*backup.Restored
}

func (a *app) runRestore(ctx context.Context, svc protocol.Service, dir string, o backup.RestoreOptions) error {
	dst, err := backupService(svc)
	if err != nil {
		return err
	}
	if c, ok := svc.(interface{ MaxPayload() int }); ok {
		o.BatchBytes = min(backup.DefaultBatchBytes, c.MaxPayload()/2)
	}
	began := time.Now()
	line := a.backupLine()
	o.Progress = line.show
	done, err := backup.Restore(ctx, struct {
		protocol.BackupService
		protocol.RecordService
	}{dst, svc}, dir, o)
	line.clear()
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(restoreReport{dir, done})
	}
	if err := a.printf("restored %s, %s, %s (%s metered), %s in %s; all tails are as in the backup\n", count(done.Basins, "basin"),
		count(done.Streams, "stream"), count(int(done.Records), "record"), sizeText(int64(done.Metered)),
		count(done.Tokens, "access token"), time.Since(began).Round(time.Millisecond)); err != nil {
		return err
	}
	if len(done.Skipped) > 0 {
		return a.printf("left as they are: %s\n", joined(done.Skipped, 10))
	}
	return nil
}

// joined writes the first n of some words.
func joined(words []string, n int) string {
	text := ""
	for i, w := range words {
		if i == n {
			return fmt.Sprintf("%s and %d more", text, len(words)-n)
		}
		if i > 0 {
			text += ", "
		}
		text += w
	}
	return text
}

// backupLine shows how far a backup or restore is: on a terminal, drawn over again.
type backupLine struct {
	a     *app
	shown time.Time
	width int
}

func (a *app) backupLine() *backupLine { return &backupLine{a: a, shown: time.Now()} }

func (l *backupLine) show(p backup.Progress) {
	if l.a.json || !l.a.env.Terminal(l.a.env.Stderr) || time.Since(l.shown) < 200*time.Millisecond {
		return
	}
	l.shown = time.Now()
	text := fmt.Sprintf("%-7s  %s  %s", p.Phase, p.Basin, sizeText(p.Bytes))
	fmt.Fprintf(l.a.env.Stderr, "\r%-*s", l.width, text)
	l.width = len(text)
}

// clear takes the line away.
func (l *backupLine) clear() {
	if l.width > 0 {
		fmt.Fprintf(l.a.env.Stderr, "\r%*s\r", l.width, "")
	}
}
