//go:build linux

package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

const (
	nodes         = 3
	spare         = nodes // number of the node that is there for a while in some rows
	machines      = nodes + 1
	networkPrefix = "weir-"
	clientAddr    = "10.77.0.254"
)

// address is the IP address of a node, from 0 on.
func address(node int) string { return fmt.Sprintf("10.77.0.%d", node+1) }

// nodeSpace is the name of a node's namespace.
func nodeSpace(prefix string, node int) string { return fmt.Sprintf("%s-%d", prefix, node+1) }

// clientSpace is the name of the namespace of the bridge and the clients.
func clientSpace(prefix string) string { return prefix + "-c" }

// unableError says why this machine cannot have namespaces.
type unableError struct{ why string }

func (e *unableError) Error() string { return "the suite cannot run here: " + e.why }

// able returns an [*unableError] where something is missing.
func able() error {
	if os.Geteuid() != 0 {
		return &unableError{"network namespaces need root"}
	}
	for _, tool := range []string{"ip", "iptables"} {
		if _, err := exec.LookPath(tool); err != nil {
			return &unableError{err.Error()}
		}
	}
	probe := networkPrefix + strconv.Itoa(os.Getpid()) + "-probe"
	if err := ip("netns", "add", probe); err != nil {
		return &unableError{err.Error()}
	}
	defer func() { _ = ip("netns", "del", probe) }()
	for _, args := range [][]string{
		{"-n", probe, "link", "add", "br0", "type", "bridge"},
		{"-n", probe, "link", "add", "v1", "type", "veth", "peer", "name", "v2"},
		{"netns", "exec", probe, "iptables", "-w", "-A", "INPUT", "-m", "statistic", "--mode", "random", "--probability", "0.05", "-j", "DROP"},
		{"netns", "exec", probe, "iptables", "-w", "-t", "nat", "-A", "PREROUTING", "-p", "tcp", "--dport", "1", "-j", "REDIRECT", "--to-port", "2"},
	} {
		if err := ip(args...); err != nil {
			return &unableError{err.Error()}
		}
	}
	return nil
}

// makeNetwork makes the namespaces: a bridge in that of the clients, and a pair of interfaces from it to each node. Nothing of it
// is visible outside.
func makeNetwork(prefix string) error {
	c := clientSpace(prefix)
	steps := [][]string{
		{"netns", "add", c},
		{"-n", c, "link", "set", "lo", "up"},
		{"-n", c, "link", "add", "br0", "type", "bridge"},
		{"-n", c, "addr", "add", clientAddr + "/24", "dev", "br0"},
		{"-n", c, "link", "set", "br0", "up"},
	}
	for i := range machines {
		n, port := nodeSpace(prefix, i), fmt.Sprintf("node%d", i+1)
		steps = append(steps, [][]string{
			{"netns", "add", n},
			{"-n", n, "link", "set", "lo", "up"},
			{"-n", c, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", n},
			{"-n", c, "link", "set", port, "master", "br0", "up"},
			{"-n", n, "addr", "add", address(i) + "/24", "dev", "eth0"},
			{"-n", n, "link", "set", "eth0", "up"},
		}...)
	}
	for _, args := range steps {
		if err := ip(args...); err != nil {
			return err
		}
	}
	return nil
}

// removeNetwork ends the processes in the namespaces of a run, and removes them.
func removeNetwork(prefix string) {
	for i := range machines {
		removeSpace(nodeSpace(prefix, i))
	}
	removeSpace(clientSpace(prefix))
}

func removeSpace(name string) {
	pids, err := exec.Command("ip", "netns", "pids", name).Output()
	if err != nil {
		return // there is no such namespace
	}
	for field := range strings.FieldsSeq(string(pids)) {
		if pid, err := strconv.Atoi(field); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	_ = ip("netns", "del", name)
}

// removeStale removes the namespaces of runs that were killed.
func removeStale() {
	out, err := exec.Command("ip", "netns", "list").Output()
	if err != nil {
		return
	}
	for line := range strings.Lines(string(out)) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		rest, ours := strings.CutPrefix(name, networkPrefix)
		owner, _, _ := strings.Cut(rest, "-")
		if pid, err := strconv.Atoi(owner); ours && err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
			removeSpace(name)
		}
	}
}

// inNamespace is a command that runs in a namespace, in the process that it starts.
func inNamespace(name, command string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", name, command}, args...)...)
}

// ip runs the command ip.
func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
