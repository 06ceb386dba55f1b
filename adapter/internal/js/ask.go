package js

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Attempt is how long a request that may get lost goes without an answer before it is made again. JetStream does not answer
// requests to a group of servers that has no leader, and does not remember them until there is one.
const Attempt = time.Second

// MayLose reports whether a request over the connection may go without an answer although the store works: it leaves the
// process, or it goes to one of several servers.
func MayLose(nc *nats.Conn) bool {
	return nc.Opts.InProcessServer == nil || nc.ConnectedClusterName() != ""
}

// electionPause is how long an answer that says that there is no leader is left alone before the request is made again.
const electionPause = 100 * time.Millisecond

// askAvailable is ask, again while JetStream says that it has no leader. It fails with the error that JetStream reports.
func askAvailable(ctx context.Context, nc *nats.Conn, subject string, body []byte) (*nats.Msg, error) {
	for {
		m, err := ask(ctx, nc, subject, body)
		if err != nil {
			return nil, err
		}
		var answer struct {
			Error *jetstream.APIError `json:"error"`
		}
		if err := json.Unmarshal(m.Data, &answer); err != nil {
			return nil, fmt.Errorf("the answer cannot be read: %w", err)
		}
		switch {
		case answer.Error == nil:
			return m, nil
		case answer.Error.ErrorCode != codeNotAvailable || !MayLose(nc):
			return nil, reportedError{answer.Error}
		}
		select {
		case <-time.After(electionPause):
		case <-ctx.Done():
			return nil, reportedError{answer.Error}
		}
	}
}

// ask makes a request, and over a connection that may lose it makes it again every [Attempt] until ctx ends. An answer to an
// earlier attempt counts as well, so that a server that takes long is waited for.
func ask(ctx context.Context, nc *nats.Conn, subject string, body []byte) (*nats.Msg, error) {
	if !MayLose(nc) {
		return nc.RequestWithContext(ctx, subject, body)
	}
	type answer struct {
		m   *nats.Msg
		err error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan answer)
	try := func() {
		m, err := nc.RequestWithContext(ctx, subject, body)
		select {
		case answers <- answer{m, err}:
		case <-ctx.Done():
		}
	}
	go try()
	again := time.NewTimer(Attempt)
	defer again.Stop()
	for {
		select {
		case a := <-answers:
			if !errors.Is(a.err, nats.ErrNoResponders) {
				return a.m, a.err
			}
			// JetStream is about to start somewhere, or to come back: the next attempt finds out.
		case <-again.C:
			go try()
			again.Reset(Attempt)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// patience is how long the first contact with a store may take: servers that start together have found each other and elected
// leaders by then.
const patience = 30 * time.Second

// Contact runs step, which makes requests of JetStream that may be carried out twice, again and again while JetStream is not
// there yet: servers look for each other, or elect a leader. Each attempt gets some time of its own. It gives up when ctx ends,
// or after half a minute, with the error of the last attempt.
func Contact(ctx context.Context, step func(ctx context.Context) error) error {
	end := time.Now().Add(patience)
	for {
		attempt, cancel := context.WithTimeout(ctx, 2*Attempt)
		err := step(attempt)
		cancel()
		if err == nil || ctx.Err() != nil || !notYet(err) || time.Now().After(end) {
			return err
		}
		select {
		case <-time.After(Attempt / 4):
		case <-ctx.Done():
			return err
		}
	}
}

// notYet reports whether JetStream may answer differently in a moment, because its servers are about to find each other.
func notYet(err error) bool {
	switch codeOf(err) {
	case codeClusterIncomplete, codeNoPeers, codeNotAvailable, codeNotLeader:
		return true
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, ErrNotYet)
}

// ErrNotYet marks a failure of a step of [Contact] that will pass.
var ErrNotYet = errors.New("not there yet")
