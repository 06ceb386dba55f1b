package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// The Durable Streams door beside S2's doors: the same work over HTTP/1.1 on one broker, in turn, so that the ratios are of
// one run.

// durable sends requests to the Durable Streams door.
type durable struct{ *web }

// ask sends a request and returns the answer if its status is one of success.
func (d durable) ask(ctx context.Context, method string, stream protocol.StreamName, query string, body []byte, media string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, d.base+"/ds/"+string(basin)+"/"+string(stream)+query, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if media != "" {
		req.Header["Content-Type"] = []string{media}
	}
	resp, err := d.client.Do(req)
	if err != nil || resp.StatusCode < 300 {
		return resp, err
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return nil, fmt.Errorf("%s: %s", resp.Status, text)
}

// whole reads an answer to its end.
func whole(resp *http.Response, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// ways are two ways to do the same work, which take turns.
type ways struct{ durable, s2 func() error }

// race runs both in turn n times, each first every other time, and returns how long each took; the first tenth does not count.
func (w ways) race(n int) (durable, s2 []time.Duration, err error) {
	timed := func(f func() error, into *[]time.Duration, counts bool) {
		began := time.Now()
		if failed := f(); failed != nil && err == nil {
			err = failed
		}
		if counts {
			*into = append(*into, time.Since(began))
		}
	}
	for i := range n {
		counts := i >= n/10
		if i%2 == 0 {
			timed(w.durable, &durable, counts)
			timed(w.s2, &s2, counts)
		} else {
			timed(w.s2, &s2, counts)
			timed(w.durable, &durable, counts)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return durable, s2, nil
}

// perWork is the figure of one race: medians, in microseconds.
func perWork(name string, n int, w ways) (figure, error) {
	d, s, err := w.race(n)
	if err != nil {
		return figure{}, fmt.Errorf("%s: %w", name, err)
	}
	return figure{Name: name, Unit: "us", Weir: quantile(d, 0.5), Baseline: quantile(s, 0.5)}.atMost(1.1), nil
}

func durableStreams(ctx context.Context, e *env) ([]figure, error) {
	b, stop, err := e.httpBroker(ctx, conf.DurabilityInterval)
	if err != nil {
		return nil, err
	}
	defer stop()
	w := newWeb(b, http1)
	defer w.close()
	d := durable{w}
	var all []figure
	for _, part := range []func(context.Context, *env, *broker.Broker, durable) ([]figure, error){durableAppends, durableCatchUp, durableLive} {
		figures, err := part(ctx, e, b, d)
		if err != nil {
			return nil, err
		}
		all = append(all, figures...)
	}
	return all, nil
}

// jsonBatch is an append of n messages of size bytes in both forms: an array of JSON strings, and the records of S2's JSON.
func jsonBatch(n, size int) (array, records []byte) {
	text := strings.Repeat("x", size-2)
	one, _ := json.Marshal(text)
	quoted, _ := json.Marshal(string(one))
	record := append([]byte(`{"body":`), quoted...) // the same bytes are stored
	record = append(record, '}')
	join := func(x []byte) []byte { return bytes.Join(slicesOf(x, n), []byte(",")) }
	array = append(append([]byte("["), join(one)...), ']')
	records = append(append([]byte(`{"records":[`), join(record)...), "]}"...)
	return array, records
}

func slicesOf(x []byte, n int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = x
	}
	return all
}

// durableAppends compares appends of one message, and of many, to appends in S2's JSON of the same bytes.
func durableAppends(ctx context.Context, e *env, _ *broker.Broker, d durable) ([]figure, error) {
	const media = protocol.MediaJSON
	if _, err := whole(d.ask(ctx, http.MethodPut, "ds-append", "", nil, media)); err != nil {
		return nil, err
	}
	var all []figure
	for _, c := range []struct {
		name    string
		n, size int
		times   int
	}{
		{"Durable Streams: append of one 200 B message / S2's JSON, interval, median", 1, 200, e.scaled(5000, 500)},
		{"Durable Streams: append of 100 x 1 KiB messages / S2's JSON, interval, median", 100, 1024, e.scaled(1000, 100)},
	} {
		array, records := jsonBatch(c.n, c.size)
		f, err := perWork(c.name, c.times, ways{
			durable: func() error {
				_, err := whole(d.ask(ctx, http.MethodPost, "ds-append", "", array, media))
				return err
			},
			s2: func() error {
				_, err := whole(d.open(ctx, http.MethodPost, "s2-append", "", bytes.NewReader(records), "Content-Type", media))
				return err
			},
		})
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

// durableCatchUp compares reads of a whole stream, page after page, to S2's unary reads in JSON and to an s2s session.
func durableCatchUp(ctx context.Context, e *env, b *broker.Broker, d durable) ([]figure, error) {
	const size = 1024
	batches := e.scaled(256, 16)
	recs := batch(900, size)
	for i := range recs {
		recs[i].Body = []byte(strconv.Quote(strings.Repeat("x", size-2)))
	}
	ref := protocol.StreamRef{Basin: basin, Stream: "one"}
	media := protocol.MediaJSON
	if _, _, err := b.Service().EnsureStream(ctx, ref, protocol.StreamConfig{ContentType: &media}); err != nil {
		return nil, err
	}
	total := batches * len(recs) * size
	if _, err := sessionRate(ctx, b.Service(), recs, batches, total/batches); err != nil {
		return nil, err
	}
	pages := func() error {
		got := 0
		for offset := "-1"; ; {
			resp, err := d.ask(ctx, http.MethodGet, ref.Stream, "?offset="+offset, nil, "")
			body, err := whole(resp, err)
			if err != nil {
				return err
			}
			got += max(0, len(body)-2)
			if offset = resp.Header.Get("Stream-Next-Offset"); resp.Header.Get("Stream-Up-To-Date") != "" {
				break
			}
		}
		return enough(got, total)
	}
	unary := func() error {
		got := 0
		for seq := 0; seq < batches*len(recs); {
			body, err := whole(d.open(ctx, http.MethodGet, ref.Stream, "?seq_num="+strconv.Itoa(seq), nil))
			if err != nil {
				return err
			}
			n := bytes.Count(body, []byte(`"seq_num":`))
			seq += n
			got += len(body)
		}
		return enough(got, total)
	}
	frames := func() error { return readFrames(ctx, b, http1, batches*len(recs)) }
	events := func() error {
		resp, err := d.ask(ctx, http.MethodGet, ref.Stream, "?offset=-1&live=sse", nil, "")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		got := 0
		for in := bufio.NewReaderSize(resp.Body, 2<<20); ; {
			line, err := in.ReadSlice('\n')
			if err != nil {
				return err
			}
			if bytes.HasPrefix(line, []byte("data:[")) {
				got += len(line)
			} else if bytes.Contains(line, []byte(`"upToDate":true`)) {
				return enough(got, total)
			}
		}
	}
	var all []figure
	for _, c := range []struct {
		name     string
		weir, s2 func() error
	}{
		{"Durable Streams: catch-up by pages / S2's unary reads in JSON", pages, unary},
		{"Durable Streams: catch-up by server-sent events / an s2s session", events, frames},
	} {
		w, s, err := ways{c.weir, c.s2}.race(e.rounds + 1)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		rate := func(took []time.Duration) float64 { return float64(total) / (1 << 20) / (quantile(took, 0.5) / 1e6) }
		all = append(all, figure{Name: c.name, Unit: "MiB/s", Weir: rate(w), Baseline: rate(s)}.atLeast(0.9))
	}
	return all, nil
}

func enough(got, want int) error {
	if got < want {
		return fmt.Errorf("%d bytes of %d", got, want)
	}
	return nil
}

// durableLive compares the time from an append to its arrival, by events and by long-polls, to that of S2's events and waiting
// reads.
func durableLive(ctx context.Context, e *env, b *broker.Broker, d durable) ([]figure, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ref := protocol.StreamRef{Basin: basin, Stream: "live"}
	media := protocol.MediaJSON
	if _, _, err := b.Service().EnsureStream(ctx, ref, protocol.StreamConfig{ContentType: &media}); err != nil {
		return nil, err
	}
	body := []byte(`"` + strings.Repeat("x", 198) + `"`)
	put := func() (protocol.AppendAck, error) {
		return b.Service().Append(ctx, ref, protocol.AppendInput{Records: []protocol.Record{{Body: body}}})
	}
	// follow opens events, and returns a function that appends and waits for the line of the record.
	follow := func(resp *http.Response, err error) (func() error, error) {
		if err != nil {
			return nil, err
		}
		lines := bufio.NewReaderSize(resp.Body, 64<<10)
		return func() error {
			if _, err := put(); err != nil {
				return err
			}
			for {
				line, err := lines.ReadSlice('\n')
				if err != nil || bytes.Contains(line, body[1:100]) {
					return err
				}
			}
		}, nil
	}
	var all []figure
	sse, err := follow(d.ask(ctx, http.MethodGet, ref.Stream, "?offset=now&live=sse", nil, ""))
	if err != nil {
		return nil, err
	}
	// The two followers see each other's records as well: each has a stream of its own, so that neither waits for the other.
	other := ref
	other.Stream = "live-s2"
	if _, _, err := b.Service().EnsureStream(ctx, other, protocol.StreamConfig{}); err != nil {
		return nil, err
	}
	ours := ref
	ref = other
	s2, err := follow(d.open(ctx, http.MethodGet, other.Stream, "?tail_offset=0", nil, "Accept", protocol.MediaEventStream))
	if err != nil {
		return nil, err
	}
	f, err := perWork("Durable Streams: append to receipt by server-sent events / S2's, interval, median", e.scaled(5000, 500),
		ways{func() error { ref = ours; return sse() }, func() error { ref = other; return s2() }})
	if err != nil {
		return nil, err
	}
	all = append(all, f)

	ref = ours
	// poll waits for the next record and appends it meanwhile.
	poll := func(ask func(seq uint64) (*http.Response, error)) error {
		tail, err := b.Service().CheckTail(ctx, ref)
		if err != nil {
			return err
		}
		done := make(chan error, 1)
		go func() {
			_, err := whole(ask(tail.SeqNum))
			done <- err
		}()
		if _, err := put(); err != nil {
			return err
		}
		return <-done
	}
	f, err = perWork("Durable Streams: append to receipt by long-poll / S2's waiting read in JSON, interval, median", e.scaled(3000, 300), ways{
		func() error {
			return poll(func(seq uint64) (*http.Response, error) {
				return d.ask(ctx, http.MethodGet, ref.Stream, fmt.Sprintf("?offset=%020d&live=long-poll", seq), nil, "")
			})
		},
		func() error {
			return poll(func(seq uint64) (*http.Response, error) {
				return d.open(ctx, http.MethodGet, ref.Stream, fmt.Sprintf("?seq_num=%d&wait=20", seq), nil)
			})
		},
	})
	return append(all, f), err
}
