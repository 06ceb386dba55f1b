package freeport

import (
	"net"
	"slices"
	"strconv"
	"testing"
)

// Ports are different, also from those of other calls, and a server can listen on them.
func TestAddresses(t *testing.T) {
	var all []string
	for range 20 {
		some, err := Addresses(3)
		if err != nil || len(some) != 3 {
			t.Fatalf("%v, %v", some, err)
		}
		all = append(all, some...)
	}
	for _, at := range all {
		// A server of HTTP/3 listens on both.
		udp, err := net.ListenPacket("udp", at)
		if err != nil {
			t.Errorf("nothing can listen on %s: %v", at, err)
			continue
		}
		defer udp.Close()
		ln, err := net.Listen("tcp", at)
		if err != nil {
			t.Errorf("nothing can listen on %s: %v", at, err)
			continue
		}
		defer ln.Close()
		_, text, err := net.SplitHostPort(at)
		port, err2 := strconv.Atoi(text)
		if err != nil || err2 != nil {
			t.Fatal(at, err, err2)
		}
		if hold, err := net.ListenPacket("udp", address(port+toHold)); err == nil {
			hold.Close()
			t.Errorf("another process may get %s", at)
		}
	}
	slices.Sort(all)
	if got := len(slices.Compact(all)); got != 60 {
		t.Errorf("%d different ports of 60", got)
	}
}
