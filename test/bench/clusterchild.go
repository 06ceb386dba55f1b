package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/conf"
)

// childVariable holds the options of the node of a cluster that this program is to be, as JSON.
const childVariable = "WEIR_BENCH_CHILD"

// childOptions say which node: a NATS server that syncs every write, or a broker.
type childOptions struct {
	Name, Dir, Listen, Route string
	Peers                    []string
	Profile                  string // file of its CPU profile; "": none
	Broker                   bool
	HTTP                     string // of a broker
	Logs                     int    // as HTTP; 0: as by default
}

// childEnv is the environment of a node's process.
func childEnv(o childOptions) ([]string, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	return append(os.Environ(), childVariable+"="+string(text)), nil
}

// runChild runs a node in this process, if it is a child that is to be one, until SIGTERM; done says so.
func runChild() (done bool, err error) {
	text := os.Getenv(childVariable)
	if text == "" {
		return false, nil
	}
	var o childOptions
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return true, err
	}
	stop, err := startProfile(o.Profile)
	if err != nil {
		return true, err
	}
	defer stop()
	ctx, ended := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer ended()
	if o.Broker {
		b, err := broker.Start(ctx, o.broker())
		if err != nil {
			return true, err
		}
		defer func() {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			b.Close(ctx)
		}()
	} else {
		srv, err := o.server()
		if err != nil {
			return true, err
		}
		srv.Start()
		if !srv.ReadyForConnections(30 * time.Second) {
			return true, errors.New("the server did not start")
		}
	}
	<-ctx.Done()
	return true, nil
}

// broker is the configuration of a node of a cluster of brokers, with durability always.
func (o *childOptions) broker() conf.Config {
	cfg := conf.Default().WithStoreDir(o.Dir)
	cfg.NATS.Listen, cfg.NATS.ServerName, cfg.HTTP.Listen, cfg.RootToken, cfg.Durability = o.Listen, o.Name, o.HTTP, clusterSecret, conf.DurabilityAlways
	cfg.Cluster = conf.Cluster{Name: "bench", Listen: o.Route, Peers: strings.Join(o.Peers, ","), Secret: clusterSecret, Failover: conf.FailoverFast}
	if o.Logs > 0 {
		cfg.Logs = o.Logs
	}
	return cfg
}

// server is a node of a cluster of NATS servers that sync every write.
func (o *childOptions) server() (*server.Server, error) {
	opts := &server.Options{}
	if err := opts.ProcessConfigString(fmt.Sprintf(`server_name: %s, listen: "%s", max_payload: 8MB
		jetstream { store_dir: "%s", sync_interval: always, max_file_store: 20GB }
		cluster { name: raw, listen: "%s", routes: ["nats://%s"] }`, o.Name, o.Listen, o.Dir, o.Route, strings.Join(o.Peers, `", "nats://`))); err != nil {
		return nil, err
	}
	opts.NoLog, opts.NoSigs = true, true
	return server.NewServer(opts)
}
