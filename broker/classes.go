package broker

import (
	"github.com/weirstream/weir/adapter"
	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// classes are the storage classes' settings as the adapter takes them.
func (b *Broker) classes() map[protocol.StorageClass]adapter.Class {
	class := func(c conf.ClassSettings) adapter.Class {
		return adapter.Class{Replicas: c.Replicas, Compression: adapter.Compression(c.Compression),
			Durability: c.Durability, Logs: c.Logs}
	}
	return map[protocol.StorageClass]adapter.Class{
		protocol.StorageStandard: class(b.cfg.StorageStandard),
		protocol.StorageExpress:  class(b.cfg.StorageExpress),
	}
}
