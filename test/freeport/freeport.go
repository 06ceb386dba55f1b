// Package freeport finds ports of the loopback address for servers that tests start and start again.
//
// Such a server needs to know its port before it listens. A port that the kernel chose and that was given back may be taken before the
// server listens on it, or while it is stopped, by any connection of any process: the kernel chooses the ports of connections from the same
// range. So these ports are below that range. The tests of several packages run at once: a process that has got a port holds a UDP port that
// belongs to it until it ends, so that no other process gets it from here. Its number is another one, since a server may use UDP as well.
// Tests in JavaScript get theirs from freeport.mjs, by the same rules.
package freeport

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

const (
	// Linux chooses ports from 32768 on by itself, and other systems from 49152 on.
	first, end = 10_000, 21_000
	toHold     = end - first // from a port to the UDP port that is held
	attempts   = 1000
)

var (
	mu   sync.Mutex
	held []net.PacketConn // of the ports that this process has got
)

// Ports returns n different ports on which nothing listens, and which no process that lives has got from here before.
func Ports(n int) (ports []int, err error) {
	mu.Lock()
	defer mu.Unlock()
	for range attempts {
		if len(ports) == n {
			return ports, nil
		}
		port := first + rand.IntN(end-first)
		hold, err := net.ListenPacket("udp", address(port+toHold))
		if err != nil {
			continue // another process holds it
		}
		ln, err := net.Listen("tcp", address(port))
		if err != nil { // it is in use
			hold.Close()
			continue
		}
		if err := ln.Close(); err != nil {
			return nil, fmt.Errorf("give port %d back: %w", port, err)
		}
		held = append(held, hold)
		ports = append(ports, port)
	}
	return nil, errors.New("no free port was found")
}

// Addresses is [Ports] with the loopback address before them.
func Addresses(n int) (addresses []string, err error) {
	ports, err := Ports(n)
	for _, port := range ports {
		addresses = append(addresses, address(port))
	}
	return addresses, err
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
