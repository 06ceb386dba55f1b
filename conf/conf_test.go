package conf

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestDefaultNeedsOnlyAPlace(t *testing.T) {
	if err := Default().Validate(); err == nil || !strings.HasPrefix(err.Error(), "store_dir: is required") {
		t.Error(err)
	}
	for name, c := range map[string]Config{
		"a directory":     Default().WithStoreDir("/d"),
		"memory":          Default().WithMemory(),
		"an external one": {External: External{URL: "nats://h:4222"}},
	} {
		if c.Replicas == 0 {
			d := Default()
			d.External = c.External
			c = d
		}
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDurabilityClass(t *testing.T) {
	disk := Default().WithStoreDir("/d")
	replicated := disk
	replicated.Replicas = 3
	external := Default()
	external.External.URL = "nats://h:4222"
	explicit := disk
	explicit.Durability = DurabilityInterval
	for _, tt := range []struct {
		name, goos string
		config     Config
		want       Durability
	}{
		{"embedded on Linux", "linux", disk, DurabilityGroup},
		{"embedded elsewhere", "darwin", disk, DurabilityAlways},
		{"replicated", "linux", replicated, DurabilityAlways},
		{"external", "linux", external, DurabilityInterval},
		{"memory", "linux", Default().WithMemory(), DurabilityInterval},
		{"what the operator says", "linux", explicit, DurabilityInterval},
	} {
		if got := tt.config.durabilityOn(tt.goos); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestGroupNeedsLinux(t *testing.T) {
	c := Default().WithStoreDir("/d")
	c.Durability = DurabilityGroup
	if err := c.validateOn("linux"); err != nil {
		t.Error(err)
	}
	if err := c.validateOn("darwin"); err == nil || !strings.Contains(err.Error(), "group needs Linux (syncfs), this is darwin: use always") {
		t.Error(err)
	}
}

// TestPrintedConfigLoads: what String writes is a file that loads to the same value.
func TestPrintedConfigLoads(t *testing.T) {
	c := Default().WithStoreDir(`/a "quoted" \ dir`)
	c.InflightBytes = 1<<20 + 1
	c.LameDuck = 1500 * time.Millisecond
	path := filepath.Join(t.TempDir(), "printed.conf")
	write(t, path, c.String())
	got, err := Sources{File: path}.Load()
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, c) {
		t.Errorf("got\n%v\nwant\n%v", got, c)
	}
}

func TestPasswordsAreRedacted(t *testing.T) {
	c := Default()
	c.External.URL = "nats://user:hunter2@a:4222, nats://t0ken@b:4222,nats://c:4222,:bad hunter2"
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("config", "config", c)
	for name, s := range map[string]string{
		"%v": fmt.Sprintf("%v", c), "%+v": fmt.Sprintf("%+v", c), "%#v": fmt.Sprintf("%#v", c), "slog": log.String(),
	} {
		if strings.Contains(s, "hunter2") || strings.Contains(s, "t0ken") {
			t.Errorf("%s shows a secret: %s", name, s)
		}
		if !strings.Contains(s, "nats://user:[redacted]@a:4222,nats://[redacted]@b:4222,nats://c:4222,[redacted]") {
			t.Errorf("%s: %s", name, s)
		}
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "10s": 10 * time.Second, "1h30m": 90 * time.Minute, "7d": 168 * time.Hour, "1w": 168 * time.Hour,
		"1w2d3h": 219 * time.Hour, "1.5s": 1500 * time.Millisecond, "250us": 250 * time.Microsecond,
	} {
		got, err := ParseDuration(text)
		if err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "d", "10", "-1s", "+1s", "-1d", "1d-1h", "1.5d", "1d1d", "soon", "1d2w", "9999999999d", "106752d", "200000h1000000000000000h"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
	for want, d := range map[string]time.Duration{
		"0s": 0, "10s": 10 * time.Second, "10m": 10 * time.Minute, "1h": time.Hour, "7d": 168 * time.Hour, "36h": 36 * time.Hour, "1h30m": 90 * time.Minute,
	} {
		if got := FormatDuration(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 1, "1b": 1, "1k": 1000, "1kb": 1024, "1KiB": 1024, "8MB": 8 << 20, "8 MiB": 8 << 20, "2g": 2e9, "1TiB": 1 << 40,
	} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1.5MiB", "1 x", "9223372036854775808", "9000000TiB"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q is %d", text, got)
		}
	}
}

func FuzzUnits(f *testing.F) {
	for _, s := range []string{"7d", "1w2d", "10s", "8MiB", "", "9999999999d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := ParseDuration(s); err == nil {
			if d < 0 {
				t.Fatalf("%q is %d", s, d)
			}
			if again, err := ParseDuration(FormatDuration(d)); err != nil || again != d {
				t.Fatalf("%q is %v, written %s, read %v, %v", s, d, FormatDuration(d), again, err)
			}
		}
		if n, err := ParseSize(s); err == nil {
			if again, err := ParseSize(FormatSize(n)); err != nil || again != n || n < 0 {
				t.Fatalf("%q is %d, written %s, read %d, %v", s, n, FormatSize(n), again, err)
			}
		}
	})
}

func FuzzFile(f *testing.F) {
	f.Add("store_dir: /d\nnats { listen: \"127.0.0.1:1\" }")
	f.Add("log: [1, {a: b}]")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "include") {
			t.Skip("no other files")
		}
		path := filepath.Join(t.TempDir(), "f.conf")
		write(t, path, text)
		c, err := Sources{File: path}.Load()
		if err == nil && c.Validate() != nil {
			t.Fatalf("loaded, but is not valid: %v", c)
		}
	})
}
