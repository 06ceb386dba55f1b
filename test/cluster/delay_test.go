//go:build linux

package cluster

import (
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// This kernel may have no netem, so packets are delayed by a proxy in the node's namespace, to which new connections for the node's
// cluster port are redirected. Those from before are reset.

const (
	clusterPort = "6222"
	delayPort   = "6999"
)

// inside runs f on a thread in a namespace. The sockets that f makes stay there.
func inside(space string, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		file, err := os.Open("/run/netns/" + space)
		if err == nil {
			defer file.Close()
			err = unix.Setns(int(file.Fd()), unix.CLONE_NEWNET)
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// delayer delays the connections that others make to a node's cluster port.
type delayer struct {
	space, target string
	delay         time.Duration
	listener      net.Listener
	wg            sync.WaitGroup

	mu     sync.Mutex
	conns  []net.Conn
	closed bool
}

// slow makes everything slow that passes between a node and the others, until mend is called.
func (c *cluster) slow(victim int, delay time.Duration) (mend func()) {
	c.t.Helper()
	var delayers []*delayer
	for node := range nodes {
		d := &delayer{space: nodeSpace(c.prefix, node), target: net.JoinHostPort(address(node), clusterPort), delay: delay}
		if err := inside(d.space, func() (err error) {
			d.listener, err = net.Listen("tcp4", ":"+delayPort)
			return err
		}); err != nil {
			c.t.Fatalf("listen at node %d: %v", node+1, err)
		}
		d.wg.Go(d.accept)
		delayers = append(delayers, d)
		from := []string{"-s", address(victim)}
		if node == victim {
			from = nil
		}
		c.iptables(node, append(append([]string{"-t", "nat", "-A", "PREROUTING", "-p", "tcp"}, from...), "--dport", clusterPort, "-j", "REDIRECT", "--to-port", delayPort)...)
		// Redirected connections have the other port here.
		c.iptables(node, append(append([]string{"-A", "INPUT", "-p", "tcp"}, from...), "-i", "eth0", "--dport", clusterPort, "-j", "REJECT", "--reject-with", "tcp-reset")...)
	}
	return func() {
		for node, d := range delayers {
			c.iptables(node, "-t", "nat", "-F", "PREROUTING")
			c.iptables(node, "-F", "INPUT")
			d.close()
		}
	}
}

func (d *delayer) accept() {
	for {
		in, err := d.listener.Accept()
		if err != nil {
			return
		}
		d.wg.Go(func() { d.serve(in) })
	}
}

func (d *delayer) serve(in net.Conn) {
	defer in.Close()
	var out net.Conn
	if err := inside(d.space, func() (err error) {
		out, err = net.DialTimeout("tcp4", d.target, time.Second)
		return err
	}); err != nil {
		return
	}
	defer out.Close()
	d.mu.Lock()
	d.conns = append(d.conns, in, out)
	closed := d.closed
	d.mu.Unlock()
	if closed {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { pump(out, in, d.delay) })
	wg.Go(func() { pump(in, out, d.delay) })
	wg.Wait()
}

// pump copies from src to dst, each piece as long after its arrival as delay says, and closes both at the end.
func pump(dst, src net.Conn, delay time.Duration) {
	type piece struct {
		data []byte
		due  time.Time
	}
	pieces := make(chan piece, 1024)
	go func() {
		defer close(pieces)
		for {
			buf := make([]byte, 16<<10)
			n, err := src.Read(buf)
			if n > 0 {
				pieces <- piece{buf[:n], time.Now().Add(delay)}
			}
			if err != nil {
				return
			}
		}
	}()
	broken := false
	for p := range pieces {
		time.Sleep(time.Until(p.due))
		if _, err := dst.Write(p.data); err != nil && !broken {
			broken = true
			src.Close()
		}
	}
	dst.Close()
	src.Close()
}

func (d *delayer) close() {
	d.listener.Close()
	d.mu.Lock()
	d.closed = true
	for _, conn := range d.conns {
		conn.Close()
	}
	d.mu.Unlock()
	d.wg.Wait()
}
