package conformance

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/internal/httpclient"
	"github.com/weirstream/weir/protocol"
)

// wireAppendCases: data plane A.6, append sessions over s2s.
var wireAppendCases = []WebCase{
	{Row: "A.6/108", Name: "two good inputs, then an undecodable frame", Run: func(t *testing.T, e *WebEnv) {
		e.spoiled(httpclient.EncodeFrame(0, []byte("\xff\xff\xff")), protocol.CodeBadFrame)
	}},
	{Row: "A.6/109", Name: "two good inputs, then an empty batch", Run: func(t *testing.T, e *WebEnv) {
		e.spoiled(inputFrame(nil), protocol.CodeInvalid)
		e.spoiled(inputFrame(text("x"), holding(strings.Repeat("t", 37))), protocol.CodeInvalid)
	}},
	{Row: "A.6/110", Name: "input cut inside a frame", Run: func(t *testing.T, e *WebEnv) {
		frame := inputFrame(text("cut"))
		for _, n := range []int{1, 3, 4, len(frame) - 1} {
			s := e.Stream()
			w := e.writing(s).in(text("a")).in(text("b")).raw(frame[:n]).finish()
			w.acked(0, 1)
			w.acked(1, 2)
			w.breaks(protocol.CodeBadFrame)
			s.At(2)
		}
	}},
	{Row: "A.6/111", Name: "a terminal frame from the client", Run: func(t *testing.T, e *WebEnv) {
		e.spoiled(httpclient.EncodeFrame(0x80, []byte("\x01\xf4{}")), protocol.CodeBadFrame)
	}},
	{Row: "A.6/112", Name: "a session on a missing stream is an HTTP error", Run: func(t *testing.T, e *WebEnv) {
		s := e.Basin().Missing("stream")
		e.post(s.records(""), string(inputFrame(text("a"))), s.in(), s2sBody).fails(protocol.CodeStreamNotFound)
		n := e.NoBasin().Missing("stream")
		e.post(n.records(""), "", n.in(), s2sBody).fails(protocol.CodeBasinNotFound)
		s.basin().Holds()
	}},
	{Row: "A.6/117", Name: "the head comes before anything is sent", Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream()
		w := e.writing(s) // returns with the head
		w.in(text("a")).acked(0, 1)
		w.in(text("b")).acked(1, 2)
		w.finish().ends()
		e.writing(s).finish().ends()
		s.At(2)
	}},
	{Row: "3.8", Name: "an hour between two inputs", Timed: true, Run: func(t *testing.T, e *WebEnv) {
		w := e.writing(e.Stream())
		for i := range uint64(3) {
			time.Sleep(time.Hour)
			w.in(text("a")).acked(i, i+1)
		}
		time.Sleep(time.Hour)
		w.finish().ends()
	}},
	{Row: "3.8", Name: "failed conditions end a session with their bodies", Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream()
		w := e.writing(s).in(text("a")).in(text("b"), at(7)).in(text("never"))
		w.acked(0, 1)
		f := w.frame()
		equal(t, "terminal frame", string(httpclient.EncodeFrame(f.Flag, f.Payload)), "\x00\x00\x19\x80\x01\x9c"+`{"seq_num_mismatch":1}`)
		w.ends()
		w = e.writing(s).in(text("b"), holding("t"))
		e.mismatchedToken(w.breaks(protocol.CodeConditionFailed), "")
		s.At(1)
	}},
	{Row: "3.8", Name: "a client that leaves in the middle of an input", Run: func(t *testing.T, e *WebEnv) {
		s := e.Stream()
		for i := range uint64(5) {
			w := e.writing(s).in(text("a")).raw(inputFrame(text("cut"))[:5])
			w.acked(i, i+1)
			w.resp.Body.Close()
		}
		s.At(5)
	}},
}

// spoiled sends two good inputs and then a bad frame, and checks that the acks come before the failure.
func (e *WebEnv) spoiled(bad []byte, codes ...protocol.Code) {
	e.t.Helper()
	s := e.Stream()
	w := e.writing(s).in(text("a")).in(text("b")).raw(bad)
	w.acked(0, 1)
	w.acked(1, 2)
	w.breaks(codes...)
	s.At(2)
	// And all at once, with a good one behind it.
	w = e.writing(s).raw(join(inputFrame(text("c")), bad, inputFrame(text("never"))))
	w.acked(2, 3)
	w.breaks(codes...)
	s.At(3)
}

// wireReadCases: data plane A.18, read sessions over s2s.
var wireReadCases = []WebCase{
	{Row: "A.18/361", Name: "the end of a read", Run: func(t *testing.T, e *WebEnv) {
		s := e.full()
		w := e.reading(s, "?seq_num=0&count=18446744073709551615")
		w.batch().Seqs(0, 5).HasTail(s.Tail())
		w.ends()
		e.reading(s, "?seq_num=0&count=0").ends()
		e.reading(s, "?seq_num=5&wait=0").ends()
	}},
	{Row: "A.18/356", Name: "a failure in the middle of a read", Run: func(t *testing.T, e *WebEnv) {
		s := e.full()
		w := e.reading(s, "?seq_num=0")
		w.batch().Seqs(0, 5)
		w.batch().HasTail(s.Tail())
		s.Delete()
		f := w.frame()
		if !f.Terminal() { // the terminal trim may come before
			f = w.frame()
		}
		e.fails(f.Failure(), protocol.CodeUnavailable, protocol.CodeStreamDeletionPending)
		w.ends()
	}},
	{Row: "8.9", Name: "a heartbeat, byte for byte", Run: func(t *testing.T, e *WebEnv) {
		s := e.timed(1, 2, 3, 4, 1000)
		w := e.reading(s, "?tail_offset=0")
		f := w.frame()
		equal(t, "heartbeat", string(httpclient.EncodeFrame(f.Flag, f.Payload)), "\x00\x00\x08\x00\x12\x05\x08\x05\x10\xe8\x07")
	}},
	{Row: "8.9", Name: "frames come when there is something to say", Timed: true, Run: func(t *testing.T, e *WebEnv) {
		s := e.full()
		start := time.Now()
		w := e.reading(s, "?seq_num=0&wait=4")
		w.batch().Seqs(0, 5)
		w.batch().HasTail(s.Tail())
		e.took(start, 0)
		done := s.AppendIn(3*time.Second, text("live"))
		w.batch().Seqs(5, 6).HasTail(done().Tail)
		e.took(start, 3*time.Second)
		w.ends()
		e.took(start, 7*time.Second)
	}},
	{Row: "A.18/355", Name: "a batch that is larger than a frame in protobuf", Run: func(t *testing.T, e *WebEnv) {
		// One-byte header names and values double in protobuf, and an empty record with the largest timestamp takes 17
		// bytes for its 8: together a batch of 1000 records and 1 MiB metered has more than 2 MiB.
		s := e.Stream(uncapped(true))
		const first = 16_500
		s.Fill(first)
		end := ^uint64(0)
		small := make([]protocol.Record, protocol.MaxBatchRecords-1)
		large := protocol.Record{Timestamp: &end}
		for i := range small {
			small[i].Timestamp = &end
		}
		for n := (protocol.MaxBatchBytes - 8*protocol.MaxBatchRecords) / 4; n > 0; n-- {
			large.Headers = append(large.Headers, protocol.Header{Name: []byte("n"), Value: []byte("v")})
		}
		s.Append(these(large))
		s.Append(small)
		w := e.reading(s, "?seq_num=16500&count=1000")
		all := Got{e: e.Env}
		for len(all.Records) < 1000 {
			all.add(w.batch())
		}
		all.Seqs(first, first+1000)
		w.ends()
		e.get(s.records("?seq_num=16500&count=1000"), s.in(), wantProto).batch().Seqs(first, first+1000)
	}},
	{Row: "3.11", Name: "a reader that leaves", Timed: true, Run: func(t *testing.T, e *WebEnv) {
		s := e.full()
		for range 10 {
			w := e.reading(s, "?seq_num=0")
			w.batch().Seqs(0, 5)
			w.resp.Body.Close()
			synctest.Wait()
		}
		s.AppendRange(5, 6, text("x"))
	}},
}
