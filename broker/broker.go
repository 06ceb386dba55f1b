package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/adapter"
	"github.com/weirstream/weir/broker/internal/access"
	"github.com/weirstream/weir/broker/internal/httpapi"
	"github.com/weirstream/weir/broker/internal/metering"
	"github.com/weirstream/weir/broker/internal/natsd"
	"github.com/weirstream/weir/broker/internal/tap"
	"github.com/weirstream/weir/broker/internal/tracing"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// Broker is a running weir. Make one with [Start]; all methods may be called at once.
type Broker struct {
	cfg conf.Config
	log *slog.Logger

	// life ends when the stop begins.
	life    context.Context //nolint:containedctx // lives as long as the broker
	endLife context.CancelFunc

	st      natsd.Store
	ad      *adapter.Adapter
	meter   *metering.Meter
	drainer *drainer
	shown   *metrics
	taps    *tap.Hub
	tracer  *tracing.Tracer
	svc     *service
	guard   *access.Guard
	doors   *natsd.Doors
	http    *httpDoor

	storeHealth storeHealth
	heap        heapKeeper

	fatalMu sync.Mutex // guards failed, ended, the closing of done, and ad until Start returns
	failed  error
	ended   bool
	done    chan error

	workers   sync.WaitGroup // end with life
	reloading sync.Mutex     // one Reload at a time, and none beside the stop

	closeOnce sync.Once
	closeErr  error
}

// Start opens the store and the doors and returns when requests are served. ctx bounds the start only; it may take
// long when JetStream has much to recover.
//
// The errors are for operators: they name the fault and the remedy. On an error nothing is left running.
func Start(ctx context.Context, cfg conf.Config, opts ...Option) (_ *Broker, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	root, err := cfg.RootSecret()
	if err != nil {
		return nil, err
	}
	resources, err := readInitFile(cfg.InitFile)
	if err != nil {
		return nil, err
	}
	o := resolve(opts)
	b := &Broker{cfg: cfg, log: o.logger, drainer: newDrainer(), done: make(chan error, 1), taps: tap.NewHub(cfg.SubjectPrefix, o.logger),
		tracer: tracing.New(o.tracer, o.version)}
	b.life, b.endLife = context.WithCancel(context.Background())
	owned := o.ownProcess && b.ownMemory()
	began := time.Now()
	defer func() {
		if err != nil {
			ctx, cancel := context.WithTimeout(ctx, minDrain)
			defer cancel()
			err = errors.Join(err, b.stop(ctx))
		}
	}()

	if b.st, err = natsd.Open(ctx, cfg, b.log, b.fatal); err != nil {
		return nil, err
	}
	b.meter = metering.New(b.log, metering.Prices(cfg.Prices))
	b.shown = newMetrics(o.version)
	ad, err := adapter.Open(ctx, b.adapterOptions(o.version))
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	b.adopt(ad)
	b.startUsage()
	b.showMetrics(b.shown)
	b.compose(root, o.version)
	b.warnUnconfirmed()
	if err := b.applyInitFile(ctx, resources); err != nil {
		return nil, err
	}
	if err := b.doors.Sync(ctx); err != nil {
		return nil, err
	}
	b.doors.LetIn()
	if err := b.http.listen(ctx, cfg, b.log, b.fatal); err != nil {
		return nil, err
	}
	if owned {
		b.workers.Go(func() { returnMemory(b.life, &b.heap) })
	}
	b.log.Info("broker started", slog.String("access", accessText(cfg)), slog.String("url", b.st.URL()), slog.String("http", b.http.api.url), slog.String("durable_streams", b.http.durable.url), slog.String("durability", string(b.durability())),
		slog.Duration("took", time.Since(began)))
	return b, nil
}

// accessText says whether requests need an access token, as the start log spells it.
func accessText(cfg conf.Config) string {
	if cfg.Checked() {
		return "checked"
	}
	return "open"
}

func (b *Broker) durability() conf.Durability { return b.cfg.DurabilityClass() }

func (b *Broker) adapterOptions(version string) adapter.Options {
	observer := adapter.Observer{Synced: b.shown.synced, Sealed: b.shown.sealed, StreamSized: b.meter.Sample, StreamsDeleted: b.meter.StreamsGone}
	if b.tracer != nil {
		observer.WritesCatalog = b.tracer.WritesCatalog
	}
	return adapter.Options{
		Connect:       b.st.Storage,
		Durability:    b.durability(),
		StoreDir:      b.st.Dir(),
		Memory:        b.cfg.Memory,
		Open:          !b.cfg.Checked(),
		Replicas:      b.cfg.Copies(),
		Logs:          b.cfg.Logs,
		Classes:       b.classes(),
		AcceptLoss:    b.cfg.AcceptLoss,
		InflightBytes: b.cfg.InflightBytes,
		Shared:        b.cfg.External.Enabled() || b.cfg.Cluster.Enabled(),
		Node:          b.node(),
		Recovered:     b.st.Recovered(),
		NodeInfo:      adapter.NodeInfo{Version: version, Addresses: b.addresses()},
		Check:         b.st.CheckLogs,
		Made:          b.st.Made,
		Blocks:        b.storedBlocks,
		Failure:       b.st.Failure,
		SyncInterval:  b.cfg.SyncInterval,
		Prefix:        b.cfg.SubjectPrefix,
		Tap:           b.tap(),
		Fatal:         b.storeFailed,
		Locations:     b.locations(),
		Observer:      observer,
		Logger:        b.log,
	}
}

// node is the name of this broker among those of its cluster; "": one that is new at each start, with an external NATS.
func (b *Broker) node() string {
	if !b.cfg.Cluster.Enabled() {
		return ""
	}
	return natsd.NodeName(b.cfg)
}

// tap returns the function by which the storage reports durable records; nil with an external NATS, whose subscriptions
// cannot be seen.
func (b *Broker) tap() func(protocol.StreamRef) func(protocol.Records) bool {
	if b.cfg.External.Enabled() {
		return nil
	}
	return b.taps.Stream
}

// Service is the whole service, in process: nothing is checked, as if the root token were presented. It refuses every
// call with server_draining once Close has begun, in a cluster once the other nodes serve.
func (b *Broker) Service() protocol.Service {
	return b.inProcess(b.guard.Root().Service())
}

// Authenticate returns the service of the holder of an access token, as the doors do; without a root token the whole
// service. The error has code authn.
func (b *Broker) Authenticate(token string) (protocol.Service, error) {
	svc, err := b.guard.ServiceFor(token)
	return b.inProcess(svc), err
}

// Connect opens a NATS connection: in process to the embedded server, or to the external one. It enters the
// clients' account, where the S2 subjects are served and nothing is checked, and never that of the storage. With users or
// accounts in the NATS configuration it enters the global account; with those, or an external NATS, and a root token, requests
// need an access token as everybody's do. The caller closes it.
func (b *Broker) Connect() (*nats.Conn, error) { return b.st.Client("weir-embedder") }

// ClientURL is where NATS clients connect; "" if the embedded server does not listen.
func (b *Broker) ClientURL() string { return b.st.URL() }

// TokensLogIn reports whether NATS clients connect with an access token. Otherwise nothing is checked, or NATS has
// users of its own and each request carries a token.
func (b *Broker) TokensLogIn() bool { return b.doors.TokensLogIn() }

// HTTPURL is where HTTP clients find S2's API; "" if the broker does not listen for them.
func (b *Broker) HTTPURL() string { return b.http.api.url }

// DurableStreamsURL is the port of the Durable Streams protocol alone, where the path of a stream is its name; "" if there is none.
// On the HTTP API the same protocol is at /ds/{basin}/{stream}.
func (b *Broker) DurableStreamsURL() string { return b.http.durable.url }

// HTTPHandler serves S2's HTTP API, whether the broker listens or not: for tests, and for programs that have a server of
// their own. After Close it answers server_draining.
func (b *Broker) HTTPHandler() http.Handler { return b.http.handler }

// NewHTTPServer returns a server of S2's HTTP API, for a listener of the caller's own: it has the bounds of the broker's own HTTP
// port on slow and idle connections. The caller stops it.
func (b *Broker) NewHTTPServer() *http.Server { return httpapi.NewServer(b.http.handler, b.log) }

// storeDead reports whether the store has failed for good.
func (b *Broker) storeDead() bool {
	b.fatalMu.Lock()
	defer b.fatalMu.Unlock()
	return b.failed != nil
}

// Done delivers at most one error: the store can no longer be trusted, because a sync failed, JetStream turned itself
// off or the embedded server stopped. The caller should Close the broker, tell its operator, and end. The channel is
// closed by Close.
func (b *Broker) Done() <-chan error { return b.done }

// adopt takes the adapter in, and reports to it if the store has failed while it was opened.
func (b *Broker) adopt(ad *adapter.Adapter) {
	b.fatalMu.Lock()
	defer b.fatalMu.Unlock()
	b.ad = ad
	if b.failed != nil {
		ad.Fail(b.failed)
	}
}

// fatal hands the first failure to Done, and ends the appends that would wait for the store. It may come at any time,
// also after Close.
func (b *Broker) fatal(err error) {
	b.fatalMu.Lock()
	defer b.fatalMu.Unlock()
	if b.failed != nil || b.ended {
		return
	}
	b.failed = err
	if b.ad != nil {
		b.ad.Fail(err)
	}
	b.log.Error("the store cannot be trusted any more", slog.Any("error", err))
	b.done <- err // Has room for the only one.
}

// storeFailed is fatal, and nothing that the store holds is known to be on disk.
func (b *Broker) storeFailed(err error) {
	b.st.Distrust()
	b.fatal(err)
}

func (b *Broker) closeDone() {
	b.fatalMu.Lock()
	defer b.fatalMu.Unlock()
	b.ended = true
	close(b.done)
}

// Reload reads the NATS configuration file and the certificates of cluster.tls_* again and applies the settings that NATS can change
// while it runs, such as users, permissions, TLS certificates and limits. On an error the old configuration stays in force. Settings of weir itself, the
// root token among them, need a restart.
func (b *Broker) Reload() error {
	b.reloading.Lock()
	defer b.reloading.Unlock()
	if b.life.Err() != nil {
		return errDraining()
	}
	if err := b.st.Reload(); err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	ctx, cancel := context.WithTimeout(b.life, 10*time.Second)
	defer cancel()
	if err := b.doors.Sync(ctx); err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	b.log.Info("configuration reloaded")
	return nil
}

// minDrain is the time that requests under way get to finish where clients get no lame duck time.
const minDrain = 2 * time.Second

// Close stops the broker in order. A node of a cluster whose other nodes go on first gives them its logs and tells its clients to go there, while it serves
// them. Then the doors refuse new requests, sessions end with server_draining, appends that were
// taken are finished and answered, clients of the embedded server are asked to move to another one and then cut off, and
// the store is closed.
//
// The polite part takes at most the configured lame duck time, and ends early when ctx does; calls and sessions that have not
// finished by then are cut off. Close returns when everything is down; its error reports the parts that had to be cut off. It
// may be called again and returns the same.
func (b *Broker) Close(ctx context.Context) error {
	b.closeOnce.Do(func() {
		began := time.Now()
		ctx, cancel := context.WithTimeout(ctx, max(b.cfg.LameDuck, minDrain))
		defer cancel()
		b.closeErr = b.stop(ctx)
		b.closeDone()
		if took := slog.Duration("took", time.Since(began)); b.closeErr == nil {
			b.log.Info("broker stopped", took)
		} else {
			b.log.Warn("broker stopped, not everything settled", took, slog.Any("error", b.closeErr))
		}
	})
	return b.closeErr
}

// stop is the stop order, also for a start that got only so far.
func (b *Broker) stop(ctx context.Context) error {
	var errs []error
	step := func(what string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", what, err))
		}
	}
	b.handOver(ctx)
	b.endLife()
	b.workers.Wait()
	b.reloading.Lock() // A reload that is under way ends first.
	defer b.reloading.Unlock()
	var polite sync.WaitGroup // The doors drain side by side.
	var httpErr error
	if b.http != nil {
		polite.Go(func() { httpErr = b.http.close(ctx) })
	}
	if b.doors != nil {
		step("drain the NATS doors", b.doors.Close(ctx))
	}
	polite.Wait()
	step("drain the HTTP door", httpErr)
	b.drainer.shut()
	step("finish the calls in process", b.drainer.wait(ctx))
	if b.guard != nil {
		b.guard.Close()
	}
	b.stopUsage(ctx)
	if b.ad != nil {
		step("close the store", b.ad.Close(ctx))
	}
	if b.st != nil {
		step("stop NATS", b.st.Stop(ctx))
	}
	return errors.Join(errs...)
}
