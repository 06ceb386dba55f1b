//go:build linux

package powercut

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/protocol"
)

// exec begins to start a broker.
func (m *machine) exec() {
	m.t.Helper()
	config, err := json.Marshal(brokerConfig{m.store(), m.spec.durability, m.syncInterval, m.compression})
	m.must(err)
	m.broker = m.spawn(brokerEnv + "=" + string(config))
}

// start starts a broker and returns once it serves. A refusal ends the test: nothing that a power cut leaves is a reason for one.
func (m *machine) start() {
	m.t.Helper()
	m.exec()
	addr, err := m.broker.line()
	if err != nil {
		<-m.broker.gone
		m.t.Fatalf("%s: the broker refused to start (%s): %s", m.spec.name, m.note, m.lastWords(4))
	}
	m.addr = addr
}

// kill ends the broker at once.
func (m *machine) kill() {
	if m.broker == nil {
		return
	}
	_ = m.broker.cmd.Process.Kill() // it may be gone
	<-m.broker.gone
	m.broker = nil
}

// stop ends the broker in order.
func (m *machine) stop() {
	m.t.Helper()
	_, err := fmt.Fprintln(m.broker.in, "stop")
	m.must(err)
	m.broker.in.Close()
	select {
	case <-m.broker.gone:
		m.broker = nil
	case <-time.After(2 * time.Minute):
		m.t.Fatal("the broker does not stop")
	}
}

// lastWords are the last lines of the brokers' log.
func (m *machine) lastWords(n int) string {
	b, err := os.ReadFile(m.logPath)
	m.must(err)
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// connect returns the service of the running broker; it closes the connection with the test at the latest.
func (m *machine) connect() (protocol.Service, func()) {
	m.t.Helper()
	nc, err := nats.Connect("nats://"+m.addr, nats.NoReconnect(), nats.Timeout(time.Minute), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	m.must(err)
	m.t.Cleanup(nc.Close)
	return client.New(nc, client.Options{ResumeFor: time.Millisecond}), nc.Close
}

// until waits for something that the broker's files show.
func until(limit time.Duration, f func() bool) error {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(200 * time.Microsecond) {
		if f() {
			return nil
		}
	}
	return errors.New("it did not happen")
}
