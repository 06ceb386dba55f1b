package backup_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/backup"
	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/test/freeport"
	"github.com/weirstream/weir/test/storedir"
)

const rootToken = "the-root-token-of-this-test"

// checked are the settings of brokers that check access tokens.
func checked(c *conf.Config) {
	c.RootToken, c.Locations = rootToken, "local,cellar"
}

// nodes are three brokers that form a cluster, with a client of each.
func nodes(t *testing.T, change func(*conf.Config)) []*rig {
	t.Helper()
	const size = 3
	peers, err := freeport.Addresses(size)
	must(t, err)
	all := make([]*rig, size)
	for i := range all {
		cfg := conf.Default()
		onDisk(&cfg, storedir.New(t))
		cfg.NATS.Listen, cfg.Logs = "127.0.0.1:0", 2
		cfg.Cluster = conf.Cluster{Name: "test", Listen: peers[i], Peers: strings.Join(peers, ","), Secret: "0123456789abcdef", Failover: conf.FailoverFast}
		change(&cfg)
		all[i] = &rig{t: t, cfg: cfg}
	}
	errs := make([]error, size)
	var wg sync.WaitGroup
	for i, r := range all {
		wg.Go(func() { r.b, errs[i] = broker.Start(t.Context(), r.cfg) })
	}
	wg.Wait()
	t.Cleanup(func() {
		var wg sync.WaitGroup
		for _, r := range all {
			if r.b != nil {
				wg.Go(func() { r.b.Close(context.Background()) }) // the last ones have no majority to settle with
			}
		}
		wg.Wait()
	})
	for i, r := range all {
		must(t, errs[i])
		var err error
		r.nc, err = r.b.Connect()
		must(t, err)
		t.Cleanup(r.nc.Close)
		r.Client = client.New(r.nc, client.Options{AccessToken: rootToken})
	}
	return all
}

// TestMoveIntoAClusterAndBack: what a broker alone holds goes into a cluster by backup and restore, where every node shows it and goes on from there,
// and from the cluster into another broker alone.
func TestMoveIntoAClusterAndBack(t *testing.T) {
	alone := func() *rig {
		r := inMemory(t, checked, func(c *conf.Config) { onDisk(c, t.TempDir()) })
		r.Client = r.as(rootToken)
		return r
	}
	src := alone()
	refs := everyState(t, src)
	secret, err := src.IssueAccessToken(t.Context(), protocol.IssueAccessTokenRequest{ID: "reader", Scope: protocol.AccessTokenScope{
		Basins: protocol.ResourceSet{Kind: protocol.MatchPrefix}, Ops: protocol.Operations(protocol.OpListBasins)}})
	must(t, err)
	_, err = src.SetDefaultLocation(t.Context(), "cellar")
	must(t, err)

	dir, _ := save(t, src, backup.SaveOptions{})
	all := nodes(t, checked)
	restore(t, all[1], dir, backup.RestoreOptions{})
	for _, node := range all {
		compare(t, src, node, refs)
		compareSizes(t, src, node, refs)
		checkToken(t, node, secret)
	}
	goOn(t, all[2], refs)
	for _, node := range all[:2] {
		compare(t, all[2], node, refs)
	}

	dir, _ = save(t, all[0], backup.SaveOptions{Compress: true})
	back := alone()
	restore(t, back, dir, backup.RestoreOptions{})
	compare(t, all[2], back, refs)
	compareSizes(t, all[2], back, refs)
	checkToken(t, back, secret)
	goOn(t, back, refs)
}

// compareSizes compares the stored bytes of streams.
func compareSizes(t *testing.T, src, dst *rig, refs []protocol.StreamRef) {
	t.Helper()
	from, to := uint32(time.Now().Add(-time.Minute).Unix()), uint32(time.Now().Add(time.Minute).Unix())
	size := func(r *rig, ref protocol.StreamRef) float64 {
		t.Helper()
		metrics, err := r.StreamMetrics(t.Context(), ref, protocol.MetricsQuery{Set: protocol.MetricStorage, Start: &from, End: &to})
		must(t, err)
		if len(metrics) == 0 || len(metrics[0].Points) == 0 {
			return -1
		}
		return metrics[0].Points[len(metrics[0].Points)-1].Value
	}
	for _, ref := range refs {
		if want, got := size(src, ref), size(dst, ref); want != got {
			t.Errorf("%s: %v bytes are stored, not %v", ref, got, want)
		}
	}
}

// checkToken checks that an access token opens what it did, and that the default location came along.
func checkToken(t *testing.T, r *rig, secret string) {
	t.Helper()
	c := r.as(secret)
	page, err := c.ListBasins(t.Context(), protocol.ListRequest{})
	for began := time.Now(); protocol.CodeOf(err) == protocol.CodeUnavailable && time.Since(began) < 2*time.Minute; { // a busy machine: its lease is in doubt
		time.Sleep(50 * time.Millisecond)
		page, err = c.ListBasins(t.Context(), protocol.ListRequest{})
	}
	if err != nil || len(page.Basins) != 4 {
		t.Errorf("the token lists %v, %v", page, err)
	}
	if at, err := r.DefaultLocation(t.Context()); err != nil || at.Name != "cellar" {
		t.Errorf("the default location is %v, %v", at, err)
	}
}
