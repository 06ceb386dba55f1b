package broker

import (
	"context"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/weirstream/weir/broker/internal/metering"
	"github.com/weirstream/weir/broker/internal/metric"
	"github.com/weirstream/weir/broker/internal/natsd"
	"github.com/weirstream/weir/protocol"
)

// metrics are those of one broker.
type metrics struct {
	reg                 *prometheus.Registry
	doors               map[string]*metering.Door
	syncTime, syncGroup prometheus.Observer
	sealTime            prometheus.Observer
}

// newMetrics makes a registry with the metrics of the process, the build, the doors and the syncs.
func newMetrics(version string) *metrics {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewGoCollector())
	metric.NewGauge(reg, "weir_build_info").WithLabelValues(version, runtime.Version()).Set(1)
	return &metrics{reg: reg, doors: metering.NewDoors(reg),
		syncTime:  metric.NewHistogram(reg, "weir_sync_seconds").WithLabelValues(),
		syncGroup: metric.NewHistogram(reg, "weir_sync_chunks").WithLabelValues(),
		sealTime:  metric.NewHistogram(reg, "weir_cluster_seal_seconds").WithLabelValues()}
}

// synced takes in a sync of the store.
func (m *metrics) synced(chunks int, took time.Duration) {
	m.syncTime.Observe(took.Seconds())
	if chunks > 0 { // or it was for the catalog alone
		m.syncGroup.Observe(float64(chunks))
	}
}

// sealed takes in that a log was sealed.
func (m *metrics) sealed(took time.Duration) { m.sealTime.Observe(took.Seconds()) }

// looked are the metrics that are looked up when they are asked for.
var looked = []string{
	"weir_followers", "weir_follower_lags_total", "weir_ring_dropped_batches_total", "weir_appends_queued", "weir_chunks_in_flight",
	"weir_catalog_basins", "weir_catalog_streams", "weir_catalog_access_tokens", "weir_catalog_unreadable_entries", "weir_logs_open", "weir_streams_loaded",
	"weir_stored_bytes", "weir_jetstream_up", "weir_jetstream_store_bytes", "weir_jetstream_memory_bytes", "weir_jetstream_streams",
	"weir_jetstream_api_requests_total", "weir_jetstream_api_errors_total", "weir_store_limit_bytes", "weir_disk_free_bytes",
	"weir_store_failed", "weir_usage_write_failures_total", "weir_uptime_seconds", "weir_http_connections", "weir_nats_connections",
	"weir_tap_records_total", "weir_tap_dropped_records_total",
	"weir_cluster_live_nodes", "weir_cluster_lease_sure", "weir_cluster_lease_age_seconds", "weir_cluster_draining", "weir_cluster_owned_logs",
	"weir_cluster_takeovers_total", "weir_cluster_highest_epoch", "weir_cluster_handed_requests_total", "weir_cluster_taken_requests_total",
	"weir_cluster_held_requests", "weir_cluster_held_bytes",
}

// lookTimeout bounds how long JetStream may take to say how it is.
const lookTimeout = 2 * time.Second

// showMetrics makes the broker's state part of its metrics.
func (b *Broker) showMetrics(m *metrics) {
	began := time.Now()
	metric.NewSnapshot(m.reg, looked, func(show func(string, float64)) {
		b.showAdapter(show)
		b.showJetStream(show)
		b.showNode(show)
		show("weir_store_failed", flag(b.storeDead()))
		show("weir_usage_write_failures_total", float64(b.meter.Failures()))
		show("weir_uptime_seconds", time.Since(began).Seconds())
		show("weir_http_connections", float64(b.http.connections()))
		show("weir_tap_records_total", float64(b.taps.Published()))
		show("weir_tap_dropped_records_total", float64(b.taps.Dropped()))
		if n, ok := b.st.Connections(); ok {
			show("weir_nats_connections", float64(n))
		}
	})
}

func flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

func (b *Broker) showAdapter(show func(string, float64)) {
	s := b.ad.Stats()
	show("weir_followers", float64(s.Followers))
	show("weir_follower_lags_total", float64(s.LaggedFeeds))
	show("weir_ring_dropped_batches_total", float64(s.DroppedBatches))
	show("weir_appends_queued", float64(s.QueuedAppends))
	show("weir_chunks_in_flight", float64(s.ChunksInFlight))
	show("weir_catalog_basins", float64(s.Basins))
	show("weir_catalog_streams", float64(s.Streams))
	show("weir_catalog_access_tokens", float64(s.Tokens))
	show("weir_catalog_unreadable_entries", float64(s.Asides))
	show("weir_logs_open", float64(s.Logs))
	show("weir_streams_loaded", float64(s.LoadedStreams))
	if s.SizesKnown {
		bytes := uint64(0)
		b.ad.EachPart(func(_ protocol.BasinName, _ int, n uint64) { bytes += n })
		show("weir_stored_bytes", float64(bytes))
	}
}

func (b *Broker) showJetStream(show func(string, float64)) {
	ctx, cancel := context.WithTimeout(b.life, lookTimeout)
	defer cancel()
	js, err := b.ad.JetStream(ctx)
	show("weir_jetstream_up", flag(err == nil))
	if err == nil {
		show("weir_jetstream_store_bytes", float64(js.Store))
		show("weir_jetstream_memory_bytes", float64(js.Memory))
		show("weir_jetstream_streams", float64(js.Streams))
		show("weir_jetstream_api_requests_total", float64(js.APIRequests))
		show("weir_jetstream_api_errors_total", float64(js.APIErrors))
	}
	if limit, ok := b.st.Limit(); ok {
		show("weir_store_limit_bytes", float64(limit))
	}
	if dir := b.st.Dir(); dir != "" {
		if free, ok := natsd.FreeBytes(dir); ok {
			show("weir_disk_free_bytes", float64(free))
		}
	}
}
