package natsd

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"

	"github.com/nats-io/nats-server/v2/server"
)

// natsLogger passes the NATS server's log on to slog. The server's notices are for operators of NATS, so they
// become debug lines; warnings and errors keep their level, but for those that anybody can cause by connecting, and for those
// about other nodes that come again and again.
//
// A fatal message of a NATS server that runs by itself ends the process. Here the first one is kept and reported
// through failed, so that the broker can name the remedy, or stop in order.
type natsLogger struct {
	log     *slog.Logger
	repeats repeats
	once    sync.Once
	failed  chan struct{} // closed after fatal was set
	fatal   string
}

func newNATSLogger(log *slog.Logger) *natsLogger {
	return &natsLogger{log: log, failed: make(chan struct{})}
}

const natsMessage = "nats server"

func (l *natsLogger) Noticef(format string, v ...any) { l.log.Debug(natsMessage, text(format, v)) }
func (l *natsLogger) Warnf(format string, v ...any) {
	if !l.ofClient(format) {
		l.tell(slog.LevelWarn, format, v)
	}
}

// tell logs a line, once a minute if the server repeats it, and then with the number of those that were left out.
func (l *natsLogger) tell(level slog.Level, format string, v []any) {
	again, more := l.repeats.is(format, v)
	switch {
	case again:
		l.log.Debug(natsMessage, text(format, v))
	case more > 0:
		l.log.Log(context.Background(), level, natsMessage, text(format, v), slog.Int("repeated", more))
	default:
		l.log.Log(context.Background(), level, natsMessage, text(format, v))
	}
}

func (l *natsLogger) Debugf(format string, v ...any) { l.log.Debug(natsMessage, text(format, v)) }

// Tracef passes on the server's traces, if its configuration says so: whole messages, but no secrets in their headers.
func (l *natsLogger) Tracef(format string, v ...any) {
	l.log.Debug(natsMessage, slog.Any("text", traceText{lazyText{format, v}}))
}

func (l *natsLogger) Errorf(format string, v ...any) {
	switch {
	case l.ofClient(format):
	case ofOthersToken(format, v):
		l.log.Debug(natsMessage, text(format, v)) // as often as a client of another node subscribes
	case len(v) > 0 && v[0] == server.ErrAuthentication: //nolint:errorlint // an argument of a log line, compared as it is
	case strings.HasPrefix(format, "Temporary %s Accept Error"):
		l.log.Debug(natsMessage, text(format, v)) // as often as clients come when there are too many
	case strings.HasPrefix(format, dialLine):
		l.tell(slog.LevelWarn, format, v) // the other node is not started yet, or was stopped
	default:
		l.tell(slog.LevelError, format, v)
	}
}

// ofOthersToken reports whether a line says that a node of the cluster has a subscription in the account of a token. Such accounts are
// known at the node of their clients alone.
func ofOthersToken(format string, v []any) bool {
	if !strings.HasSuffix(format, "Unknown account %q for remote subject %q") || len(v) == 0 {
		return false
	}
	account, ok := v[0].(string)
	return ok && strings.HasPrefix(account, tokenAccountPrefix)
}

// clientLine begins a line about a connection that anybody can open: of a client, also by websocket or MQTT, or of a leaf node.
// The rest of the line holds names and bytes that the other side has sent.
var clientLine = regexp.MustCompile(`^(\S+) - ((?:cid|wid|mid|lid)\w*:\d+)`)

// clientFailures are parts of the server's messages about such connections, with the kinds by which the log names them.
var clientFailures = []struct{ says, kind string }{
	{server.ErrAuthentication.Error(), "authentication"},
	{"Publish Violation", "Publish Violation"},
	{"Subscription Violation", "Subscription Violation"},
	{"parser ERROR", "protocol"},
	{"arser", "protocol"},
	{"TLS", "TLS"},
	{"Slow Consumer", "slow consumer"},
	{"maximum", "maximum"},
}

// ofClient takes a line about a connection that anybody can open: it is a debug line, without a byte that the other side has
// sent. Anybody could fill the disk otherwise, or put a secret there.
func (l *natsLogger) ofClient(format string) bool {
	at := clientLine.FindStringSubmatch(format)
	if at == nil {
		return false
	}
	kind := "other"
	for _, f := range clientFailures {
		if strings.Contains(format, f.says) {
			kind = f.kind
			break
		}
	}
	l.log.Debug("nats connection failed", slog.String("kind", kind), slog.String("from", at[1]), slog.String("conn", at[2]))
	return true
}

func (l *natsLogger) Fatalf(format string, v ...any) {
	l.log.Debug(natsMessage, text(format, v), slog.Bool("fatal", true)) // The reader of failed reports it.
	l.once.Do(func() {
		l.fatal = fmt.Sprintf(format, v...)
		close(l.failed)
	})
}

// text formats late: a handler that drops the line never pays for it.
func text(format string, v []any) slog.Attr {
	return slog.Any("text", lazyText{format, v})
}

type lazyText struct {
	format string
	args   []any
}

func (t lazyText) String() string { return fmt.Sprintf(t.format, t.args...) }

func (t lazyText) LogValue() slog.Value { return slog.StringValue(t.String()) }

// traceText is a line of the trace. A message stands in it as a quoted string.
type traceText struct{ lazyText }

var secretHeaders = regexp.MustCompile(`(?i)(s2-(?:encryption-keys?|access-token):\s*)[^\\\s"]+`)

func (t traceText) LogValue() slog.Value {
	return slog.StringValue(secretHeaders.ReplaceAllString(t.String(), "$1[hidden]"))
}
