package client_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/protocol"
)

// read reads a session to its end and reports what it saw, batch by batch: "3-5" for records, "t7" for a tail.
func (s *script) read(req protocol.ReadRequest) (<-chan string, <-chan error) {
	seen, end := make(chan string, 100), make(chan error, 1)
	go func() {
		session, err := s.OpenReadSession(s.t.Context(), ref, req)
		if err != nil {
			end <- err
			return
		}
		defer session.Close()
		for {
			batch, err := session.Next(s.t.Context())
			if err != nil {
				end <- err
				return
			}
			what := ""
			if batch.Records.Len() > 0 {
				what = fmt.Sprintf("%d-%d", batch.Records.First().SeqNum, batch.Records.Last().SeqNum)
			}
			if batch.Tail != nil {
				what += fmt.Sprintf("t%d", batch.Tail.SeqNum)
			}
			seen <- what
		}
	}()
	return seen, end
}

func tail(n uint64) *protocol.Position { return &protocol.Position{SeqNum: n} }

// open takes a request for a session, checks its options and opens it.
func (s *script) open(options string) (inbox string) {
	s.t.Helper()
	m, got := s.request()
	equal(s.t, "request", got, options)
	equal(s.t, "session", m.Header.Get("S2-Session"), "read")
	s.frame(m.Reply, "open", 0, 0, 0, nil)
	return m.Reply
}

// The rules of data plane section 10 and A.19.
func TestResume(t *testing.T) {
	seqNum := protocol.ReadRequest{Start: protocol.FromSeqNum(5), Count: ptr(uint64(100)), Bytes: ptr(uint64(10000)), Wait: ptr(30 * time.Second), Clamp: true}
	for _, c := range []struct {
		name string
		req  protocol.ReadRequest
		play func(s *script, seen <-chan string)
		want error // compared by code, or io.EOF
	}{
		{"A.19/366 a lost frame", protocol.ReadRequest{Start: protocol.FromSeqNum(5), Count: ptr(uint64(100)), Bytes: ptr(uint64(10000)), Clamp: true}, func(s *script, seen <-chan string) {
			inbox := s.open(`{"seq_num":5,"clamp":true,"count":100,"bytes":10000}`)
			s.frame(inbox, "batch", 1, 3, 5, nil)
			equal(s.t, "first", <-seen, "5-7")
			s.frame(inbox, "batch", 3, 3, 11, nil)
			inbox = s.open(`{"seq_num":8,"clamp":true,"count":97,"bytes":9970}`)
			s.frame(inbox, "batch", 1, 3, 8, tail(11))
			equal(s.t, "second", <-seen, "8-10t11")
			s.frame(inbox, "end", 2, 0, 0, nil)
		}, io.EOF},
		{"A.19/369 no frame for 20 s, wait is reduced", seqNum, func(s *script, seen <-chan string) {
			inbox := s.open(`{"seq_num":5,"clamp":true,"count":100,"bytes":10000,"wait":30}`)
			s.frame(inbox, "batch", 1, 1, 5, nil)
			equal(s.t, "first", <-seen, "5-5")
			began := time.Now()
			m, options := s.request()
			silent := time.Since(began)
			if silent < 20*time.Second || silent > 20*time.Second+100*time.Millisecond {
				s.t.Errorf("waited %v", silent)
			}
			equal(s.t, "options", options, fmt.Sprintf(`{"seq_num":6,"clamp":true,"count":99,"bytes":9990,"wait_ms":%d}`, (30*time.Second-silent+time.Millisecond-1)/time.Millisecond))
			s.frame(m.Reply, "open", 0, 0, 0, nil)
			s.frame(m.Reply, "end", 1, 0, 0, nil)
		}, io.EOF},
		{"A.19/363 a heartbeat pins a relative start", protocol.ReadRequest{Start: protocol.FromTail(0)}, func(s *script, seen <-chan string) {
			inbox := s.open(`{}`)
			s.frame(inbox, "heartbeat", 1, 0, 0, tail(7))
			equal(s.t, "heartbeat", <-seen, "t7")
			s.fail(inbox, "end", 2, protocol.Errorf(protocol.CodeServerDraining, "x"))
			inbox = s.open(`{"seq_num":7}`)
			s.fail(inbox, "end", 1, protocol.Errorf(protocol.CodeStreamNotFound, "x"))
		}, &protocol.Error{Code: protocol.CodeStreamNotFound}},
		{"the wait window is not extended by heartbeats", protocol.ReadRequest{Start: protocol.FromSeqNum(0), Wait: ptr(25 * time.Second)}, func(s *script, seen <-chan string) {
			inbox := s.open(`{"seq_num":0,"wait":25}`)
			s.frame(inbox, "heartbeat", 1, 0, 0, tail(0))
			equal(s.t, "heartbeat", <-seen, "t0")
			time.Sleep(15 * time.Second)
			s.frame(inbox, "heartbeat", 2, 0, 0, tail(0))
			equal(s.t, "heartbeat", <-seen, "t0")
			m, options := s.request() // after 20 s of silence the window has closed
			equal(s.t, "options", options, `{"seq_num":0,"wait":0}`)
			s.frame(m.Reply, "open", 0, 0, 0, nil)
			s.frame(m.Reply, "end", 1, 0, 0, nil)
		}, io.EOF},
		{"the end of a finished session was lost", protocol.ReadRequest{Start: protocol.FromSeqNum(0), Count: ptr(uint64(2))}, func(s *script, seen <-chan string) {
			inbox := s.open(`{"seq_num":0,"count":2}`)
			s.frame(inbox, "batch", 1, 2, 0, nil)
			equal(s.t, "batch", <-seen, "0-1")
			time.Sleep(time.Minute)
			s.nothing()
		}, io.EOF},
		{"a resumption that stands at the tail is the end", protocol.ReadRequest{Start: protocol.FromSeqNum(0), Count: ptr(uint64(9))}, func(s *script, seen <-chan string) {
			inbox := s.open(`{"seq_num":0,"count":9}`)
			s.frame(inbox, "batch", 1, 2, 0, nil)
			equal(s.t, "batch", <-seen, "0-1")
			m, options := s.request()
			equal(s.t, "options", options, `{"seq_num":2,"count":7}`)
			s.fail(m.Reply, "", 0, protocol.Unwritten(*tail(2)))
		}, io.EOF},
		{"a resumption of a timestamp start that stands at the tail is the end", protocol.ReadRequest{Start: protocol.FromTimestamp(500), Count: ptr(uint64(9))}, func(s *script, seen <-chan string) {
			inbox := s.open(`{"timestamp":500,"count":9}`)
			s.frame(inbox, "batch", 1, 2, 0, nil)
			equal(s.t, "batch", <-seen, "0-1")
			m, options := s.request() // never by the timestamp again, which would be 416 although records were delivered
			equal(s.t, "options", options, `{"seq_num":2,"count":7}`)
			s.fail(m.Reply, "", 0, protocol.Unwritten(*tail(2)))
		}, io.EOF},
		{"a timestamp start of which nothing came is asked for again", protocol.ReadRequest{Start: protocol.FromTimestamp(500), Count: ptr(uint64(9))}, func(s *script, _ <-chan string) {
			s.open(`{"timestamp":500,"count":9}`)
			m, options := s.request()
			equal(s.t, "options", options, `{"timestamp":500,"count":9}`)
			s.fail(m.Reply, "", 0, protocol.Unwritten(*tail(2))) // all of it was trimmed meanwhile
		}, &protocol.Error{Code: protocol.CodeUnwritten}},
		{"a stream that was made anew is not mistaken for the old one", protocol.ReadRequest{Start: protocol.FromSeqNum(0)}, func(s *script, seen <-chan string) {
			inbox := s.open(`{"seq_num":0}`)
			s.frame(inbox, "batch", 1, 2, 0, nil)
			equal(s.t, "batch", <-seen, "0-1")
			m, _ := s.request()
			s.fail(m.Reply, "", 0, protocol.Unwritten(*tail(0)))
		}, &protocol.Error{Code: protocol.CodeUnwritten}},
		{"A.19/368 a clean end is final", seqNum, func(s *script, seen <-chan string) {
			inbox := s.open(`{"seq_num":5,"clamp":true,"count":100,"bytes":10000,"wait":30}`)
			s.frame(inbox, "end", 1, 0, 0, nil)
			time.Sleep(time.Minute)
			s.nothing()
		}, io.EOF},
		{"a failure that no retry helps is final", protocol.ReadRequest{}, func(s *script, seen <-chan string) {
			inbox := s.open(`{}`)
			s.fail(inbox, "end", 1, protocol.Errorf(protocol.CodeDecryptionFailed, "x"))
		}, &protocol.Error{Code: protocol.CodeDecryptionFailed}},
		{"A.19/371 an unknown code with 503 is tried again, and given up", protocol.ReadRequest{Start: protocol.FromSeqNum(0)}, func(s *script, seen <-chan string) {
			for range 4 {
				inbox := s.open(`{"seq_num":0}`)
				s.fail(inbox, "end", 1, &protocol.Error{Code: "solar_flare", RemoteStatus: 503})
			}
			time.Sleep(time.Minute)
			s.nothing()
		}, &protocol.Error{Code: "solar_flare"}},
		{"A.19/370 a known code with the wrong status is not tried again", protocol.ReadRequest{Start: protocol.FromSeqNum(0)}, func(s *script, seen <-chan string) {
			inbox := s.open(`{"seq_num":0}`)
			s.fail(inbox, "end", 1, &protocol.Error{Code: protocol.CodeRateLimited, RemoteStatus: 503})
		}, &protocol.Error{Code: protocol.CodeRateLimited}},
		{"opening is not tried again", protocol.ReadRequest{Start: protocol.FromSeqNum(0)}, func(s *script, seen <-chan string) {
			m, _ := s.request()
			s.fail(m.Reply, "", 0, protocol.Errorf(protocol.CodeUnavailable, "x"))
		}, &protocol.Error{Code: protocol.CodeUnavailable}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScript(t, client.Options{})
				seen, end := s.read(c.req)
				c.play(s, seen)
				err := <-end
				if !errors.Is(err, c.want) && err != c.want {
					t.Errorf("ended with %v, want %v", err, c.want)
				}
				select {
				case what := <-seen:
					t.Errorf("also saw %s", what)
				default:
				}
			})
		})
	}
}

func TestNobodyIsThereAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, client.Options{ResumeFor: time.Minute})
		seen, end := s.read(protocol.ReadRequest{Start: protocol.FromSeqNum(0)})
		inbox := s.open(`{"seq_num":0}`)
		s.frame(inbox, "batch", 1, 1, 0, nil)
		equal(t, "batch", <-seen, "0-0")
		began := time.Now()
		s.nc.Close()
		err := <-end
		equal(t, "code", codeOf(err), protocol.CodeUnavailable)
		if took := time.Since(began); took < time.Minute || took > 2*time.Minute {
			t.Errorf("gave up after %v", took)
		}
	})
}

func TestClosedConnectionEndsSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, client.Options{})
		_, end := s.read(protocol.ReadRequest{Start: protocol.FromSeqNum(0)})
		s.open(`{"seq_num":0}`)
		synctest.Wait()
		began := time.Now()
		s.cnc.Close()
		equal(t, "code", codeOf(<-end), protocol.CodeUnavailable)
		equal(t, "took", time.Since(began), 0)
	})
}

// The frame that was returned is acknowledged when the next is asked for.
func TestAcknowledgesAfterConsuming(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, client.Options{})
		go func() {
			inbox := (<-s.reqs).Reply
			s.frame(inbox, "open", 0, 0, 0, nil)
			s.frame(inbox, "batch", 1, 1, 0, nil)
			s.frame(inbox, "batch", 2, 1, 1, nil)
		}()
		for rec, err := range s.Records(t.Context(), ref, protocol.ReadRequest{Start: protocol.FromSeqNum(0)}) {
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			equal(t, "acks", len(s.acks), int(rec.SeqNum))
			if rec.SeqNum == 1 {
				break
			}
		}
		equal(t, "first ack", (<-s.acks).Subject, "session.x.1")
		equal(t, "leaving the loop cancels", (<-s.acks).Header.Get("S2-Frame"), "cancel")
	})
}
