package broker

import (
	"github.com/weirstream/weir/broker/internal/access"
	"github.com/weirstream/weir/broker/internal/door"
	"github.com/weirstream/weir/broker/internal/httpapi"
	"github.com/weirstream/weir/broker/internal/metering"
	"github.com/weirstream/weir/broker/internal/natsapi"
	"github.com/weirstream/weir/broker/internal/natsd"
	"github.com/weirstream/weir/broker/internal/tracing"
	"github.com/weirstream/weir/protocol"
)

// compose puts the layers of the service on the opened storage, from the inside out, and makes the doors, closed.
// docs/architecture.md draws the chain.
func (b *Broker) compose(root, version string) {
	// Innermost, appends are counted, because only there a stream's storage class is known, and when an append was let in.
	storage := adapterStorage{b.ad, metering.NewAppends(b.shown.reg, b.meter), b.tracer}
	// The service gives failures their codes, runs sessions, and refuses all calls once the broker drains: every door below.
	b.svc = &service{st: storage, meter: b.meter, drainer: b.drainer, log: b.log}
	// Operations are counted behind access control, so that a refused one does not count, and by their full names.
	operations := metering.Operations{Core: b.svc, Meter: b.meter}
	// Operations on tokens are the guard's own, so that the store of tokens counts them.
	tokens := metering.Tokens{Tokens: tokenStore{b.ad, b.svc}, Meter: b.meter}
	// The guard turns a secret into a caller, whose service checks its scope before anything else happens.
	b.guard = access.New(operations, tokens, access.Options{RootSecret: root, Current: b.ad.TokensCurrent, Logger: b.log})
	// Outermost, each door measures the answers that its clients see, failures of access control included.
	b.doors = natsd.NewDoors(b.st, b.guard, b.taps, natsapi.Options{
		Prefix: b.cfg.SubjectPrefix, Version: version, Logger: b.log, OwnConn: true, DrainConn: b.st.URL() != "",
		Authenticate: b.authenticate, Measure: func(svc protocol.Service) protocol.Service { return b.seen(metering.NATS, svc) },
		Backup: b.backup, Cluster: b.clusterService, Tracer: b.tracer})
	b.http = &httpDoor{handler: httpapi.New(nil, httpapi.Options{
		Authenticate: func(token string) (door.Caller, error) {
			caller, err := b.authenticate(token)
			caller.Service = b.seen(metering.HTTP, caller.Service)
			return caller, err
		},
		Logger: b.log, NoCORS: !b.cfg.HTTP.CORS, CORSOrigins: b.cfg.HTTP.Origins(), Open: b.guard.Open(),
		Health: b.health, Registry: b.shown.reg, Dashboard: b.dashboard(version), DashboardCluster: b.dashboardCluster, Tracer: b.tracer})}
}

// seen is a service as the clients of a door see it: their requests are measured, and reported to the door's spans.
func (b *Broker) seen(door string, svc protocol.Service) protocol.Service {
	return b.tracer.Door(b.shown.doors[door].Through(svc))
}

// inProcess is a service for callers in this process. They come through no door that makes spans.
func (b *Broker) inProcess(svc protocol.Service) protocol.Service {
	return b.tracer.InProcess(b.shown.doors[metering.InProcess].Through(svc))
}

// unseen undoes seen and inProcess.
func unseen(svc protocol.Service) protocol.Service { return metering.Behind(tracing.Behind(svc)) }

// authenticate finds the caller of a token for a door. Where nothing is checked there is only one, whose clients the doors
// distinguish by their addresses.
func (b *Broker) authenticate(token string) (door.Caller, error) {
	caller, err := b.guard.Authenticate(token)
	switch {
	case err != nil:
		return door.Caller{}, err
	case b.guard.Open():
		return door.Caller{Service: caller.Service()}, nil
	case caller == b.guard.Root():
		return door.Caller{Service: caller.Service(), Client: door.Client{Key: "root", Part: 1, Root: true}}, nil
	}
	return door.Caller{Service: caller.Service(), Client: door.Client{Key: caller.ShareKey(), Part: door.TokenPart}, Life: caller.Life()}, nil
}
