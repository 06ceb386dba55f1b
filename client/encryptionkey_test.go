package client_test

import (
	"bytes"
	"io"
	"testing"
	"testing/synctest"

	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/protocol"
)

// TestResumedSessionsSendTheKeyAgain with every request.
func TestResumedSessionsSendTheKeyAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, client.Options{})
		key := protocol.NewEncryptionKey([32]byte(bytes.Repeat([]byte{7}, 32)))
		go func() {
			session, err := s.OpenReadSession(t.Context(), ref, protocol.ReadRequest{Start: protocol.FromSeqNum(0), Count: ptr(uint64(2))},
				protocol.WithEncryptionKey(key))
			if err != nil {
				t.Error(err)
				return
			}
			defer session.Close()
			for err == nil {
				_, err = session.Next(t.Context())
			}
			if err != io.EOF {
				t.Error(err)
			}
		}()
		for n := range 2 {
			m, _ := s.request()
			equal(t, "key", m.Header.Get("S2-Encryption-Key"), key.Reveal())
			s.frame(m.Reply, "open", 0, 0, 0, nil)
			s.frame(m.Reply, "batch", 1, 1, n, nil)
			s.fail(m.Reply, "end", 2, protocol.Errorf(protocol.CodeUnavailable, "gone"))
		}
		synctest.Wait()
	})
}
