package test

import (
	"time"

	"github.com/weirstream/weir/protocol"
)

// useLocked notes a read or an append, until end is called.
func (s *memStream) useLocked() (end func()) {
	s.using++
	s.used = time.Now()
	return func() {
		s.using--
		s.used = time.Now()
	}
}

// expiredLocked reports whether the stream's time has come.
func (s *memStream) expiredLocked(now time.Time) bool {
	x := s.config.Expiry
	if x.At != 0 && uint64(now.UnixMilli()) >= x.At {
		return true
	}
	return x.IdleSecs != 0 && s.using == 0 && now.Sub(s.used) >= time.Duration(x.IdleSecs)*time.Second
}

// memExpiry refuses what no stream, or no default, can have.
func memExpiry(config protocol.ResolvedStreamConfig) error { return config.Check(time.Now()) }
