package adapter

import (
	"runtime"
	"strconv"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/protocol/chunk"
)

// inlineBytes is up to which payload size the sequencer publishes by itself: handing over would cost more.
const inlineBytes = 32 << 10

// A publisher sends a log's chunks, in the order in which they are handed over. To publish a large chunk blocks until
// the server has taken its bytes; a goroutine does that, while the sequencer encodes the next one.
type publisher struct {
	conn   *nats.Conn
	prefix string // of the subjects that answers go to
	onFail func(token uint64, err error)

	queue  chan publication
	handed uint64        // owned by the sequencer
	sent   atomic.Uint64 // publications done with
	msg    *nats.Msg     // used by the goroutine that sends; the client library copies it out
}

// publication is a chunk on its way out.
type publication struct {
	token    uint64
	subject  string
	header   string
	expected js.Seq // the log's last sequence before it
	wire     []byte
}

func newPublisher(conn *nats.Conn, prefix string, onFail func(uint64, error)) *publisher {
	return &publisher{conn: conn, prefix: prefix, onFail: onFail, queue: make(chan publication, 2*maxUnansweredChunks),
		msg: &nats.Msg{Header: nats.Header{chunk.Header: {""}, nats.ExpectedLastSeqHdr: {""}}}}
}

// run sends the publications that are handed over until stop.
func (p *publisher) run() {
	for pub := range p.queue {
		if len(pub.wire) >= largeRequest {
			runtime.Gosched() // see admitAll
		}
		p.write(pub)
	}
}

func (p *publisher) stop() { close(p.queue) }

// send hands a publication over. The wire bytes must not change before it is answered. It does not block: the queue
// holds more than may be unanswered.
func (p *publisher) send(pub publication) {
	idle := p.idle()
	p.handed++
	if idle && len(pub.wire) <= inlineBytes {
		p.write(pub)
		return
	}
	p.queue <- pub
}

// idle reports whether everything handed over was sent; only then may the sequencer use msg.
func (p *publisher) idle() bool { return p.sent.Load() == p.handed }

func (p *publisher) write(pub publication) {
	p.msg.Subject = pub.subject
	p.msg.Reply = p.prefix + strconv.FormatUint(pub.token, 36)
	p.msg.Header[chunk.Header][0] = pub.header
	p.msg.Header[nats.ExpectedLastSeqHdr][0] = strconv.FormatUint(uint64(pub.expected), 10)
	p.msg.Data = pub.wire
	err := p.conn.PublishMsg(p.msg)
	p.msg.Data = nil
	p.sent.Add(1)
	if err != nil {
		// It may have been sent in part: as unknown as a missing answer.
		p.onFail(pub.token, err)
	}
}
