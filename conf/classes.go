package conf

// ClassSettings states the special settings of the streams of one of S2's storage classes. With nothing set they are stored
// like all others, in the same logs; with anything set the class gets logs of its own for new streams.
type ClassSettings struct {
	// Replicas is the number of copies: 1, 3 or 5. Default 0: as Config.Replicas.
	Replicas int
	// Compression is how the logs' files are compressed: "none" or "s2", which is for logs with one copy. Default "": none.
	Compression string
	// Durability is the promise of an acknowledgement of an append. Default "": as Config.Durability. Group and interval can
	// stand beside each other; always is the whole server's.
	Durability Durability
	// Logs is the number of logs that the class has, from 1 to 64. Default 0: as Config.Logs.
	Logs int
}

// The compressions of a storage class.
const (
	CompressionNone = "none"
	CompressionS2   = "s2"
)

func (v *validation) storageClass(key string, s ClassSettings, c Config, goos string) {
	if s == (ClassSettings{}) {
		return
	}
	if s.Replicas != 0 && s.Replicas != 1 && s.Replicas != 3 && s.Replicas != 5 {
		v.add(key+".replicas", "is %d; allowed are 1, 3 and 5", s.Replicas)
	}
	if s.Compression != "" {
		v.oneOf(key+".compression", s.Compression, CompressionNone, CompressionS2)
	}
	if copies := s.copies(c); s.Compression == CompressionS2 && copies > 1 {
		v.add(key+".compression", "is s2, but the class has %d replicas: a NATS server that starts again after a kill can damage files of a "+
			"compressed stream with replicas (docs/upstream); use none", copies)
	}
	if s.Logs != 0 {
		v.integer(key+".logs", int64(s.Logs), 1, 64)
	}
	v.classDurability(key+".durability", s, c, goos)
}

func (v *validation) classDurability(key string, s ClassSettings, c Config, goos string) {
	base, replicas := c.durabilityOn(goos), s.copies(c)
	switch s.Durability {
	case "", base:
		if base == DurabilityGroup && replicas > 1 {
			v.add(key, "would be group, which syncs one server's files, but the class has %d replicas: use interval", replicas)
		}
		return
	case DurabilityGroup, DurabilityInterval, DurabilityAlways:
	default:
		v.add(key, "is %q; allowed are group, always and interval", s.Durability)
		return
	}
	switch {
	case s.Durability == DurabilityAlways, base == DurabilityAlways:
		v.add(key, "is %s and durability is %s, but always is the whole NATS server's: leave it out", s.Durability, base)
	case c.External.Enabled(), c.Memory:
		v.add(key, "cannot differ from durability with external or memory: leave it out")
	case s.Durability == DurabilityGroup && replicas > 1:
		v.add(key, "group syncs one server's files, but the class has %d replicas: use interval", replicas)
	case s.Durability == DurabilityGroup && goos != "linux":
		v.add(key, "group needs Linux (syncfs), this is %s: use interval", goos)
	}
}

// copies is the number of copies of the class.
func (s ClassSettings) copies(c Config) int {
	if s.Replicas == 0 {
		return c.Copies()
	}
	return s.Replicas
}

// HasInterval reports whether anything has durability interval.
func (c Config) HasInterval() bool {
	return c.DurabilityClass() == DurabilityInterval || c.StorageStandard.Durability == DurabilityInterval ||
		c.StorageExpress.Durability == DurabilityInterval
}

// SyncsByGroup reports whether anything has durability group.
func (c Config) SyncsByGroup() bool {
	return c.DurabilityClass() == DurabilityGroup || c.StorageStandard.Durability == DurabilityGroup ||
		c.StorageExpress.Durability == DurabilityGroup
}
