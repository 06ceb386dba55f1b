package adapter

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/protocol"
)

// Compression is how a log's files are compressed. Everything that is stored and not in the newest block of a log is.
type Compression string

// The compressions.
const (
	CompressionNone Compression = "none"
	CompressionS2   Compression = "s2"
)

// Class says what is special about the logs of a storage class. With the zero value nothing is, and the class's streams
// live in the basin's common logs.
type Class struct {
	// Replicas is the number of copies; 0: Options.Replicas.
	Replicas int
	// Compression is how the logs' files are compressed; "": not at all.
	Compression Compression
	// Durability is when an append counts as done; "": Options.Durability.
	Durability Durability
	// LogsPerBasin is the number of logs that the streams of the class in one basin are spread over; 0:
	// Options.LogsPerBasin.
	LogsPerBasin int
}

// classSpan is how many logs a basin can have of a kind: log n is one of the common ones below classSpan, then come
// those of the classes, as many each.
const classSpan = 64

// classes are the storage classes in the order of their logs' numbers, behind the common ones.
var classes = [...]protocol.StorageClass{protocol.StorageStandard, protocol.StorageExpress}

// classOf is the storage class whose streams log n was made for; "" for a common one.
func classOf(n int) protocol.StorageClass {
	if i := n/classSpan - 1; i >= 0 && i < len(classes) {
		return classes[i]
	}
	return ""
}

// place chooses the log of a new stream; hash spreads the streams over those of a kind.
func (a *Adapter) place(b *basinRecord, class protocol.StorageClass, hash uint32) int {
	c := a.opts.Classes[class]
	if c == (Class{}) {
		return int(hash % uint32(max(1, b.Logs)))
	}
	logs := c.LogsPerBasin
	if logs == 0 {
		logs = a.opts.LogsPerBasin
	}
	for i, name := range classes {
		if name == class {
			return (i+1)*classSpan + int(hash%uint32(min(logs, classSpan)))
		}
	}
	return int(hash % uint32(max(1, b.Logs)))
}

// logClass is what applies to log n: that of its class, completed by what applies to all.
func (a *Adapter) logClass(n int) Class {
	c := a.opts.Classes[classOf(n)]
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
	group := o.Durability == DurabilityGroup
	for _, c := range o.Classes {
		group = group || c.Durability == DurabilityGroup
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

// logConfig is the JetStream stream for log n of a basin.
func (a *Adapter) logConfig(name string, basin protocol.BasinName, n int) jetstream.StreamConfig {
	storage := jetstream.FileStorage
	if a.opts.Memory {
		storage = jetstream.MemoryStorage
	}
	class := a.logClass(n)
	c := jetstream.StreamConfig{
		Name:        name,
		Description: "weir: records of basin " + string(basin) + ", log " + strconv.Itoa(n),
		Metadata:    map[string]string{"weir.basin": string(basin), "weir.log": strconv.Itoa(n)},
		Subjects:    []string{a.logSubjects(basin, n) + "*"},
		Storage:     storage,
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardNew,
		Replicas:    class.Replicas,
		Compression: class.Compression.storage(),
		AllowDirect: true,
		DenyDelete:  true,
		MaxAge:      0, // weir's own retention keeps the newest chunk of every stream
	}
	if name := classOf(n); name != "" {
		c.Description += ", storage class " + string(name)
		c.Metadata["weir.class"] = string(name)
	}
	return c
}

// conform brings an existing log of a class to what its class says now, as far as the class says something. A log that
// cannot be changed goes on as it is.
func (l *log) conform(ctx context.Context, basin protocol.BasinName, n int) {
	class := l.a.opts.Classes[classOf(n)]
	if class.Replicas == 0 && class.Compression == "" {
		return
	}
	if err := l.update(ctx, class); err != nil {
		l.logger.Warn("a log could not be brought to the settings of its storage class; it stays as it is",
			slog.String("basin", string(basin)), slog.Any("error", err))
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

// logsOf returns the numbers of a basin's logs that exist in JetStream or are open.
func (a *Adapter) logsOf(ctx context.Context, basin protocol.BasinName) (logs []int, err error) {
	seen := map[int]bool{}
	note := func(name string) {
		if b, n, ok := a.parseLogName(name); ok && b == basin && !seen[n] {
			seen[n] = true
			logs = append(logs, n)
		}
	}
	for _, name := range a.logs.names() {
		note(name)
	}
	ctx, cancel := context.WithTimeout(ctx, js.Timeout)
	defer cancel()
	names := a.js.StreamNames(ctx, jetstream.WithStreamListSubject(a.opts.Prefix+".log."+string(basin)+".>"))
	for name := range names.Name() {
		note(name)
	}
	if err := names.Err(); err != nil {
		return nil, fmt.Errorf("list the logs of basin %s: %w", basin, err)
	}
	return logs, nil
}
