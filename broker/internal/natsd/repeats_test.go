package natsd

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What the server says again and again of a node that it refuses is one line a minute, for each node and each reason.
func TestRefusedNodeDoesNotFillTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged []string
		log := newNATSLogger(slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
			logged = append(logged, string(p))
			return len(p), nil
		}), &slog.HandlerOptions{Level: slog.LevelInfo})))
		took := func(what string, want ...string) {
			t.Helper()
			if len(logged) != len(want) {
				t.Fatalf("%s: logged %q, want %d lines", what, logged, len(want))
			}
			for i, line := range logged {
				if !strings.Contains(line, want[i]) {
					t.Errorf("%s: logged %q, want %q", what, line, want[i])
				}
			}
			logged = nil
		}
		tries := 0
		refuse := func(host string, reason error) {
			tries++
			log.Errorf(fmt.Sprintf("%s:%d - rid:%d - TLS route handshake error: %%v%%s", host, 40000+tries, tries), reason, "")
		}
		wrong, expired := errors.New("remote error: tls: bad certificate"), fmt.Errorf("read tcp 10.0.0.1:6222->10.0.0.2:%d: expired", 40000)
		for range 200 {
			refuse("10.0.0.2", wrong)
			time.Sleep(100 * time.Millisecond)
		}
		took("a refused node for 20 s", "10.0.0.2:40001 - rid:1 - TLS route handshake error: remote error: tls: bad certificate")
		refuse("10.0.0.3", wrong)
		refuse("[fd00::2]", wrong)
		refuse("10.0.0.2", expired)
		took("another node, and another reason", "10.0.0.3", "fd00::2", "expired")
		refuse("10.0.0.2", fmt.Errorf("read tcp 10.0.0.1:6222->10.0.0.2:%d: expired", 40001))
		took("another port")

		time.Sleep(repeatEvery)
		refuse("10.0.0.2", wrong)
		took("a minute later", "repeated=199")
		time.Sleep(repeatEvery)
		refuse("10.0.0.2", wrong)
		if strings.Contains(strings.Join(logged, ""), "repeated") {
			t.Errorf("logged %q, although none was left out", logged)
		}
		took("once in a minute", "10.0.0.2")

		for range 3 {
			log.Errorf("the disk is full")
			log.Warnf("the disk is slow")
		}
		took("lines that are not about nodes", "full", "slow", "full", "slow", "full", "slow")

		for attempt := range 10 {
			for _, node := range []string{"10.0.0.2", "10.0.0.3"} {
				log.Errorf("Error trying to connect to route (attempt %v): %v", attempt+1, fmt.Errorf("dial tcp %s:6222: connect: connection refused", node))
			}
		}
		const absent = `level=WARN msg="nats server" text="Error trying to connect to route (attempt 1): dial tcp `
		took("two nodes that are not there", absent+"10.0.0.2", absent+"10.0.0.3")

		for range 10 {
			log.Warnf("%s", waitLine)
			time.Sleep(2 * time.Second)
		}
		took("a node that waits for the others", waitLine)

		time.Sleep(repeatEvery)
		for range 10 * maxRepeats {
			refuse(fmt.Sprintf("host%d", tries), wrong)
		}
		if len(logged) > maxRepeats || len(log.repeats.lines) > maxRepeats {
			t.Errorf("%d lines of %d nodes, %d remembered", len(logged), 10*maxRepeats, len(log.repeats.lines))
		}
		logged = nil
		time.Sleep(repeatEvery)
		refuse("another-host", wrong)
		took("after that", "another-host")
	})
}
