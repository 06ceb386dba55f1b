package main

import (
	"bytes"
	"context"
	"net"
	"strconv"
	"time"
)

// plainMessageBytes is about the size of an event on the wire.
const plainMessageBytes = 160

// plainFanOut measures the machine's time for the same work without HTTP and without a broker: as many connections, with a
// goroutine that writes to each, the same followers, and one message for all of them at the same pace.
func plainFanOut(ctx context.Context, records int) ([]time.Duration, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer ln.Close()
	w, err := newWatcher()
	if err != nil {
		return nil, err
	}
	defer w.close()
	var queues []chan []byte
	defer func() {
		for _, q := range queues {
			close(q)
		}
	}()
	for range followerCount {
		near, err := dialTCP(ctx, ln.Addr().String())
		if err != nil {
			return nil, err
		}
		if err := w.add(near, records); err != nil {
			return nil, err
		}
		far, err := ln.Accept()
		if err != nil {
			return nil, err
		}
		q := make(chan []byte, records)
		queues = append(queues, q)
		go func() {
			defer far.Close()
			for m := range q {
				far.Write(m) // a failure shows at the other end
			}
		}()
	}
	done := make(chan error, 1)
	go func() { done <- w.run(ctx) }()
	tick := time.NewTicker(time.Second / 50)
	defer tick.Stop()
	for range records {
		<-tick.C
		m := append([]byte(`"body":"`), strconv.FormatInt(time.Now().UnixNano(), 10)...)
		m = append(append(m, '"'), bytes.Repeat([]byte(" "), plainMessageBytes-len(m)-2)...)
		m = append(m, '\n')
		for _, q := range queues {
			q <- m
		}
	}
	err = <-done
	return w.took, err
}

func dialTCP(ctx context.Context, address string) (*net.TCPConn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}
