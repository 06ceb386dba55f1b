package js

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Error codes of JetStream that the client library does not name (docs/spec/jetstream-notes.md, "Errors").
const (
	codeTooManyRequests       jetstream.ErrorCode = 10167
	codeClusterIncomplete     jetstream.ErrorCode = 10004
	codeNoPeers               jetstream.ErrorCode = 10005
	codeNotAvailable          jetstream.ErrorCode = 10008
	codeNotLeader             jetstream.ErrorCode = 10009
	codeInsufficientResources jetstream.ErrorCode = 10023
	codeMemoryExceeded        jetstream.ErrorCode = 10028
	codeStorageExceeded       jetstream.ErrorCode = 10047
)

// reportedError is an error that JetStream reports, in the form in which it is shown to people. It unwraps to the client
// library's type.
type reportedError struct{ *jetstream.APIError }

func (e reportedError) Error() string {
	full := ""
	if noRoom(e.ErrorCode) {
		full = "the storage is full: "
	}
	return fmt.Sprintf("%s%s (JetStream error %d)", full, e.Description, e.ErrorCode)
}

func (e reportedError) Unwrap() error { return e.APIError }

func noRoom(code jetstream.ErrorCode) bool {
	return code == codeInsufficientResources || code == codeMemoryExceeded || code == codeStorageExceeded
}

// codeOf is the error code that JetStream reported; 0 when err is none of its reports.
func codeOf(err error) jetstream.ErrorCode {
	if e, ok := errors.AsType[*jetstream.APIError](err); ok {
		return e.ErrorCode
	}
	return 0
}

// Reported reports whether an error is JetStream's answer, rather than the lack of one.
func Reported(err error) bool { return codeOf(err) != 0 }

// NoRoom reports whether JetStream refused for want of room.
func NoRoom(err error) bool { return noRoom(codeOf(err)) }

// StreamMissing reports whether JetStream says that the stream does not exist.
func StreamMissing(err error) bool { return codeOf(err) == jetstream.JSErrCodeStreamNotFound }

// NoLeader reports whether JetStream says that the stream, or the group of its servers, has no leader: they elect one, or are too few.
func NoLeader(err error) bool { return codeOf(err) == codeNotAvailable }

// WrongSequence reports whether JetStream says that an expected last sequence does not hold.
func WrongSequence(err error) bool {
	code := codeOf(err)
	return code == jetstream.JSErrCodeStreamWrongLastSequence || code == jetstream.JSErrCodeStreamWrongLastSequenceConstant
}

// Refused reports whether JetStream says that it could not store a message, for want of room or because its store failed,
// rather than that a sequence did not match or that it was busy.
func Refused(err error) bool {
	code := codeOf(err)
	return code != 0 && code != codeTooManyRequests && !WrongSequence(err)
}

var (
	// ErrNotFound says that there is no such message.
	ErrNotFound = errors.New("no such message")
	// ErrNoAnswer says that the store did not answer a direct get in time.
	ErrNoAnswer = errors.New("a direct get was not answered")
)

// StatusError is a status that a direct get was answered with in place of messages.
type StatusError struct {
	Status      string
	Description string
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("a direct get was answered with status %s %s", e.Status, e.Description)
}

// NoResponders reports whether no server answers direct gets: the stream is not there, or has no leader now.
func NoResponders(err error) bool {
	var e *StatusError
	return errors.As(err, &e) && e.Status == "503"
}
