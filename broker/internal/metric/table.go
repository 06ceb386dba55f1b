// Package metric is the table of the metrics that weir shows to Prometheus: a metric that is not in it cannot be registered.
// docs/metrics.md explains their meaning to an operator; a test holds it against the table.
package metric

// Kind is the type of a metric.
type Kind string

// The kinds.
const (
	Counter   Kind = "counter"
	Gauge     Kind = "gauge"
	Histogram Kind = "histogram"
)

// Definition describes a metric.
type Definition struct {
	Name string
	Kind Kind
	Help string
	// Labels are its labels. The sets of their values are bounded: doors, kinds, routes, codes and statuses, never the
	// names of basins or streams.
	Labels []string
	// Buckets are the upper bounds of a histogram's.
	Buckets []float64
}

// The bounds of histograms: of seconds as control plane 9.1 has them, of operations that may be fast, of counts and of bytes.
var (
	slowSeconds = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5}
	fastSeconds = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	httpSeconds = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	counts      = []float64{1, 10, 50, 100, 250, 500, 1000}
	chunkCounts = []float64{1, 2, 5, 10, 25, 50, 100, 250, 500, 1000}
	sizes       = []float64{512, 1024, 4096, 16384, 65536, 262144, 524288, 1048576}
)

// Table is every metric of weir. Beside them a broker shows those of its process and of the Go runtime.
var Table = []Definition{
	{"s2_append_permit_latency_seconds", Histogram, "Time that an append waited for admission.", nil, slowSeconds},
	{"s2_append_ack_latency_seconds", Histogram, "Time from the admission of an append to its durable ack.", nil, slowSeconds},
	{"s2_append_batch_records", Histogram, "Records of an append.", nil, counts},
	{"s2_append_batch_bytes", Histogram, "Metered bytes of an append.", nil, sizes},

	{"weir_append_seconds", Histogram, "Time from an append's arrival at the service to its ack, by door.", []string{"door"}, fastSeconds},
	{"weir_append_records_total", Counter, "Records acknowledged, by door.", []string{"door"}, nil},
	{"weir_append_bytes_total", Counter, "Metered bytes acknowledged, by door.", []string{"door"}, nil},
	{"weir_read_seconds", Histogram, "Time of a unary read, its wait window included, by door.", []string{"door"}, fastSeconds},
	{"weir_read_records_total", Counter, "Records delivered, by door.", []string{"door"}, nil},
	{"weir_read_bytes_total", Counter, "Metered bytes delivered, by door.", []string{"door"}, nil},
	{"weir_record_failures_total", Counter, "Appends, reads and sessions that failed, by door, operation and code.", []string{"door", "operation", "code"}, nil},
	{"weir_sessions", Gauge, "Sessions that are open, by door and kind.", []string{"door", "kind"}, nil},

	{"weir_followers", Gauge, "Readers that wait at the tail of their stream.", nil, nil},
	{"weir_follower_lags_total", Counter, "Times that a reader was too slow for the live batches and went back to read from storage.", nil, nil},
	{"weir_ring_dropped_batches_total", Counter, "Live batches that made room for newer ones while a reader followed their stream.", nil, nil},

	{"weir_tap_records_total", Counter, "Records published by live taps, once for each NATS account with interest.", nil, nil},
	{"weir_tap_dropped_records_total", Counter, "Records that live taps dropped: a queue was full, or the record is larger than max_payload.", nil, nil},

	{"weir_cluster_live_nodes", Gauge, "Live nodes of the cluster, as this node knows them.", nil, nil},
	{"weir_cluster_lease_sure", Gauge, "Whether this node is sure of its lease: 1 or 0.", nil, nil},
	{"weir_cluster_lease_age_seconds", Gauge, "Time since this node sent the newest renewal of its lease that was stored.", nil, nil},
	{"weir_cluster_draining", Gauge, "Whether this node drains: 1 or 0.", nil, nil},
	{"weir_cluster_owned_logs", Gauge, "Logs that this node owns.", nil, nil},
	{"weir_cluster_takeovers_total", Counter, "Logs that this node took from nodes that had ended, for itself or another one.", nil, nil},
	{"weir_cluster_highest_epoch", Gauge, "Highest epoch of the logs that this node owns. A log's epoch grows with each change of its owner.", nil, nil},
	{"weir_cluster_seal_seconds", Histogram, "Time to seal a log, before this node becomes its owner or goes on as its owner after a failure.", nil, fastSeconds},
	{"weir_cluster_handed_requests_total", Counter, "Requests that this node handed to the owner of a log.", nil, nil},
	{"weir_cluster_taken_requests_total", Counter, "Requests that other nodes handed to this one.", nil, nil},
	{"weir_cluster_held_requests", Gauge, "Requests of other nodes that this one has not answered yet.", nil, nil},
	{"weir_cluster_held_bytes", Gauge, "Metered bytes of the requests of other nodes that this one has not answered yet.", nil, nil},

	{"weir_sync_seconds", Histogram, "Time of a sync of the store's file system, with durability group.", nil, fastSeconds},
	{"weir_sync_chunks", Histogram, "Chunks that a sync made durable.", nil, chunkCounts},
	{"weir_appends_queued", Gauge, "Appends that wait for their log's sequencer.", nil, nil},
	{"weir_chunks_in_flight", Gauge, "Chunks that are published and not durable.", nil, nil},

	{"weir_catalog_basins", Gauge, "Basins, those being deleted included.", nil, nil},
	{"weir_catalog_streams", Gauge, "Streams, those being deleted included.", nil, nil},
	{"weir_catalog_access_tokens", Gauge, "Issued access tokens, expired ones included.", nil, nil},
	{"weir_catalog_unreadable_entries", Gauge, "Entries of the catalog that cannot be read, so that what they describe is not served.", nil, nil},
	{"weir_logs_open", Gauge, "Logs in use.", nil, nil},
	{"weir_streams_loaded", Gauge, "Streams whose tail is in memory.", nil, nil},
	{"weir_stored_bytes", Gauge, "Metered bytes stored in all streams, of several brokers on one store in those whose logs this one owns, as of the last minute; absent until all were measured.", nil, nil},

	{"weir_jetstream_up", Gauge, "Whether JetStream answers: 1 or 0.", nil, nil},
	{"weir_jetstream_store_bytes", Gauge, "Bytes in JetStream's file storage, in the account of weir's storage.", nil, nil},
	{"weir_jetstream_memory_bytes", Gauge, "Bytes in JetStream's memory storage, in the account of weir's storage.", nil, nil},
	{"weir_jetstream_streams", Gauge, "JetStream streams in the account of weir's storage.", nil, nil},
	{"weir_jetstream_api_requests_total", Counter, "Requests of the JetStream API in the account of weir's storage.", nil, nil},
	{"weir_jetstream_api_errors_total", Counter, "Requests of the JetStream API that failed.", nil, nil},
	{"weir_store_limit_bytes", Gauge, "How large the embedded server's file storage may become.", nil, nil},
	{"weir_disk_free_bytes", Gauge, "Free bytes of the store directory's file system.", nil, nil},
	{"weir_store_failed", Gauge, "Whether the store has failed and the broker must be restarted: 1 or 0.", nil, nil},

	{"weir_usage_write_failures_total", Counter, "Times that usage metrics could not be written.", nil, nil},
	{"weir_uptime_seconds", Gauge, "Time since the broker was started.", nil, nil},
	{"weir_build_info", Gauge, "The version of weir and of Go; always 1.", []string{"version", "goversion"}, nil},

	{"weir_http_requests_total", Counter, "HTTP requests and sessions that ended, by route and status.", []string{"route", "status"}, nil},
	{"weir_http_request_seconds", Histogram, "Time from the head of a unary request to the end of its answer.", []string{"route"}, httpSeconds},
	{"weir_http_connections", Gauge, "Connections of HTTP clients that are open.", nil, nil},
	{"weir_nats_connections", Gauge, "Client connections of the embedded NATS server, the broker's own among them.", nil, nil},
	{"weir_http_sessions", Gauge, "Sessions over HTTP that are open, by kind.", []string{"kind"}, nil},
	{"weir_http_sent_bytes_total", Counter, "Bytes of the bodies of answers over HTTP.", nil, nil},
}
