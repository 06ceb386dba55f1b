package conf

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func TestGoodFiles(t *testing.T) {
	full := Default().WithStoreDir("/srv/weir")
	full.Durability = DurabilityAlways
	full.SyncInterval = 30 * time.Second
	full.SubjectPrefix = "orders"
	full.Logs = 7
	full.InflightBytes = 256 << 20
	full.MaxPayload = 16 << 20
	full.Replicas = 3
	full.LameDuck = 90 * time.Second
	full.Locations = "rack-1, rack:2.Upper"
	full.InitFile = "/etc/weir/resources.json"
	full.RootToken = "opensesame-opensesame"
	full.StorageStandard = ClassSettings{Replicas: 5, Compression: CompressionNone, Durability: DurabilityAlways, Logs: 9}
	full.AcceptLoss = "0a1b"
	full.Log = Log{Level: "debug", Format: LogJSON}
	full.NATS = NATS{Listen: "0.0.0.0:4333", ConfigFile: "nats.conf", ServerName: "weir-1"}
	full.HTTP = HTTP{Listen: "[::1]:443", TLSCert: "/etc/weir/cert.pem", TLSKey: "/etc/weir/key.pem"}
	full.DurableStreams = DurableStreams{Listen: "0.0.0.0:4437", Basin: "demo-basin"}

	external := Default()
	external.External = External{
		URL:   "nats://weir:secret@10.0.0.1:4222, tls://10.0.0.2:4222",
		Creds: "/etc/weir.creds",
	}

	memory := Default().WithMemory()
	memory.NATS.Listen = ListenNone
	memory.HTTP.Listen = ListenNone
	memory.LameDuck = 0

	for file, want := range map[string]Config{
		"minimal":  Default().WithStoreDir("/data"),
		"full":     full,
		"external": external,
		"memory":   memory,
	} {
		t.Run(file, func(t *testing.T) {
			got, err := Sources{File: filepath.Join("testdata", "good", file+".conf")}.Load()
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got\n%v\nwant\n%v", got, want)
			}
		})
	}
}

// TestExampleFile keeps the example true: it loads, it says the defaults, and it mentions every setting.
func TestExampleFile(t *testing.T) {
	const path = "weir.conf.example"
	got, err := Sources{File: path}.Load()
	if err != nil {
		t.Fatal(err)
	}
	want := Default().WithStoreDir("/var/lib/weir")
	want.Logs = got.Logs // depends on the machine
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the example is\n%v\nthe defaults are\n%v", got, want)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		key := f.key[strings.LastIndex(f.key, ".")+1:]
		if !strings.Contains(string(text), key+":") {
			t.Errorf("the example does not mention %s", f.key)
		}
	}
}

// The three about certificates are control plane A.24/441.
func TestBadFiles(t *testing.T) {
	want := map[string]string{
		"unknown_key":                 "bad/unknown_key.conf:2: durabilty: there is no such key; did you mean durability?",
		"unknown_nested_key":          "bad/unknown_nested_key.conf:3: nats.listn: there is no such key; did you mean nats.listen?",
		"unknown_top_level_of_nested": "listen: there is no such key; did you mean nats.listen?",
		"unknown_far":                 "frobnicate: there is no such key",
		"syntax":                      "configuration file testdata/bad/syntax.conf: ",
		"block_wanted":                "block_wanted.conf:2: nats: is a whole number, but a block is needed",
		"string_wanted":               "string_wanted.conf:1: store_dir: is a whole number, but a string is needed",
		"list_given":                  "store_dir: is a list, but a string is needed",
		"bool_wanted":                 "memory: is a string, but true or false is needed",
		"int_wanted":                  "replicas: is a fraction, but a whole number is needed",
		"bare_duration":               `lame_duck: is a number; write the duration in quotes, like "10s" or "2m"`,
		"bad_duration":                `lame_duck: "soon" is not a duration like 500ms, 10s, 1h30m or 7d`,
		"negative_duration":           `lame_duck: "-1s" is not a duration`,
		"bad_size":                    `max_payload: "big" is not a size like 8MiB, 512k or 1048576`,
		"missing_include":             "nowhere.inc",
		"unset_variable":              "WEIR_TEST_UNSET",
		"no_store":                    "store_dir: is required: name a directory for the data (--store-dir), or set memory (tests) or external.url",
		"memory_and_store":            "memory_and_store.conf:1: memory: keeps nothing on disk, but store_dir is set too",
		"memory_and_external":         "memory: needs the embedded server, but external is set",
		"store_and_external":          "store_dir: an external NATS server has a store of its own",
		"durability":                  `durability: is "sometimes"; allowed are group, always, interval and auto`,
		"group_external":              "durability: group syncs the embedded server's files and cannot be used with external",
		"group_memory":                "durability: group syncs files, but memory keeps none",
		"class_replicas":              `storage_standard.replicas: is 2; allowed are 1, 3 and 5`,
		"class_compression":           `storage_express.compression: is "zstd"; allowed are none and s2`,
		"class_compressed_replicas":   `storage_standard.compression: is s2, but the class has 3 replicas`,
		"class_compressed_copies":     `storage_express.compression: is s2, but the class has 3 replicas`,
		"class_logs":                  `storage_express.logs: is 65; allowed is from 1 to 64`,
		"class_always":                `always is the whole NATS server's`,
		"class_group_replicas":        `group syncs one server's files, but the class has 3 replicas`,
		"class_inherits_group":        `would be group`,
		"class_external":              `always is the whole NATS server's`,
		"class_durability":            `storage_standard.durability: is "auto"; allowed are group, always and interval`,
		"group_replicas":              "durability: group syncs one server's files, but replicas is 3",
		"replicas":                    "replicas: is 2; allowed are 1, 3 and 5",
		"prefix_empty":                "subject_prefix: has 0 bytes; allowed is from 1 to 32",
		"prefix_dot":                  `subject_prefix: holds '.'; allowed are letters, digits, '-' and '_'`,
		"prefix_long":                 "subject_prefix: has 33 bytes; allowed is from 1 to 32",
		"http_listen":                 `http.listen: "8080" is not host:port (or none)`,
		"http_cert_alone":             "http.tls_key: is missing: http.tls_cert needs it",
		"http_key_alone":              "http.tls_cert: is missing: http.tls_key needs it",
		"http_self_and_cert":          "http.tls_self: makes a certificate, but http.tls_cert or http.tls_key names one",
		"logs":                        "logs: is 65; allowed is from 1 to 64",
		"inflight_low":                "inflight_bytes: is 1000; allowed is from 1MiB to 64GiB",
		"max_payload_low":             "max_payload: is 1MiB; allowed is from 2MiB to 64MiB",
		"max_payload_high":            "max_payload: is 65MiB; allowed is from 2MiB to 64MiB",
		"locations_empty":             `locations: "": invalid location: has 0 bytes`,
		"locations_name":              `locations: "rack_1": invalid location: may hold only`,
		"locations_twice":             `locations: "a" is named twice`,
		"lame_duck_high":              "lame_duck: is 11m; allowed is from 0s to 10m",
		"sync_interval_low":           "sync_interval: is 10ms; allowed is from 1s to 1h",
		"log_level":                   `log.level: is "loud"; allowed are debug, info, warn and error`,
		"log_format":                  `log.format: is "xml"; allowed are text and json`,
		"listen":                      `nats.listen: "4222" is not host:port (or none)`,
		"listen_port":                 `nats.listen: port "70000"; allowed is from 0 to 65535`,
		"server_name":                 "nats.server_name: may not hold white space",
		"external_url":                "external.url: is not an address like nats://host:4222",
		"external_url_scheme":         `external.url: has scheme "http"; allowed are nats, tls, ws and wss`,
		"external_url_and_context":    "external.context: names a server already, but external.url is set too",
		"external_creds_alone":        "external.creds: needs external.url or external.context",
		"external_and_listen":         "nats.listen: opens a port of the embedded server, but external is set",
		"external_and_nats_config":    "nats.config_file: configures the embedded server, but external is set",
		"root_token_short":            "root_token: has 7 characters; allowed is from 16 to 512",
		"root_token_space":            "root_token: holds a space, a line break or another character that is not visible ASCII",
		"root_token_twice":            "root_token_file: names a root token, but root_token is set too: leave one out",
		"root_token_type":             "root_token_type.conf:2: root_token: cannot be read",
		"open_durable_streams":        `durable_streams.listen: "0.0.0.0:4437" can be reached from other machines, and without a root token every client there may do everything`,
		"durable_streams_basin":       "durable_streams.basin: is missing: durable_streams.listen serves the streams of one basin",
		"durable_streams_basin_name":  `durable_streams.basin: "Demo": `,
		"durable_streams_listen":      `durable_streams.listen: "4437" is not host:port (or none)`,
		"open_http":                   `http.listen: "0.0.0.0:8080" can be reached from other machines, and without a root token every client there may do everything: set root_token_file, or listen on 127.0.0.1`,
		"open_nats":                   `nats.listen: ":4222" can be reached from other machines, and without a root token every client there may do everything: set root_token_file, or users in nats.config_file, or listen on 127.0.0.1`,
		"two_mistakes":                "allowed are debug, info, warn and error\ntestdata/bad/two_mistakes.conf:2: replicas: is 2; allowed are 1, 3 and 5",
	}
	files, err := filepath.Glob("testdata/bad/*.conf")
	if err != nil || len(files) == 0 {
		t.Fatal("no bad files", err)
	}
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".conf")
		t.Run(name, func(t *testing.T) {
			text, ok := want[name]
			if !ok {
				t.Fatal("the table has no message for this file")
			}
			delete(want, name)
			_, err := Sources{File: path}.Load()
			if err == nil {
				t.Fatal("it loaded")
			}
			if !strings.Contains(err.Error(), text) {
				t.Errorf("got  %v\nwant %v", err, text)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the message holds a password: %v", err)
			}
		})
	}
	for name := range want {
		t.Errorf("no file for %s", name)
	}
}

func TestMissingFile(t *testing.T) {
	_, err := Sources{File: "testdata/none.conf"}.Load()
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "testdata/none.conf") {
		t.Error(err)
	}
}

// TestPrecedence: defaults < file < environment < flags.
func TestPrecedence(t *testing.T) {
	path := filepath.Join(t.TempDir(), "weir.conf")
	write(t, path, `store_dir: /file
		log { level: warn, format: json }
		replicas: 3`)
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	AddFlags(fs)
	if err := fs.Parse([]string{"--log-level", "error", "--nats-listen=none"}); err != nil {
		t.Fatal(err)
	}
	c, err := Sources{
		File:    path,
		Environ: []string{"WEIR_LOG_LEVEL=debug", "WEIR_REPLICAS=5", "WEIR_LAME_DUCK=1s", "PATH=/bin"},
		Flags:   fs,
	}.Load()
	if err != nil {
		t.Fatal(err)
	}
	want := Default().WithStoreDir("/file")
	want.Log = Log{Level: "error", Format: "json"}
	want.Replicas = 5
	want.LameDuck = time.Second
	want.NATS.Listen = ListenNone
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got\n%v\nwant\n%v", c, want)
	}
}

func TestErrorsNameTheirSource(t *testing.T) {
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	AddFlags(fs)
	if err := fs.Parse([]string{"--replicas", "4"}); err != nil {
		t.Fatal(err)
	}
	_, err := Sources{Environ: []string{"WEIR_STORE_DIR=/d", "WEIR_LOG_LEVEL=x"}, Flags: fs}.Load()
	for _, want := range []string{"--replicas: is 4", "WEIR_LOG_LEVEL: is \"x\""} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %s", err, want)
		}
	}
}

func TestEnvironment(t *testing.T) {
	tests := []struct {
		name, entry, want string
	}{
		{"a typing mistake", "WEIR_DURABILTY=group", "WEIR_DURABILTY: there is no such setting; did you mean WEIR_DURABILITY?"},
		{"nothing like it", "WEIR_FROBNICATE=1", "WEIR_FROBNICATE: there is no such setting"},
		{"not a number", "WEIR_REPLICAS=three", `WEIR_REPLICAS: "three" is not a whole number`},
		{"not a size", "WEIR_MAX_PAYLOAD=8 parsecs", `WEIR_MAX_PAYLOAD: "8 parsecs" is not a size`},
		{"not a bool", "WEIR_MEMORY=perhaps", `WEIR_MEMORY: "perhaps" is not true or false`},
		{"size overflow", "WEIR_MAX_PAYLOAD=99999999999TiB", "is not a size"},
		{"the path of the file is the command's", "WEIR_CONFIG=weir.conf", ""},
		{"a Kubernetes service called weir", "WEIR_PORT_4222_TCP_ADDR=10.0.0.1", ""},
		{"its port", "WEIR_PORT=tcp://10.0.0.1:4222", ""},
		{"a Kubernetes service called weir-nats", "WEIR_NATS_SERVICE_HOST=10.0.0.1", ""},
		{"the access token of clients", "WEIR_ACCESS_TOKEN=hunter2", ""},
		{"the file of it", "WEIR_ACCESS_TOKEN_FILE=token", ""},
		{"somebody else's", "WEIRD=1", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := Default()
			err := c.ApplyEnv([]string{tt.entry})
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestFlagsRefuseUnreadableValues(t *testing.T) {
	for arg, want := range map[string]string{
		"--lame-duck=soon":     `invalid argument "soon" for "--lame-duck" flag`,
		"--replicas=x":         `invalid argument "x" for "--replicas" flag`,
		"--memory=x":           `invalid argument "x" for "--memory" flag`,
		"--max-payload=-1":     `invalid argument "-1" for "--max-payload" flag`,
		"--durabilty=group":    "unknown flag: --durabilty",
		"--root-token=hunter2": "unknown flag: --root-token",
		"--inflight-bytes=1":   "",
	} {
		fs := pflag.NewFlagSet("", pflag.ContinueOnError)
		AddFlags(fs)
		err := fs.Parse([]string{arg})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", arg, err, want)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Load reads a file and the environment of the process, which counts before the file.
func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "weir.conf")
	if err := os.WriteFile(path, []byte("store_dir: /srv/weir\nlame_duck: 5s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("WEIR_LAME_DUCK", "7s")
	got, err := Load(path)
	if err != nil || got.StoreDir != "/srv/weir" || got.LameDuck != 7*time.Second {
		t.Errorf("%q, %v, %v", got.StoreDir, got.LameDuck, err)
	}
}
