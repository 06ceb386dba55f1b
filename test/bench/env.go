package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sys/unix"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// env is the state that all measures share.
type env struct {
	dir    string
	rounds int
	scale  float64
	serial int
	// profile is the file of a CPU profile; "": none.
	profile string
}

// childProfile is the file of the profile of a process that a measure starts, by what the process is; "": none is wanted.
func (e *env) childProfile(what string) string {
	if e.profile == "" {
		return ""
	}
	return e.profile + "." + what + "." + strconv.Itoa(e.serial)
}

// scaled is n at the chosen scale, at least least.
func (e *env) scaled(n, least int) int { return max(least, int(float64(n)*e.scale)) }

func (e *env) newDir(name string) (string, error) {
	e.serial++
	dir := e.dir + "/" + strconv.Itoa(e.serial) + "-" + name
	return dir, os.MkdirAll(dir, 0o755)
}

const basin protocol.BasinName = "bench-basin"

// broker starts a broker on a store of its own, with a basin that creates streams on append.
func (e *env) broker(ctx context.Context, durability conf.Durability) (*broker.Broker, func(), error) {
	dir, err := e.newDir("weir")
	if err != nil {
		return nil, nil, err
	}
	return openBroker(ctx, dir, durability)
}

func openBroker(ctx context.Context, dir string, durability conf.Durability, change ...func(*conf.Config)) (*broker.Broker, func(), error) {
	return openBrokerWith(ctx, dir, durability, nil, change...)
}

func openBrokerWith(ctx context.Context, dir string, durability conf.Durability, opts []broker.Option, change ...func(*conf.Config)) (*broker.Broker, func(), error) {
	cfg := conf.Default().WithStoreDir(dir)
	cfg.HTTP.Listen = conf.ListenNone
	cfg.NATS.Listen = ""
	cfg.Durability = durability
	cfg.Logs = 1 // raw JetStream has one stream as well
	for _, f := range change {
		f(&cfg)
	}
	b, err := broker.Start(ctx, cfg, opts...)
	if err != nil {
		return nil, nil, err
	}
	stop := func() { b.Close(context.Background()) } // the store is thrown away
	_, _, err = b.Service().EnsureBasin(ctx, basin, protocol.EnsureBasinRequest{Config: protocol.BasinConfig{CreateStreamOnAppend: true}})
	if err != nil {
		stop()
		return nil, nil, err
	}
	return b, stop, nil
}

// raw is a plain JetStream on a store of its own.
type raw struct {
	srv   *server.Server
	login []nats.Option
	nc    *nats.Conn
	js    jetstream.JetStream
}

// syncs is how JetStream syncs.
type syncs bool

const (
	syncAlways syncs = true
	syncLater  syncs = false
)

func (e *env) raw(when syncs) (*raw, error) {
	dir, err := e.newDir("raw")
	if err != nil {
		return nil, err
	}
	return startRaw(&server.Options{StoreDir: dir, SyncAlways: when == syncAlways})
}

// rawOver opens the store of a broker that was stopped, in the account that it is in.
func rawOver(dir string) (*raw, error) {
	opts := &server.Options{StoreDir: dir}
	if err := opts.ProcessConfigString(`accounts { WEIR { jetstream: enabled, users: [{user: bench, password: bench}] } }`); err != nil {
		return nil, err
	}
	return startRaw(opts, nats.UserInfo("bench", "bench"))
}

func startRaw(opts *server.Options, login ...nats.Option) (*raw, error) {
	opts.DontListen, opts.NoSigs, opts.NoLog, opts.JetStream = true, true, true, true
	opts.MaxPayload, opts.SyncInterval, opts.JetStreamMaxStore = 8<<20, 2*time.Minute, 20<<30
	srv, err := server.NewServer(opts)
	if err != nil {
		return nil, err
	}
	srv.Start()
	if !srv.ReadyForConnections(30 * time.Second) {
		return nil, fmt.Errorf("raw server did not start")
	}
	r := &raw{srv: srv, login: login}
	if r.nc, err = r.connect(); err != nil {
		return nil, err
	}
	if r.js, err = jetstream.New(r.nc, jetstream.WithPublishAsyncMaxPending(512)); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *raw) connect() (*nats.Conn, error) {
	return nats.Connect("", append(r.login, nats.InProcessServer(r.srv))...)
}

func (r *raw) stream(ctx context.Context, name string) error {
	_, err := r.js.CreateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{name + ".>"}, AllowDirect: true})
	return err
}

func (r *raw) close() {
	r.nc.Close()
	r.srv.Shutdown()
	r.srv.WaitForShutdown()
}

// median of a few figures.
func median(x []float64) float64 {
	x = slices.Clone(x)
	slices.Sort(x)
	return x[len(x)/2]
}

// quantile of durations, in microseconds.
func quantile(d []time.Duration, q float64) float64 {
	d = slices.Clone(d)
	slices.Sort(d)
	return float64(d[min(len(d)-1, int(q*float64(len(d))))].Nanoseconds()) / 1e3
}

// settle gives every measurement the same start: no garbage, no old stores, and no dirty pages that the kernel is still
// writing for the one before.
func (e *env) settle() error {
	if err := os.RemoveAll(e.dir); err != nil {
		return err
	}
	if err := os.MkdirAll(e.dir, 0o755); err != nil {
		return err
	}
	runtime.GC()
	unix.Sync()
	return nil
}

// turns measures weir and its baseline in turn, rounds times, and returns the medians. Each call of them opens a store
// of its own.
func (e *env) turns(weir, baseline func() (float64, error)) (w, b float64, err error) {
	var ws, bs []float64
	for range e.rounds {
		if err := e.settle(); err != nil {
			return 0, 0, err
		}
		x, err := baseline()
		if err != nil {
			return 0, 0, fmt.Errorf("baseline: %w", err)
		}
		bs = append(bs, x)
		if err := e.settle(); err != nil {
			return 0, 0, err
		}
		if x, err = weir(); err != nil {
			return 0, 0, err
		}
		ws = append(ws, x)
	}
	return median(ws), median(bs), nil
}

// batch is n records with bodies of the given size.
func batch(n, size int) []protocol.Record {
	recs := make([]protocol.Record, n)
	for i := range recs {
		recs[i].Body = bytes.Repeat([]byte{byte(i)}, size)
	}
	return recs
}

// mibs is a rate in MiB/s.
func mibs(bytes int, took time.Duration) float64 { return float64(bytes) / (1 << 20) / took.Seconds() }
