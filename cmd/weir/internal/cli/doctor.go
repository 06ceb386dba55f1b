package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/conf"
)

const doctorHelp = `Look at this machine as 'weir serve' would find it, and print what helps and what hinders, a line each: the versions, the settings,
the directory of the store and its file system, the latency of a sync, free space, open files, the kernel, the clock and
the ports. It looks at the files of the store as a start does, and mends nothing. It takes the settings of 'weir serve' (--config or WEIR_CONFIG, then WEIR_* variables, then flags), changes nothing, and
can run beside a broker: then the ports are in use, and it says so.

The exit code is 1 if something would refuse the next start.`

func (a *app) doctor() *cobra.Command {
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what would hinder a broker on this machine",
		Long:  doctorHelp,
		Example: `  weir doctor --store-dir ./data
  weir doctor --config /etc/weir/weir.conf
  weir doctor --store-dir /var/lib/weir --deep`,
		Args: atMost(0),
	}
	file := c.Flags().String("config", a.getenv("WEIR_CONFIG"), "configuration `file` of the broker ($WEIR_CONFIG)")
	deep := c.Flags().Bool("deep", false, "read every record of the store; a large one takes its time")
	conf.AddFlags(c.Flags())
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := loadConfig(*file, a.env.Environ, cmd.Flags())
		a.ran = true
		findings := []finding{a.versionFinding(), {Check: "settings", Level: levelOK, Text: "they are valid"}}
		if err != nil {
			findings[1] = finding{Check: "settings", Level: levelRefuses, Text: err.Error(), Advice: "mend them; docs/configuration.md describes each"}
		} else {
			findings = append(findings, examine(cmd.Context(), cfg)...)
			findings = append(findings, a.storeFindings(cfg, *deep)...)
		}
		return a.printFindings(findings)
	}
	return c
}

// level says how much a finding matters.
type level string

const (
	levelOK      level = "ok"
	levelWarning level = "warning"
	levelRefuses level = "refuses the start"
)

// finding is one line.
type finding struct {
	Check  string `json:"check"`
	Level  level  `json:"level"`
	Text   string `json:"text"`
	Advice string `json:"advice,omitempty"`
}

var errWouldNotStart = errors.New("a broker would not start here")

func (a *app) printFindings(findings []finding) error {
	for _, f := range findings {
		if a.json {
			if err := json.NewEncoder(a.env.Stdout).Encode(f); err != nil {
				return err
			}
			continue
		}
		line := fmt.Sprintf("%-10s %s: %s", f.Check, f.Level, f.Text)
		if f.Advice != "" {
			line += "; " + f.Advice
		}
		if err := a.printf("%s\n", line); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(findings, func(f finding) bool { return f.Level == levelRefuses }) {
		return errWouldNotStart
	}
	return nil
}

func examine(ctx context.Context, cfg conf.Config) []finding {
	findings := []finding{checkPort(ctx, "nats port", cfg.NATS.Listen), checkPort(ctx, "http port", cfg.HTTP.Listen)}
	if cfg.DurableStreams.Listens() {
		findings = append(findings, checkPort(ctx, "durable streams port", cfg.DurableStreams.Listen))
	}
	if cfg.Cluster.Enabled() {
		findings = append(findings, checkPort(ctx, "cluster port", cfg.Cluster.Listen))
	}
	findings = append(findings, checkClock())
	if cfg.StoreDir != "" {
		findings = append(findings, checkDirectory(cfg.StoreDir)...)
	}
	return append(findings, checkSystem(cfg)...)
}

// checkPort tries to listen where the broker would.
func checkPort(ctx context.Context, name, listen string) finding {
	if listen == "" || listen == conf.ListenNone {
		return finding{Check: name, Level: levelOK, Text: "none is opened"}
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", listen)
	if err != nil {
		return finding{Check: name, Level: levelRefuses, Text: err.Error(), Advice: "stop the process that listens there (a running weir does), or choose another address"}
	}
	_ = ln.Close()
	return finding{Check: name, Level: levelOK, Text: listen + " is free"}
}

// checkClock looks for a clock that was never set: records would get its time.
func checkClock() finding {
	if now := time.Now(); now.Year() < 2025 {
		return finding{Check: "clock", Level: levelWarning, Text: "it says " + now.Format(time.RFC3339), Advice: "set it: records get their timestamps from it"}
	}
	return finding{Check: "clock", Level: levelOK, Text: time.Now().UTC().Format(time.RFC3339)}
}

// checkDirectory writes and syncs a file where the store is, or would be made, and removes it.
func checkDirectory(dir string) []finding {
	place := dir
	for {
		info, err := os.Stat(place)
		if err == nil && !info.IsDir() {
			return []finding{{Check: "store", Level: levelRefuses, Text: place + " is not a directory", Advice: "choose another store_dir"}}
		}
		if err == nil {
			break
		}
		if !errors.Is(err, os.ErrNotExist) || filepath.Dir(place) == place {
			return []finding{{Check: "store", Level: levelRefuses, Text: err.Error(), Advice: "choose another store_dir, or grant access to it"}}
		}
		place = filepath.Dir(place)
	}
	latency, err := syncLatency(place)
	if err != nil {
		return []finding{{Check: "store", Level: levelRefuses, Text: err.Error(), Advice: "grant write access to " + place + ", or free some space"}}
	}
	findings := []finding{{Check: "store", Level: levelOK, Text: dir + " can be written"}}
	sync := finding{Check: "sync", Level: levelOK, Text: fmt.Sprintf("4 KiB are on disk in %v", latency.Round(10*time.Microsecond))}
	if latency > 20*time.Millisecond {
		sync.Level, sync.Advice = levelWarning, "each acknowledged append waits this long with durability group; a local SSD takes less than 5 ms"
	}
	return append(findings, sync)
}

// syncLatency is the median of some writes with a sync.
func syncLatency(dir string) (time.Duration, error) {
	f, err := os.CreateTemp(dir, ".weir-doctor-")
	if err != nil {
		return 0, err
	}
	defer func() {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}()
	took := make([]time.Duration, 9)
	block := make([]byte, 4<<10)
	for i := range took {
		began := time.Now()
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}

// memoryFinding says whether the Go runtime knows a limit.
func memoryFinding() finding {
	if os.Getenv("GOMEMLIMIT") == "" {
		return finding{Check: "memory", Level: levelOK, Text: fmt.Sprintf("no GOMEMLIMIT; %d processors", runtime.GOMAXPROCS(0)), Advice: "in a container set GOMEMLIMIT to nine tenths of its memory"}
	}
	return finding{Check: "memory", Level: levelOK, Text: "GOMEMLIMIT=" + os.Getenv("GOMEMLIMIT")}
}
