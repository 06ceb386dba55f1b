package memnet_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/test/memnet"
)

func TestReadDeadlineInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memnet.Pipe()
		start := time.Now()
		_ = a.SetReadDeadline(start.Add(time.Hour))
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Hour {
			t.Fatalf("got %v after %v, want the deadline after 1h", err, time.Since(start))
		}
		_ = a.SetReadDeadline(time.Time{})
		go func() {
			time.Sleep(time.Minute)
			_, _ = b.Write([]byte("x"))
		}()
		if n, err := a.Read(make([]byte, 2)); n != 1 || err != nil {
			t.Fatalf("got %d bytes and %v after the deadline was lifted, want 1", n, err)
		}
	})
}

func TestWriterWaitsForReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memnet.Pipe()
		sent := bytes.Repeat([]byte("0123456789"), 100_000)
		wrote := false
		go func() {
			_, _ = a.Write(sent)
			wrote = true
			_ = a.Close()
		}()
		synctest.Wait()
		if wrote {
			t.Fatal("a writer did not wait although nobody read 1 MB")
		}
		got, err := io.ReadAll(b)
		if err != nil || !bytes.Equal(got, sent) {
			t.Fatalf("got %d bytes and %v, want %d", len(got), err, len(sent))
		}
	})
}
