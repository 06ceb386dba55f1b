package natsconn

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/nats-io/jsm.go/natscontext"
	"github.com/spf13/pflag"
)

// The variables that hold an access token, or the path of its file, if no flag names one; the first that is set counts.
// There is no flag for the token itself: every user of a machine can read its command lines.
var tokenVariables = []struct {
	name string
	file bool
}{
	{"WEIR_ACCESS_TOKEN", false},
	{"WEIR_ACCESS_TOKEN_FILE", true},
	{"S2_ACCESS_TOKEN", false},
}

func (o *Options) addTokenFlag(fs *pflag.FlagSet) {
	fs.StringVar(&o.AccessTokenFile, "access-token-file", "", "`file` with the access token ($WEIR_ACCESS_TOKEN_FILE, or the token in $WEIR_ACCESS_TOKEN or $S2_ACCESS_TOKEN)")
}

// ReadAccessToken fills AccessToken from the file of the flag or from the environment. No error repeats the token.
func (o *Options) ReadAccessToken(getenv func(string) string) error {
	source, value, file := "--access-token-file", o.AccessTokenFile, true
	for _, v := range tokenVariables {
		if value == "" {
			source, value, file = v.name, getenv(v.name), v.file
		}
	}
	if value == "" {
		return nil
	}
	if file {
		var err error
		if value, err = readToken(value); err != nil {
			return fmt.Errorf("%s: %w", source, err)
		}
	}
	if reason := checkToken(value); reason != "" {
		return fmt.Errorf("%s: the access token %s", source, reason)
	}
	o.AccessToken = value
	return nil
}

// maxToken is far above the size of a token.
const maxToken = 1024

func readToken(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxToken+3))
	return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), err
}

func checkToken(s string) string {
	switch {
	case s == "":
		return "is empty"
	case len(s) > maxToken:
		return fmt.Sprintf("has more than %d characters", maxToken)
	case strings.ContainsFunc(s, func(r rune) bool { return r < '!' || r > '~' }):
		return "holds a space, a line break or another character that is not visible ASCII"
	}
	return ""
}

// namesUser reports whether anything identifies the NATS user: a flag, a variable, the context or the URL.
func namesUser(c *natscontext.Context) bool {
	for _, s := range []string{c.User(), c.Password(), c.Token(), c.Creds(), c.NKey(), c.UserJWT(), c.NscURL()} { //nolint:staticcheck // deprecated, and an older nats command may have saved the URL there alone
		if s != "" {
			return true
		}
	}
	for s := range strings.SplitSeq(c.ServerURL(), ",") {
		if u, err := url.Parse(strings.TrimSpace(s)); err == nil && u.User != nil {
			return true
		}
	}
	return false
}
