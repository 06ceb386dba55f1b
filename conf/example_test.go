package conf_test

import (
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"

	"github.com/weirstream/weir/conf"
)

// An embedding program begins with the defaults, and changes fields.
func ExampleDefault() {
	cfg := conf.Default().WithStoreDir("/var/lib/orders")
	cfg.NATS.Listen, cfg.HTTP.Listen = "", "" // no port
	cfg.Durability = conf.DurabilityInterval
	cfg.SyncInterval = 5 * time.Second
	fmt.Println(cfg.Validate())
	// Output: <nil>
}

// A program that takes its settings as weir serve does: file, then environment, then flags.
func ExampleSources_Load() {
	dir, err := os.MkdirTemp("", "weir-conf-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "weir.conf")
	text := "store_dir: /var/lib/orders\nlame_duck: 5s\nnats { listen: \"127.0.0.1:4222\" }\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		log.Fatal(err)
	}
	flags := pflag.NewFlagSet("orders", pflag.ContinueOnError)
	conf.AddFlags(flags)
	if err := flags.Parse([]string{"--http-listen", "none"}); err != nil {
		log.Fatal(err)
	}
	cfg, err := conf.Sources{File: file, Environ: []string{"WEIR_LAME_DUCK=2s"}, Flags: flags}.Load()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(cfg.StoreDir, cfg.NATS.Listen, cfg.HTTP.Listen, cfg.LameDuck)
	// Output: /var/lib/orders 127.0.0.1:4222 none 2s
}

// A setting that is wrong names itself, where it stands, and what is allowed.
func ExampleError() {
	_, err := conf.Sources{Environ: []string{"WEIR_STORE_DIR=/var/lib/orders", "WEIR_DURABILITY=never"}}.Load()
	if wrong, ok := errors.AsType[*conf.Error](err); ok {
		fmt.Println(wrong.Key, "from", wrong.Source)
	}
	// Output: durability from WEIR_DURABILITY
}
