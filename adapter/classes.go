package adapter

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/weirstream/weir/adapter/internal/catalog"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// Compression is how a log's files are compressed. Everything that is stored and not in the newest block of a log is.
type Compression string

// The compressions.
const (
	CompressionNone Compression = "none"
	CompressionS2   Compression = "s2"
)

// Class is the special settings of the logs of a storage class. The zero value has none.
type Class struct {
	// Replicas is the number of copies; 0: Options.Replicas.
	Replicas int
	// Compression is how the logs' files are compressed; "": not at all.
	Compression Compression
	// Durability is when an append counts as done; "": Options.Durability.
	Durability protocol.Durability
	// Logs is the number of logs that all basins share; 0: Options.Logs.
	Logs int
}

// place chooses the log of a new stream of a basin.
func (a *Adapter) place(b *catalog.BasinRecord, class protocol.StorageClass, id layout.StreamID) layout.Log {
	if !slices.Contains(protocol.StorageClasses(), class) {
		class = protocol.DefaultStreamConfig.StorageClass // the configuration cannot name it
	}
	l := layout.Log{Class: class}
	logs := cmp.Or(a.opts.Classes[class].Logs, a.opts.Logs)
	if b.DedicatedLogs > 0 {
		l.Owner, logs = b.Name, b.DedicatedLogs
	}
	l.Index = int(id.Hash() % uint32(min(max(1, logs), layout.MaxLogs)))
	return l
}

// logClass is the settings of the logs of a storage class, completed by the settings of all logs.
func (a *Adapter) logClass(class protocol.StorageClass) Class {
	c := a.opts.Classes[class]
	if c.Replicas == 0 {
		c.Replicas = a.opts.Replicas
	}
	if c.Durability == "" {
		c.Durability = a.opts.Durability
	}
	return c
}

// groups reports whether any log has durability group.
func (o *Options) groups() bool {
	group := o.Durability == protocol.DurabilityGroup
	for _, c := range o.Classes {
		group = group || c.Durability == protocol.DurabilityGroup
	}
	return group && !o.Memory
}

// maxReplicas is the most copies that any log has.
func (o *Options) maxReplicas() int {
	most := o.Replicas
	for _, c := range o.Classes {
		most = max(most, c.Replicas)
	}
	return most
}

func (c Compression) storage() jetstream.StoreCompression {
	if c == CompressionS2 {
		return jetstream.S2Compression
	}
	return jetstream.NoCompression
}

// leastDuplicates is the shortest window in which JetStream recognizes message ids again. weir sends none, and a start reads
// everything that lies within the window.
const leastDuplicates = 100 * time.Millisecond

// logConfig is the JetStream stream of a log.
func (a *Adapter) logConfig(id layout.Log) jetstream.StreamConfig {
	storage := jetstream.FileStorage
	if a.opts.Memory {
		storage = jetstream.MemoryStorage
	}
	class := a.logClass(id.Class)
	c := jetstream.StreamConfig{
		Name:        id.Stream(a.opts.Prefix),
		Description: fmt.Sprintf("weir: records of streams created with storage class %s, log %d", id.Class, id.Index),
		Metadata:    map[string]string{"weir.class": string(id.Class), "weir.log": strconv.Itoa(id.Index), "weir.layout": layout.Version},
		Subjects:    []string{id.Filter(a.opts.Prefix)},
		Storage:     storage,
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardNew,
		Replicas:    class.Replicas,
		Compression: class.Compression.storage(),
		AllowDirect: true,
		Duplicates:  leastDuplicates,
		// a take-over is one batch
		AllowAtomicPublish: a.opts.Shared,
		MaxAge:             0, // weir's own retention keeps the newest chunk of every stream
	}
	if id.Owner != "" {
		c.Description += " of basin " + string(id.Owner)
		c.Metadata["weir.basin"] = string(id.Owner)
	}
	return c
}

// conform brings an existing log of a class to the present settings of its class, as far as the class has any. A log that
// cannot be changed goes on as it is.
func (l *log) conform(ctx context.Context) {
	class := l.a.opts.Classes[l.id.Class]
	if class.Replicas == 0 && class.Compression == "" {
		return
	}
	if err := l.update(ctx, class); err != nil {
		l.logger.Warn("a log could not be brought to the settings of its storage class; it stays as it is",
			slog.Any("error", err))
	}
}

func (l *log) update(ctx context.Context, class Class) error {
	ctx, cancel := context.WithTimeout(ctx, js.Timeout)
	defer cancel()
	s, err := l.a.js.Stream(ctx, l.name)
	if err != nil {
		return fmt.Errorf("look up %s: %w", l.name, err)
	}
	was := s.CachedInfo().Config
	want := was
	if class.Replicas != 0 {
		want.Replicas = class.Replicas
	}
	if class.Compression != "" && !l.a.opts.Memory {
		want.Compression = class.Compression.storage()
	}
	if want.Replicas > 1 { // see usageStream.config
		want.Compression = jetstream.NoCompression
	}
	if want.Replicas == was.Replicas && want.Compression == was.Compression {
		return nil
	}
	if _, err := l.a.js.UpdateStream(ctx, want); err != nil {
		return fmt.Errorf("update %s: %w", l.name, err)
	}
	if err := l.a.made(ctx, l.name); err != nil {
		return err
	}
	l.logger.Info("a log was brought to the settings of its storage class",
		slog.Int("replicas", want.Replicas), slog.String("compression", want.Compression.String()))
	return nil
}

// dedicatedLogs returns the logs of a basin's own that exist in JetStream or are open.
func (a *Adapter) dedicatedLogs(ctx context.Context, basin protocol.BasinName) (logs []layout.Log, err error) {
	seen := map[layout.Log]bool{}
	note := func(name string) {
		if id, ok := layout.ParseLog(a.opts.Prefix, name); ok && id.Owner == basin && !seen[id] {
			seen[id] = true
			logs = append(logs, id)
		}
	}
	for _, name := range a.logs.names() {
		note(name)
	}
	ctx, cancel := context.WithTimeout(ctx, js.Timeout)
	defer cancel()
	names := a.js.StreamNames(ctx, jetstream.WithStreamListSubject(a.opts.Prefix+".log.*.*."+string(basin)+".>"))
	for name := range names.Name() {
		note(name)
	}
	if err := names.Err(); err != nil {
		return nil, fmt.Errorf("list the logs of basin %s: %w", basin, err)
	}
	return logs, nil
}
