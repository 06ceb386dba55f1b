package cli

import (
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
)

// System is the world of the operating system, without the two functions that need a broker.
func System() Env {
	return Env{
		Name:     calledAs(os.Args[0]),
		Version:  buildVersion(),
		Build:    buildFacts(),
		Stdin:    os.Stdin,
		Stdout:   os.Stdout,
		Stderr:   os.Stderr,
		Environ:  os.Environ(),
		Terminal: isTerminal,
		Signals: func(which ...os.Signal) (<-chan os.Signal, func()) {
			c := make(chan os.Signal, 8)
			signal.Notify(c, which...)
			return c, func() { signal.Stop(c) }
		},
	}
}

// calledAs is how a reader can call this program too: by its bare name if that finds it, else as it was called.
func calledAs(arg0 string) string {
	name := filepath.Base(arg0)
	if _, err := exec.LookPath(name); err == nil {
		return name
	}
	return arg0
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	// The null device is a character device too.
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}
