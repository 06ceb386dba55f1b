package natsapi

import (
	"reflect"
	"strings"
	"unsafe"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/weirstream/weir/protocol"
)

// A header block that nats.go cannot read arrives as if there were none: its conditions and its access token would be lost
// without a word. The size of the message on the wire reveals it; nats.go keeps that size and micro does not show it.

// unreadable reports whether the message came with a header block that could not be read, or with names that no reader
// takes apart in the same way: a folded line begins with white space.
func unreadable(m *nats.Msg) bool {
	if m.Header == nil {
		return m.Size() > len(m.Subject)+len(m.Reply)+len(m.Data)
	}
	for name := range m.Header {
		if name == "" || strings.ContainsAny(name, " \t\r\n") {
			return true
		}
	}
	return false
}

func errUnreadable() *protocol.Error {
	return protocol.Errorf(protocol.CodeBadHeader, "the NATS header block cannot be read: it begins with NATS/1.0, has one \"name: value\" in a line, no line breaks within a value, and ends with an empty line")
}

// messageOf returns the message of a request, which micro keeps to itself; nil if this version of it keeps it elsewhere, which a
// test would find.
func messageOf(req micro.Request) *nats.Msg {
	v := reflect.ValueOf(req)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return nil
	}
	f := v.Elem().FieldByName("msg")
	if !f.IsValid() || f.Type() != reflect.TypeFor[*nats.Msg]() {
		return nil
	}
	return (*nats.Msg)(unsafe.Pointer(f.Pointer())) //nolint:gosec // of the type that was just checked
}
