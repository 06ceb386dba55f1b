package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// watcher is many followers in one goroutine: it waits for all their connections at once and reads each once. A goroutine
// for every one would cost the cores that it shares with the server more than the server does. It waits in Go's poller,
// as a blocked thread would keep one of the two processors from the server.
type watcher struct {
	epoll   *os.File
	files   []*os.File
	rest    [][]byte // of each connection: the line that has begun
	took    []time.Duration
	pending int // deliveries that are awaited
}

func newWatcher() (*watcher, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err == nil {
		err = unix.SetNonblock(fd, true) // makes os.NewFile give it to the poller
	}
	if err != nil {
		return nil, err
	}
	return &watcher{epoll: os.NewFile(uintptr(fd), "epoll")}, nil
}

// add takes the connection over, away from Go's own poller, and awaits so many records on it.
func (w *watcher) add(c *net.TCPConn, records int) error {
	f, err := c.File()
	if err = errors.Join(err, c.Close()); err != nil {
		return err
	}
	i := len(w.files)
	w.files, w.rest = append(w.files, f), append(w.rest, nil)
	w.pending += records
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}
	return w.control(func(epoll int) error { return unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, int(f.Fd()), &event) })
}

func (w *watcher) control(f func(epoll int) error) error {
	rc, err := w.epoll.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = rc.Control(func(fd uintptr) { failed = f(int(fd)) })
	return errors.Join(err, failed)
}

// run reads until all records have come to all connections.
func (w *watcher) run(ctx context.Context) error {
	w.took = make([]time.Duration, 0, w.pending)
	rc, err := w.epoll.SyscallConn()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = w.epoll.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	events := make([]unix.EpollEvent, followerCount)
	buf := make([]byte, 64<<10)
	for w.pending > len(w.took) {
		var n int
		var failed error
		err := rc.Read(func(fd uintptr) bool {
			n, failed = unix.EpollWait(int(fd), events, 0)
			return failed != nil || n > 0
		})
		if err = errors.Join(err, failed); err != nil && !errors.Is(err, unix.EINTR) {
			return errors.Join(ctx.Err(), fmt.Errorf("epoll: %w", err))
		}
		for _, event := range events[:max(n, 0)] {
			if err := w.read(int(event.Fd), buf); err != nil {
				return err
			}
		}
	}
	return nil
}

// read reads a connection once and looks for records in the lines that are complete.
func (w *watcher) read(i int, buf []byte) error {
	n := copy(buf, w.rest[i])
	k, err := unix.Read(int(w.files[i].Fd()), buf[n:])
	if err != nil || k == 0 {
		return fmt.Errorf("a follower's connection ended: %d, %w", k, err)
	}
	now := time.Now()
	lines := buf[:n+k]
	end := bytes.LastIndexByte(lines, '\n') + 1
	w.rest[i] = append(w.rest[i][:0], lines[end:]...)
	return eachBody(lines[:end], func(sent int64) { w.took = append(w.took, time.Duration(now.UnixNano()-sent)) })
}

func (w *watcher) close() {
	for _, f := range w.files {
		f.Close()
	}
	w.epoll.Close()
}

// eachBody calls f with the moment that every body in the text is.
func eachBody(text []byte, f func(sent int64)) error {
	mark := []byte(`"body":"`)
	for _, after, ok := bytes.Cut(text, mark); ok; _, after, ok = bytes.Cut(after, mark) {
		digits, _, _ := bytes.Cut(after, []byte(`"`))
		sent, err := strconv.ParseInt(string(digits), 10, 64)
		if err != nil {
			return err
		}
		f(sent)
	}
	return nil
}
