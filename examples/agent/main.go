// Command agent keeps the session of an AI agent in a stream: the agent appends tokens as it makes them, and a viewer follows
// them as server-sent events. The viewer's connection breaks in the middle. It comes back with the id of the last event that
// it saw, as a browser's EventSource does, and misses nothing.
//
// It prints:
//
//	Once upon a
//	-- the connection broke; going on after record 2
//	time there was a stream.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

var session = protocol.StreamRef{Basin: "agent-basin", Stream: "session-1"}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer) (err error) {
	cfg := conf.Default().WithMemory()
	cfg.NATS.Listen, cfg.HTTP.Listen = conf.ListenNone, "127.0.0.1:0"
	b, err := broker.Start(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() {
		if closing := b.Close(ctx); err == nil {
			err = closing
		}
	}()
	svc := b.Service()
	if _, _, err := svc.CreateBasin(ctx, protocol.CreateBasinRequest{
		Basin: session.Basin, Config: protocol.BasinConfig{CreateStreamOnAppend: true, CreateStreamOnRead: true},
	}); err != nil {
		return err
	}

	// The agent goes on while the viewer is away.
	if err := think(ctx, svc, "Once", "upon", "a"); err != nil {
		return err
	}
	last, err := view(ctx, b.HTTPURL(), "", 3, out)
	if err != nil {
		return err
	}
	agent := make(chan error, 1)
	go func() { agent <- think(ctx, svc, "time", "there", "was", "a", "stream.") }()
	seen, _, _ := strings.Cut(last, ",")
	fmt.Fprintf(out, "-- the connection broke; going on after record %s\n", seen)
	if _, err := view(ctx, b.HTTPURL(), last, 5, out); err != nil {
		return err
	}
	return <-agent
}

// think appends one token after the other through a session, which does not wait for an ack before it sends the next.
func think(ctx context.Context, svc protocol.Service, tokens ...string) error {
	appends, err := svc.OpenAppendSession(ctx, session)
	if err != nil {
		return err
	}
	defer appends.Close()
	for _, token := range tokens {
		if err := appends.Submit(ctx, protocol.AppendInput{Records: []protocol.Record{{Body: []byte(token)}}}); err != nil {
			return err
		}
	}
	if err := appends.CloseSend(); err != nil {
		return err
	}
	for {
		if _, err := appends.Recv(ctx); err == io.EOF { //nolint:errorlint // the contract says io.EOF itself
			return nil
		} else if err != nil {
			return err
		}
	}
}

// view prints n tokens and returns the id of the event that had the last one.
func view(ctx context.Context, url, lastEvent string, n int, out io.Writer) (id string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/v1/streams/"+string(session.Stream)+"/records?seq_num=0", http.NoBody)
	if err != nil {
		return "", err
	}
	req.Header.Set("s2-basin", string(session.Basin))
	req.Header.Set("accept", "text/event-stream")
	if lastEvent != "" {
		req.Header.Set("last-event-id", lastEvent)
	}
	client := &http.Client{}
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the session was refused: %s", res.Status)
	}
	var words []string
	for lines := bufio.NewScanner(res.Body); lines.Scan() && len(words) < n; {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			id = value
		case "data":
			var batch struct {
				Records []struct {
					SeqNum uint64 `json:"seq_num"`
					Body   string `json:"body"`
				} `json:"records"`
			}
			if json.Unmarshal([]byte(value), &batch) != nil {
				continue // a heartbeat, or the end
			}
			for _, rec := range batch.Records {
				words = append(words, rec.Body)
			}
		}
	}
	fmt.Fprintln(out, strings.Join(words, " "))
	return id, nil
}
