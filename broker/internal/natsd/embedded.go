package natsd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/broker/internal/access"
	"github.com/weirstream/weir/broker/internal/tap"
	"github.com/weirstream/weir/conf"
)

// Embedded is a NATS server in this process, and its store directory.
type Embedded struct {
	cfg  conf.Config
	log  *slog.Logger
	srv  *server.Server
	slog *natsLogger
	cred *credentials // decides which clients may connect, if ownUsers is false

	dir    string // the store directory; in memory mode a temporary one that stop removes
	lock   *storeLock
	remove bool
	care   *storeCare // nil in memory mode
	ended  bool       // stop was called: it is not the start that gives up

	headless []string // logs without a description; until CheckLogs

	mu   sync.Mutex // guards the fields below, which a reload changes
	keys keyring
	plan accountPlan

	leaves    bool // leaf nodes may connect
	stopping  chan struct{}
	watchDone chan struct{}
}

// startEmbedded brings a NATS server up on the store directory and returns once it serves. fatal is called at most
// once, if the server stops or JetStream turns itself off by itself later.
func startEmbedded(ctx context.Context, cfg conf.Config, log *slog.Logger, fatal func(error)) (_ *Embedded, err error) {
	e := &Embedded{cfg: cfg, log: log, slog: newNATSLogger(log), keys: keyring{},
		cred:     newCredentials(!cfg.Checked(), cfg.SubjectPrefix, log),
		stopping: make(chan struct{}), watchDone: make(chan struct{})}
	defer func() {
		if err != nil {
			e.giveUp() //nolint:errcheck // the start has failed already
		}
	}()
	if err := e.openDir(ctx); err != nil {
		return nil, err
	}
	opts, plan, err := e.options(e.keys)
	if err != nil {
		return nil, err
	}
	if err := checkMoved(e.dir, cfg.SubjectPrefix); err != nil {
		return nil, err
	}
	if opts.JetStreamMaxStore == 0 {
		if opts.JetStreamMaxStore, err = storeLimit(e.dir); err != nil {
			return nil, err
		}
	}
	e.plan, e.leaves = plan, opts.LeafNode.Port != 0 || len(opts.LeafNode.Remotes) > 0
	if !cfg.Memory && !cfg.Cluster.Enabled() { // a node gets the data that it lacks from the others
		if e.care, err = openStoreCare(e.dir, streamsDir(e.dir, PrivateAccount), cfg.SubjectPrefix, unsynced(cfg), log); err != nil {
			return nil, err
		}
	}
	if cfg.Cluster.Enabled() && cfg.Cluster.Failover == conf.FailoverFast {
		if err := electQuickly(); err != nil {
			return nil, err
		}
	}
	if e.srv, err = server.NewServer(opts); err != nil {
		return nil, fmt.Errorf("the NATS server does not accept its configuration: %w", err)
	}
	e.cred.srv = e.srv
	e.srv.SetLoggerV2(e.slog, opts.Debug, opts.Trace, opts.TraceVerbose)
	if err := e.run(ctx, opts); err != nil {
		return nil, err
	}
	if err := e.recovered(ctx); err != nil {
		return nil, err
	}
	go e.watch(func(err error) {
		e.Distrust()
		fatal(err)
	})
	return e, nil
}

func (e *Embedded) openDir(ctx context.Context) (err error) {
	if e.cfg.Memory {
		// JetStream wants a directory even if all streams are in memory.
		e.dir, err = os.MkdirTemp("", "weir-memory-")
		if err != nil {
			return fmt.Errorf("memory mode needs a temporary directory: %w", err)
		}
		e.remove = true
		return nil
	}
	e.dir = e.cfg.StoreDir
	if e.lock, err = lockStore(ctx, e.dir, e.log); err != nil {
		return err
	}
	return claimMode(e.dir, modeOf(e.cfg))
}

// options reads the configuration. It adds a key to keys for every account that has none yet.
func (e *Embedded) options(keys keyring) (*server.Options, accountPlan, error) {
	opts, err := natsOptions(e.cfg, e.dir)
	if err == nil {
		err = checkExposure(e.cfg, opts) // with the options of the file: planAccounts adds users of weir's own
	}
	if err != nil {
		return nil, accountPlan{}, err
	}
	plan, err := planAccounts(opts, keys, e.cred)
	return opts, plan, err
}

// ownUsers reports whether the NATS configuration has accounts or users, so that it decides which clients may connect. It
// stays so as long as the server runs.
func (e *Embedded) ownUsers() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.plan.ownUsers
}

// login is the client option with which the broker enters an account, or as [doorOf] one.
func (e *Embedded) login(account string) (nats.Option, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.plan.ownUsers {
		return e.cred.login(account), nil
	}
	return e.keys.login(account)
}

// run starts the server. Start blocks while JetStream reads its files, which takes as long as it takes: only ctx
// bounds it.
func (e *Embedded) run(ctx context.Context, opts *server.Options) error {
	started := make(chan struct{})
	go func() {
		defer close(started)
		e.srv.Start()
	}()
	select {
	case <-started:
	case <-ctx.Done():
		e.cred.end()
		e.srv.Shutdown()
		<-started
		return fmt.Errorf("the start was called off while JetStream was recovering: %w", context.Cause(ctx))
	}
	select {
	case <-e.slog.failed:
		return e.explain(opts)
	default:
	}
	// The listeners of routes, leafnodes and websockets come up on their own goroutines.
	const settle = 10 * time.Second
	if !e.srv.ReadyForConnections(settle) {
		select {
		case <-e.slog.failed:
			return e.explain(opts)
		default:
			return fmt.Errorf("the NATS server is not ready for connections after %s; its log says why", settle)
		}
	}
	if !e.srv.JetStreamEnabled() {
		return errors.New("the NATS server started without JetStream; its log says why")
	}
	return nil
}

// explain turns the server's fatal message into an error that an operator can act on.
func (e *Embedded) explain(opts *server.Options) error {
	said := e.slog.fatal
	switch {
	case strings.Contains(said, "address already in use"):
		return fmt.Errorf("a port is in use already (%s): stop what listens there (another weir or nats-server?) or choose another address with nats.listen (--nats-listen), such as 127.0.0.1:0 for a free port", said)
	case strings.Contains(said, "permission denied") && strings.Contains(said, "listen"):
		return fmt.Errorf("a port may not be opened by this user (%s): choose one above 1023", said)
	case strings.Contains(said, "JetStream"):
		return fmt.Errorf("JetStream cannot use the store directory %q (%s): check that it is readable and writable for this user and that its disk is healthy", opts.StoreDir, said)
	}
	return fmt.Errorf("the NATS server could not start: %s", said)
}

// checkStore makes sure that everything on disk is there in JetStream too, but for headless logs: the server deletes a
// stream's description first and its records later, so these may be the remains of a deletion that a crash interrupted. It
// remembers them for CheckLogs.
func (e *Embedded) checkStore() error {
	if e.cfg.Memory {
		return nil
	}
	recovered, err := e.streams(PrivateAccount)
	if err != nil {
		return err
	}
	lost, headless, err := notRecovered(e.dir, PrivateAccount, recovered)
	if err != nil {
		return err
	}
	for _, name := range headless {
		if isLog(e.cfg.SubjectPrefix, name) {
			e.headless = append(e.headless, name)
		} else {
			lost = append(lost, name)
		}
	}
	if len(lost) > 0 {
		return errDamaged(e.dir, PrivateAccount, lost)
	}
	return e.checkCatalog()
}

// CheckLogs checks the headless logs when the catalog can be asked: one that it needs is damaged, any other was being
// deleted and is removed.
func (e *Embedded) CheckLogs(needed func(log string) bool) error {
	if lost := slices.DeleteFunc(slices.Clone(e.headless), func(name string) bool { return !needed(name) }); len(lost) > 0 {
		return errDamaged(e.dir, PrivateAccount, lost)
	}
	for _, name := range e.headless {
		e.log.Warn("removing what a crash left of a deleted log", slog.String("log", name))
		if err := os.RemoveAll(filepath.Join(streamsDir(e.dir, PrivateAccount), name)); err != nil {
			return fmt.Errorf("the files of the deleted log %s cannot be removed: %w", name, err)
		}
	}
	e.headless = nil
	return nil
}

// unsynced is how long an acknowledged write may not be on disk; 0: never.
func unsynced(cfg conf.Config) time.Duration {
	if cfg.HasInterval() {
		return cfg.SyncInterval
	}
	return 0
}

// recovered checks the streams that the server has found in its directory, and puts them on disk. A node waits for the others
// instead: it learns the streams from them.
func (e *Embedded) recovered(ctx context.Context) error {
	if e.cfg.Cluster.Enabled() {
		return e.awaitCluster(ctx)
	}
	if err := e.checkStore(); err != nil {
		return err
	}
	return e.settle()
}

// settle puts the recovered streams on disk, before anything of them is shown.
func (e *Embedded) settle() error {
	if e.cfg.Memory {
		return nil
	}
	names, err := e.streams(PrivateAccount)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(strings.TrimPrefix(name, "KV_"), strings.ToUpper(e.cfg.SubjectPrefix)+"_") {
			if err := e.Made(name); err != nil {
				return err
			}
		}
	}
	return e.care.settled()
}

// Made prepares a stream of the storage that was made or recovered for the writes to it.
func (e *Embedded) Made(stream string) error {
	if e.cfg.Memory || e.cfg.DurabilityClass() == conf.DurabilityAlways || e.cfg.Cluster.Enabled() {
		return nil // JetStream syncs the files that it rewrites, or another server has them too
	}
	return syncRewrites(e.srv, PrivateAccount, stream)
}

// Recovered reports whether JetStream has read its files after something other than an orderly stop.
func (e *Embedded) Recovered() bool { return e.care != nil && !e.care.clean }

// Distrust says that nothing of the store is known to be on disk any more: the stop will not say that it was in order.
func (e *Embedded) Distrust() { e.care.distrust() }

func (e *Embedded) streams(account string) ([]string, error) {
	d, err := e.srv.JszAccount(&server.JSzOptions{Account: account, Streams: true})
	if err != nil {
		return nil, fmt.Errorf("JetStream is not available in the account %s: %w", account, err)
	}
	names := make([]string, len(d.Streams))
	for i := range d.Streams {
		names[i] = d.Streams[i].Name
	}
	return names, nil
}

// watch reports a server that has stopped, or that has turned JetStream off: it does so when the disk is full or fails.
func (e *Embedded) watch(fatal func(error)) {
	defer close(e.watchDone)
	const period = time.Second
	t := time.NewTicker(period)
	defer t.Stop()
	for {
		select {
		case <-e.stopping:
			return
		case <-e.slog.failed:
			fatal(fmt.Errorf("the NATS server failed: %s", e.slog.fatal))
			return
		case <-t.C:
			if !e.srv.Running() {
				fatal(errors.New("the NATS server stopped"))
				return
			}
			if !e.srv.JetStreamEnabled() {
				fatal(fmt.Errorf("JetStream has turned itself off: the disk of the store directory %q is full or fails; make room or repair it and start again", e.dir))
				return
			}
			if err := e.Failure(); err != nil {
				fatal(fmt.Errorf("JetStream cannot write any more (%w): the disk of the store directory %q is full or fails; make room or repair it and start again", err, e.dir))
				return
			}
		}
	}
}

// Failure returns the failed write that has ended one of the storage's streams, if any. After one, the server takes
// nothing more for the stream and leaves publications unanswered until it is started again; only its health report shows that.
func (e *Embedded) Failure() error {
	if e.cfg.Memory || e.cfg.Cluster.Enabled() {
		return nil // Nothing is written, or another server takes over.
	}
	health := e.srv.Healthz(&server.HealthzOptions{Account: PrivateAccount, Details: true})
	for _, h := range health.Errors {
		// The other thing it says of a stream is that a directory has none, which is so while one is made or deleted.
		if h.Type == server.HealthzErrorStream && strings.Contains(h.Error, "write error") {
			return errors.New(h.Error)
		}
	}
	return nil
}

// Connect opens an in-process connection for a door into an account.
func (e *Embedded) Connect(account, name string) (*nats.Conn, error) {
	return e.dial(doorOf(account), name, doorOptions(name, e.log, nats.ErrPermissionViolation)...)
}

// tapOf describes an account for live taps; clients in it have the rights of caller.
func (e *Embedded) tapOf(account string, caller *access.Caller) tap.Account {
	return tap.Account{
		Name: account,
		Interest: func(subject string) bool {
			a, err := e.srv.LookupAccount(account) // a reload may have made another
			return err == nil && a.Interest(subject) > 0
		},
		Connect: func() (*nats.Conn, error) { return e.dial(tapOf(account), "weir-tap", nats.NoEcho()) },
		MayRead: caller.MayRead, StreamPrefix: caller.StreamPrefix(),
	}
}

// dial opens an in-process connection with an entry of the keyring.
func (e *Embedded) dial(as, name string, more ...nats.Option) (*nats.Conn, error) {
	login, err := e.login(as)
	if err != nil {
		return nil, err
	}
	opts := append(connOptions(name, e.log), nats.InProcessServer(inProcess{e}), login)
	nc, err := nats.Connect("", append(opts, more...)...)
	if err != nil {
		return nil, fmt.Errorf("connect in process to the account %s: %w", strings.TrimLeft(as, doorOf("")+tapOf("")), err)
	}
	return nc, nil
}

// inProcess opens connections to the server until that stops. A server that has stopped still opens them and never answers, and a client that waits for the
// answer to its login cannot be closed.
type inProcess struct{ e *Embedded }

func (p inProcess) InProcessConn() (net.Conn, error) {
	select {
	case <-p.e.stopping:
		return nil, server.ErrServerNotRunning
	default:
		return p.e.srv.InProcessConn()
	}
}

func (e *Embedded) Storage(name string) (*nats.Conn, error) {
	return e.dial(PrivateAccount, name)
}

func (e *Embedded) Client(name string) (*nats.Conn, error) {
	e.mu.Lock()
	account := e.plan.clients
	e.mu.Unlock()
	return e.dial(account, name)
}

func (e *Embedded) Services() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.plan.services)
}

func (e *Embedded) URL() string {
	if e.srv.Addr() == nil {
		return ""
	}
	return e.srv.ClientURL()
}

// Dir is the store directory; "" in a cluster, where the disk of this node alone decides on nothing.
func (e *Embedded) Dir() string {
	if e.cfg.Cluster.Enabled() {
		return ""
	}
	return e.dir
}

// Server is the embedded server, for tests that make it fail.
func (e *Embedded) Server() *server.Server { return e.srv }

// AssumedPayload is that of a NATS server by default if leaf nodes may connect: clients behind one take the messages that it
// takes.
func (e *Embedded) AssumedPayload() int {
	if e.leaves {
		return server.MAX_PAYLOAD_SIZE
	}
	return 0
}

// Limit is how many bytes JetStream may store.
func (e *Embedded) Limit() (bytes int64, ok bool) {
	c := e.srv.JetStreamConfig()
	if c == nil {
		return 0, false
	}
	return c.MaxStore, true
}

// Connections is how many client connections the server has, the broker's own among them.
func (e *Embedded) Connections() (n int, ok bool) { return e.srv.NumClients(), true }

// outsideClients are the server's numbers of the clients that are connected from outside of this process.
func (e *Embedded) outsideClients() (ids []uint64) {
	all, err := e.srv.Connz(&server.ConnzOptions{Limit: e.srv.NumClients() + 1})
	if err != nil {
		return nil
	}
	for _, c := range all.Conns {
		if c.Kind == "Client" && c.Port != 0 {
			ids = append(ids, c.Cid)
		}
	}
	return ids
}

// Reload reads the NATS configuration again and applies the settings that the server can change while it runs.
func (e *Embedded) Reload() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	keys := maps.Clone(e.keys)
	opts, plan, err := e.options(keys)
	if err != nil {
		return err
	}
	if plan.ownUsers != e.plan.ownUsers {
		return errors.New("accounts or authorization were switched on or off: that needs a restart")
	}
	if opts.JetStreamMaxStore == 0 {
		opts.JetStreamMaxStore = e.raisedLimit()
	}
	if t := e.cred.tokens; t != nil {
		accounts, thaw := t.freeze()
		defer thaw()
		opts.Accounts = append(opts.Accounts, accounts...)
	}
	if err := e.cred.reload(opts); err != nil {
		return fmt.Errorf("the NATS server refuses the new configuration and keeps the old one: %w", err)
	}
	e.keys, e.plan = keys, plan
	return nil
}

// raisedLimit measures the disk again. A full store gets the space that has become free since, and its reserve at the least:
// even a trim has to be written before it can make room. JetStream refuses to lower the limit.
func (e *Embedded) raisedLimit() (limit int64) {
	if js := e.srv.JetStreamConfig(); js != nil {
		limit = js.MaxStore
	}
	if now, err := storeLimit(e.dir); err == nil { // If the disk is full to the brim, the old limit stays.
		limit = max(limit, now)
	}
	return limit
}

// Stop ends the server. If it has a listener and the configuration grants the time, clients get a notice first and are then
// disconnected one by one, so that they move to another server; when ctx ends all are cut off.
func (e *Embedded) Stop(ctx context.Context) error {
	e.cred.end()
	close(e.stopping)
	<-e.watchDone
	if e.URL() != "" && e.cfg.LameDuck > 0 && ctx.Err() == nil {
		e.lameDuck(ctx)
	}
	e.ended = true
	return e.giveUp()
}

func (e *Embedded) lameDuck(ctx context.Context) {
	if e.deserted(ctx) {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.srv.LameDuckShutdown()
	}()
	select {
	case <-done:
	case <-ctx.Done():
		e.srv.Shutdown()
		<-done
	}
}

// deserted reports whether no client is connected. The broker's own connections were closed a moment ago; the server
// takes another to notice, and would spend the lame duck time on them.
func (e *Embedded) deserted(ctx context.Context) bool {
	const moment, step = 100 * time.Millisecond, 2 * time.Millisecond
	t := time.NewTicker(step)
	defer t.Stop()
	for range moment / step {
		if e.srv.NumClients() == 0 {
			return true
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return false
		}
	}
	return false
}

// giveUp frees everything that was acquired so far. Waiting for the server is not bounded: the server flushes the store, and
// leaving early would free the lock under a server that still writes.
func (e *Embedded) giveUp() error {
	e.cred.end()
	if e.srv != nil {
		e.srv.Shutdown()
		e.srv.WaitForShutdown()
	}
	var err error
	if e.ended {
		err = e.care.closed()
	}
	err = errors.Join(err, e.lock.release())
	if e.remove {
		err = errors.Join(err, os.RemoveAll(e.dir))
	}
	return err
}
