package protocol

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Error is every failure that a caller of weir sees. Code decides the status and whether a retry is safe; Message
// is for people. The details are set for the codes that carry them.
type Error struct {
	Code    Code   // one of the codes of codes.go, or another one of a server of another version
	Message string // for bad input it names the field and the limit

	// SeqNumMismatch is the seq_num that would have been assigned, when MatchSeqNum did not hold
	// ([CodeConditionFailed]).
	SeqNumMismatch *uint64
	// FencingTokenMismatch is the token in force, when FencingToken did not hold ([CodeConditionFailed]).
	FencingTokenMismatch *string
	// Tail is the stream's tail, when a read starts where nothing is written yet ([CodeUnwritten]), or an append meets a closed
	// stream ([CodeStreamClosed]).
	Tail *Position

	// Producer describes the failure of a producer's append ([CodeProducerFenced], [CodeProducerGap], [CodeProducerRepeated]).
	Producer *ProducerMismatch

	// RemoteStatus is the status that a server sent with a code that this version does not know or that has another
	// status; else 0.
	RemoteStatus int

	// cause is for logs; it never reaches a client.
	cause error
}

// Errorf makes an error with a code and a message for the client.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes an error with a code and a message for the client, and keeps cause for the log.
func Wrap(code Code, cause error, message string) *Error {
	return &Error{Code: code, Message: message, cause: cause}
}

// SeqNumMismatch is the failure of an append whose MatchSeqNum differs from next.
func SeqNumMismatch(next uint64) *Error {
	return &Error{Code: CodeConditionFailed, SeqNumMismatch: &next,
		Message: fmt.Sprintf("match_seq_num does not hold: the next seq_num is %d", next)}
}

// FencingTokenMismatch is the failure of an append whose FencingToken differs from current.
func FencingTokenMismatch(current string) *Error {
	message := "fencing_token does not hold: the stream has no fencing token"
	if current != "" {
		message = fmt.Sprintf("fencing_token does not hold: the current token is %q", current)
	}
	return &Error{Code: CodeConditionFailed, FencingTokenMismatch: &current, Message: message}
}

// Unwritten is the failure of a read that starts at or beyond the tail and may not wait.
func Unwritten(tail Position) *Error {
	return &Error{Code: CodeUnwritten, Tail: &tail,
		Message: fmt.Sprintf("the start position is not written yet: the tail is %v", tail)}
}

// StreamClosed is the failure of an append to a closed stream.
func StreamClosed(tail Position) *Error {
	return &Error{Code: CodeStreamClosed, Tail: &tail,
		Message: fmt.Sprintf("the stream is closed: its tail is %v for good", tail)}
}

// Clip shortens a text that a client sent, for use in a message to it: to 64 bytes, of valid UTF-8.
func Clip(s string) string {
	const most = 64
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}

func (e *Error) Error() string {
	s := string(e.Code) + ": " + e.Message
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}
	return s
}

// Unwrap returns the cause, which is for logs only.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether target is an [*Error] with the same code, so that errors.Is(err, &Error{Code: c}) works.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Message == "" && t.Code == e.Code
}

// Status is the HTTP status that goes with the error.
func (e *Error) Status() int {
	if e.RemoteStatus != 0 {
		return e.RemoteStatus
	}
	return e.Code.Status()
}

// CodeOf returns the code of err: that of the [*Error] in its chain, request_timeout for an expired context,
// client_hangup for a cancelled one, "" for nil, and other for the rest.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	return AsError(err).Code
}

// ErrLagged is the error for a follower that fell too far behind the live feed: it reads on from storage. It never leaves
// the process.
var ErrLagged = errors.New("follower lagged behind the live feed")

// ErrStreamEnd is the error for a follower that has all records of a closed stream. It never leaves the process: sessions end
// cleanly.
var ErrStreamEnd = errors.New("the stream is closed, and this is its end")

// AsError turns any failure into an [*Error], at the door and only there. An unknown failure becomes code other with
// a fixed text: its own text is for the log. It returns nil for nil.
func AsError(err error) *Error {
	var e *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.DeadlineExceeded):
		return Wrap(CodeRequestTimeout, err, "the request's deadline passed; the request may have been carried out")
	case errors.Is(err, context.Canceled):
		return Wrap(CodeClientHangup, err, "the request was cancelled; the request may have been carried out")
	}
	return Wrap(CodeOther, err, "internal error")
}
