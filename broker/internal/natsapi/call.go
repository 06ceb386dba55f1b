package natsapi

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/weirstream/weir/broker/internal/door"
	"github.com/weirstream/weir/protocol"
)

// call is one request being served.
type call struct {
	door    *Door
	svc     protocol.Service // of the caller; set once that is known, as the next one
	client  door.Client
	place   *door.Place
	ep      *endpoint
	subject string
	rest    string // the tokens behind the endpoint's subject, without the dot
	inbox   string // where the answer goes; "" when no client waits
	ctl     controls
	head    nats.Header
	body    []byte
}

// reply is the answer to a call. The zero value is an empty body.
type reply struct {
	head nats.Header
	body []byte
	// sent reports that the handler has published, or will publish, the whole answer.
	sent bool
}

// onRequest admits a request. It runs in the subscription's callback and does not wait.
func (d *Door) onRequest(ep *endpoint, req micro.Request) {
	inbox, body := req.Reply(), req.Data()
	if inbox != "" && !d.mayAnswer(inbox) {
		d.log.Debug("ignored a request with a reserved reply subject", "endpoint", ep.name, "reply", inbox)
		return
	}
	if inbox == "" && !ep.mutes {
		return // no client waits for it
	}
	stats := d.stats[ep.name]
	c := &call{door: d, ep: ep, subject: req.Subject(), inbox: inbox, head: nats.Header(req.Headers()), body: body}
	var err error
	if m := messageOf(req); m == nil || unreadable(m) {
		err = errUnreadable()
	} else {
		err = c.authenticate()
	}
	if err == nil {
		c.place, err = d.admit.Request(c.client, len(body))
	}
	if err != nil {
		stats.refused.Add(1)
		d.respondError(inbox, protocol.AsError(err))
		return
	}
	verb := strings.TrimSuffix(ep.subject, ".>")
	c.rest = strings.TrimPrefix(strings.TrimPrefix(req.Subject(), d.subjects.Root()+"."+verb), ".")
	stats.inflight.Add(1)
	go func() {
		defer c.place.Leave()
		c.run(stats)
	}()
}

// run serves the call and answers it, counted before the answer so that its receiver finds it in the stats.
func (c *call) run(stats *endpointStats) {
	start := time.Now()
	ctx, end := c.door.opts.Tracer.NATS(c.door.base, c.ep.name, c.subject, c.head)
	r, err := c.serve(ctx)
	end(err)
	if err != nil {
		e := door.ClientError(c.door.log, err, "endpoint", c.ep.name, "target", c.rest)
		stats.done(time.Since(start), e)
		c.door.respondError(c.inbox, e)
		return
	}
	stats.done(time.Since(start), nil)
	if !r.sent && c.inbox != "" {
		c.door.publish(&nats.Msg{Subject: c.inbox, Header: r.head, Data: r.body})
	}
}

// serve calls the endpoint's handler within the request's time.
func (c *call) serve(ctx context.Context) (r reply, err error) {
	defer door.Recover(c.door.log, &err)
	if c.ctl, err = parseControls(c.head); err != nil {
		return reply{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout())
	defer cancel()
	r, err = c.ep.serve(ctx, c)
	return r, door.CauseOf(ctx, err)
}

// timeout is how long the request may take: the time that its client waits, if it says so, within the door's limit.
func (c *call) timeout() time.Duration {
	limit := c.door.opts.RequestTimeout + protocol.MaxUnaryWait
	if c.ep.name != "read" {
		limit = c.door.opts.RequestTimeout
	}
	if c.ctl.timeout != nil && *c.ctl.timeout < limit {
		return *c.ctl.timeout
	}
	return limit
}

// maxErrorHeader bounds the failure's text in the header, where it is repeated for people.
const maxErrorHeader = 256

// errorMsg is the form of a failure on the wire: the two headers of NATS services and the JSON body of the HTTP API.
func errorMsg(subject string, e *protocol.Error) *nats.Msg {
	text := e.Message
	if len(text) > maxErrorHeader {
		text = strings.ToValidUTF8(text[:maxErrorHeader], "")
	}
	if text == "" {
		text = string(e.Code)
	}
	return &nats.Msg{Subject: subject, Data: e.Body(), Header: nats.Header{
		protocol.HeaderServiceError:     {text},
		protocol.HeaderServiceErrorCode: {strconv.Itoa(e.Status())},
		protocol.HeaderContentType:      {protocol.MediaJSON},
	}}
}

func (d *Door) respondError(inbox string, e *protocol.Error) {
	if inbox != "" {
		d.publish(errorMsg(inbox, e))
	}
}

// maxTellingAnswer bounds the answers that get one more header: larger ones may be as large as their clients take.
const maxTellingAnswer = 16 << 10

// publish sends a message whose size the caller has checked. That it cannot be sent is for the log: the client will
// notice the missing answer.
func (d *Door) publish(m *nats.Msg) {
	if server := d.leaving.Load(); server != nil && len(m.Data) <= maxTellingAnswer {
		if m.Header == nil {
			m.Header = nats.Header{}
		}
		m.Header[protocol.HeaderLeave] = []string{*server}
	}
	if err := d.nc.PublishMsg(m); err != nil {
		d.log.Warn("could not send an answer", "bytes", len(m.Data), "error", err)
	}
}
