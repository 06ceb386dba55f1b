package conf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const testToken = "hunter2hunter2hunter2"

func TestRootTokenFile(t *testing.T) {
	for _, tt := range []struct {
		name, text, want string
	}{
		{"alone", testToken, ""},
		{"with a newline", testToken + "\n", ""},
		{"with a newline of Windows", testToken + "\r\n", ""},
		{"two newlines", testToken + "\n\n", "holds a space, a line break"},
		{"a space before it", " " + testToken, "holds a space, a line break"},
		{"not ASCII", testToken + "é", "not visible ASCII"},
		{"a NUL", testToken + "\x00", "not visible ASCII"},
		{"empty", "", "has 0 characters; allowed is from 16 to 512"},
		{"15 characters", "hunter2hunter2h", "has 15 characters; allowed is from 16 to 512"},
		{"16 characters", "hunter2hunter2hu", ""},
		{"512 characters", strings.Repeat("hunter2x", 64) + "\r\n", ""},
		{"513 characters", strings.Repeat("hunter2x", 64) + "x", "is too long; allowed is from 16 to 512"},
		{"a large file", strings.Repeat("hunter2x", 1<<17), "is too long"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := Default().WithStoreDir("/d")
			c.RootTokenFile = filepath.Join(t.TempDir(), "root.token")
			write(t, c.RootTokenFile, tt.text)
			got, err := c.RootSecret()
			if tt.want == "" {
				if err != nil || got != strings.TrimRight(tt.text, "\r\n") {
					t.Fatalf("got %d characters, %v", len(got), err)
				}
				return
			}
			if err == nil || got != "" || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "root_token_file: the token in ") {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the message holds the token: %v", err)
			}
		})
	}
	c := Default().WithStoreDir("/d")
	c.RootTokenFile = filepath.Join(t.TempDir(), "none")
	if _, err := c.RootSecret(); err == nil || !strings.Contains(err.Error(), "root_token_file: cannot be read: ") {
		t.Error(err)
	}
}

func TestRootSecretOfTheConfiguration(t *testing.T) {
	c := Default().WithStoreDir("/d")
	if got, err := c.RootSecret(); got != "" || err != nil || c.Checked() {
		t.Error(got, err)
	}
	c.RootToken = testToken
	if got, err := c.RootSecret(); got != testToken || err != nil || !c.Checked() {
		t.Error(got, err)
	}
	if s := c.String(); strings.Contains(s, "hunter2") || !strings.Contains(s, `root_token: "[redacted]"`) {
		t.Error(s)
	}
	if s := Default().String(); !strings.Contains(s, `root_token: ""`) {
		t.Error(s)
	}
}

// TestOpenListensOnLoopbackOnly: without a root token no port may be reachable from other machines.
func TestOpenListensOnLoopbackOnly(t *testing.T) {
	file := filepath.Join(t.TempDir(), "root.token")
	if err := os.WriteFile(file, []byte(testToken), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   []string
	}{
		{"loopback, both families", func(c *Config) { c.HTTP.Listen, c.NATS.Listen = "127.0.0.5:0", "[::1]:0" }, nil},
		{"localhost", func(c *Config) { c.HTTP.Listen, c.NATS.Listen = "localhost:0", "LOCALHOST:0" }, nil},
		{"no port at all", func(c *Config) { c.HTTP.Listen, c.NATS.Listen = "none", "" }, nil},
		{"all interfaces", func(c *Config) { c.HTTP.Listen, c.NATS.Listen = ":0", "0.0.0.0:0" }, []string{"http.listen", "nats.listen"}},
		{"all interfaces of IPv6", func(c *Config) { c.HTTP.Listen, c.NATS.Listen = "[::]:0", "[::]:0" }, []string{"http.listen", "nats.listen"}},
		{"an address", func(c *Config) { c.HTTP.Listen = "10.1.2.3:80" }, []string{"http.listen"}},
		{"a name that may mean anything", func(c *Config) { c.HTTP.Listen = "broker.example:80" }, []string{"http.listen"}},
		{"a root token", func(c *Config) { c.HTTP.Listen, c.NATS.Listen, c.RootToken = ":0", ":0", testToken }, nil},
		{"a root token in a file", func(c *Config) { c.HTTP.Listen, c.NATS.Listen, c.RootTokenFile = ":0", ":0", file }, nil},
		{"users of NATS are for NATS alone", func(c *Config) { c.HTTP.Listen, c.NATS.Listen, c.NATS.ConfigFile = ":0", ":0", "nats.conf" }, []string{"http.listen"}},
		{"an external NATS", func(c *Config) { c.StoreDir, c.External.URL, c.HTTP.Listen = "", "nats://h:4222", ":0" }, []string{"http.listen"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := Default().WithStoreDir("/d")
			tt.change(&c)
			err := c.Validate()
			for _, key := range []string{"http.listen", "nats.listen"} {
				wanted := false
				for _, w := range tt.want {
					wanted = wanted || w == key
				}
				if told := err != nil && strings.Contains(err.Error(), key+": "); told != wanted {
					t.Errorf("%s refused: %v, want %v: %v", key, told, wanted, err)
				}
			}
		})
	}
}
