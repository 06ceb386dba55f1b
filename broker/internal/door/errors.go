package door

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"runtime/debug"

	"github.com/weirstream/weir/protocol"
)

// CauseOf puts the reason for which the door ended ctx in the place of a bare context error.
func CauseOf(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	if code := protocol.CodeOf(err); code != protocol.CodeClientHangup && code != protocol.CodeRequestTimeout {
		return err // a failure of its own
	}
	if cause, ok := errors.AsType[*protocol.Error](context.Cause(ctx)); ok {
		return cause
	}
	return err
}

// ClientError turns any failure into one fit for a client. Text that the client must not see is logged under an id that the
// client does see, with attrs.
func ClientError(log *slog.Logger, err error, attrs ...any) *protocol.Error {
	var known *protocol.Error
	e := protocol.AsError(err)
	if e.Code == protocol.CodeOther && !errors.As(err, &known) {
		id := rand.Text()
		log.Error("a request failed unexpectedly", append(attrs, slog.String("request", id), slog.Any("error", err))...)
		return protocol.Errorf(protocol.CodeOther, "internal error, see request %s in the server's log", id)
	}
	if cause := e.Unwrap(); cause != nil && e.Status() >= 500 {
		log.Warn("a request failed", append(attrs, slog.String("code", string(e.Code)), slog.Any("error", e))...)
	}
	return e
}

// Panicked logs a panic that was recovered and returns the failure that the client sees.
func Panicked(log *slog.Logger, p any) error {
	log.Error("recovered from a panic", slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
	return protocol.Errorf(protocol.CodeOther, "internal error")
}

// Recover turns a panic into an error for the client and a log entry for the operator. Defer it.
func Recover(log *slog.Logger, err *error) {
	if p := recover(); p != nil {
		*err = Panicked(log, p)
	}
}
