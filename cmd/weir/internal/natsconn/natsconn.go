// Package natsconn connects the command line to NATS the way the nats CLI does: flags, the same environment variables,
// and NATS contexts, in this order of falling precedence.
package natsconn

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/jsm.go/natscontext"
	"github.com/nats-io/nats.go"
	"github.com/spf13/pflag"

	"github.com/weirstream/weir/conf"
)

// Options says which NATS to reach and how. The empty string means "not said here": then a NATS context speaks, and
// without one the default of nats.go, nats://127.0.0.1:4222.
type Options struct {
	Server   string
	User     string // or a token, if it stands without a password
	Password string
	Token    string
	Creds    string // path
	NKey     string // path
	Cert     string // path
	Key      string // path
	CA       string // path
	TLSFirst bool
	Context  string // name, or absolute path of a context file
	// NoContext leaves the selected NATS context alone.
	NoContext   bool
	InboxPrefix string
	// Timeout bounds the connecting and each single request.
	Timeout time.Duration

	// AccessTokenFile is the path of a file that holds AccessToken.
	AccessTokenFile string
	// AccessToken is weir's. It goes with every request, and is also the connection's login if nothing else
	// identifies the user.
	AccessToken string

	// OnError, if set, takes the errors that concern no single call, such as those of permissions.
	OnError nats.ErrHandler
}

// DefaultTimeout is that of the nats CLI.
const DefaultTimeout = 5 * time.Second

// variables are the nats CLI's environment variables and the options that they set.
var variables = []struct {
	name, flag, help string
	field            func(*Options) *string
}{
	{"NATS_URL", "server", "NATS server `URL`, or several with commas", func(o *Options) *string { return &o.Server }},
	{"NATS_USER", "user", "user name, or a token if it stands alone", func(o *Options) *string { return &o.User }},
	{"NATS_PASSWORD", "password", "password of the user", func(o *Options) *string { return &o.Password }},
	{"NATS_TOKEN", "token", "authentication token", func(o *Options) *string { return &o.Token }},
	{"NATS_CREDS", "creds", "credentials `file`", func(o *Options) *string { return &o.Creds }},
	{"NATS_NKEY", "nkey", "user NKey `file`", func(o *Options) *string { return &o.NKey }},
	{"NATS_CERT", "tlscert", "client certificate `file`", func(o *Options) *string { return &o.Cert }},
	{"NATS_KEY", "tlskey", "client private key `file`", func(o *Options) *string { return &o.Key }},
	{"NATS_CA", "tlsca", "certificate authorities `file`", func(o *Options) *string { return &o.CA }},
	{"NATS_CONTEXT", "context", "NATS context `name`", func(o *Options) *string { return &o.Context }},
	{"NATS_INBOX_PREFIX", "inbox-prefix", "`prefix` of inboxes", func(o *Options) *string { return &o.InboxPrefix }},
}

// AddFlags adds the connection flags. getenv gives the values of flags that are not used.
func (o *Options) AddFlags(fs *pflag.FlagSet, getenv func(string) string) {
	for _, v := range variables {
		fs.StringVar(v.field(o), v.flag, "", v.help+" ($"+v.name+")")
		// The default is set beside the flag, so that help texts show no password.
		*v.field(o) = getenv(v.name)
	}
	o.addTokenFlag(fs)
	fs.BoolVar(&o.TLSFirst, "tlsfirst", false, "do the TLS handshake before the server's greeting")
	fs.BoolVar(&o.NoContext, "no-context", false, "leave the selected NATS context alone")
	o.Timeout = DefaultTimeout
	fs.Var((*duration)(&o.Timeout), "timeout", "`time` to connect, and to wait for each answer ($NATS_TIMEOUT)")
}

// ReadTimeout takes the timeout from the environment unless the flag was used.
func (o *Options) ReadTimeout(fs *pflag.FlagSet, getenv func(string) string) error {
	s := getenv("NATS_TIMEOUT")
	if s == "" || fs.Changed("timeout") {
		return nil
	}
	if err := (*duration)(&o.Timeout).Set(s); err != nil {
		return fmt.Errorf("NATS_TIMEOUT: %w", err)
	}
	return nil
}

// duration is a positive time.Duration as a flag, days included.
type duration time.Duration

func (d *duration) Set(s string) error {
	v, err := conf.ParseDuration(s)
	if err == nil && v == 0 {
		err = errors.New("must be above 0")
	}
	*d = duration(v)
	return err
}

func (d *duration) String() string { return conf.FormatDuration(time.Duration(*d)) }

func (d *duration) Type() string { return "duration" }

// Connect connects, and keeps trying to come back when the connection is lost later. notify receives a text for each
// loss and return. The error says which server was tried, without its password.
func Connect(o Options, notify func(string)) (*nats.Conn, error) {
	nctx, err := loadContext(o)
	if err != nil {
		return nil, err
	}
	opts := []nats.Option{
		nats.Name("weir"),
		nats.Timeout(o.Timeout),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				notify("connection to NATS lost, trying again: " + err.Error())
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) { notify("connected again to " + nc.ConnectedUrlRedacted()) }),
		nats.ErrorHandler(func(nc *nats.Conn, sub *nats.Subscription, err error) {
			// The default would print on standard error; sessions find their own losses by counting frames.
			if o.OnError != nil {
				o.OnError(nc, sub, err)
			}
		}),
	}
	if o.AccessToken != "" && !namesUser(nctx) {
		nc, err := nctx.Connect(slices.Concat(opts, []nats.Option{nats.Token(o.AccessToken)})...)
		if err == nil {
			return nc, nil
		}
		if errors.Is(err, nats.ErrAuthorization) {
			// A NATS that knows no tokens of weir may still let in clients without credentials; the token goes with the requests.
			nc, again := nctx.Connect(opts...)
			if again == nil {
				return nc, nil
			}
		}
		return nil, connectError(nctx, err)
	}
	nc, err := nctx.Connect(opts...)
	if err == nil {
		return nc, nil
	}
	return nil, connectError(nctx, err)
}

func connectError(nctx *natscontext.Context, err error) error {
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		// No server was asked.
		return fmt.Errorf("a file of the NATS login or of TLS cannot be read (--creds, --nkey, --tlscert, --tlskey, --tlsca, or a NATS context): %w", err)
	}
	return &ConnectError{Server: redact(nctx.ServerURL()), Err: err}
}

// ConnectError is a NATS server that cannot be reached, or that refuses the user.
type ConnectError struct {
	Server string
	Err    error
}

func (e *ConnectError) Error() string {
	return fmt.Sprintf("cannot connect to NATS at %s: %v", e.Server, e.Err)
}

// Unauthorized reports whether the server is there and does not let the user in.
func (e *ConnectError) Unauthorized() bool { return errors.Is(e.Err, nats.ErrAuthorization) }

// TLS reports whether the server is there and the two do not trust each other.
func (e *ConnectError) TLS() bool { return errors.Is(e.Err, nats.ErrTLS) }

// Unwrap returns the error of nats.go.
func (e *ConnectError) Unwrap() error { return e.Err }

func loadContext(o Options) (*natscontext.Context, error) {
	opts := o.contextOptions()
	switch {
	case filepath.IsAbs(o.Context):
		return natscontext.NewFromFile(o.Context, opts...)
	case o.Context == "" && o.NoContext:
		return natscontext.New("", false, opts...)
	}
	nctx, err := natscontext.New(o.Context, true, opts...)
	if err != nil && o.Context != "" {
		return nil, fmt.Errorf("NATS context %q: %w ('nats context ls' lists them)", o.Context, err)
	}
	if err != nil {
		return nil, fmt.Errorf("the selected NATS context: %w (--no-context leaves it alone)", err)
	}
	return nctx, nil
}

// contextOptions lays the explicit options over a context.
func (o Options) contextOptions() []natscontext.Option {
	if o.User != "" && o.Password == "" && o.Token == "" {
		o.User, o.Token = "", o.User
	}
	var opts []natscontext.Option
	for _, s := range []struct {
		value string
		with  func(string) natscontext.Option
	}{
		{o.Server, natscontext.WithServerURL}, {o.User, natscontext.WithUser}, {o.Password, natscontext.WithPassword},
		{o.Token, natscontext.WithToken}, {o.Creds, natscontext.WithCreds}, {o.NKey, natscontext.WithNKey},
		{o.Cert, natscontext.WithCertificate}, {o.Key, natscontext.WithKey}, {o.CA, natscontext.WithCA},
		{o.InboxPrefix, natscontext.WithInboxPrefix},
	} {
		if s.value != "" {
			opts = append(opts, s.with(s.value))
		}
	}
	if o.TLSFirst {
		opts = append(opts, natscontext.WithTLSHandshakeFirst())
	}
	return opts
}

func redact(servers string) string {
	var out []string
	for s := range strings.SplitSeq(servers, ",") {
		s = strings.TrimSpace(s)
		if !strings.Contains(s, "://") {
			s = "nats://" + s // as nats.go takes it
		}
		u, err := url.Parse(s)
		if err != nil {
			continue
		}
		if u.User != nil {
			u.User = url.User("redacted")
		}
		out = append(out, u.String())
	}
	return strings.Join(out, ",")
}
