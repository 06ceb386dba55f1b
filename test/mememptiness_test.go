package test

import (
	"time"

	"github.com/weirstream/weir/protocol"
)

// memDeadline is an entry of control plane 4.9, in seconds.
type memDeadline struct{ at, minAge int64 }

// armLocked adds a deadline; age counts where the rule says so.
func (s *memStream) armLocked(withAge bool) {
	minAge := int64(s.config.DeleteOnEmptyMinAge)
	if minAge == 0 {
		return
	}
	at := time.Now().Unix() + minAge + 600
	if withAge {
		at += int64(s.config.RetentionPolicy.AgeSecs)
	}
	s.deadlines = append(s.deadlines, memDeadline{at, minAge})
}

// reconfigureLocked stores a configuration, and arms when delete-on-empty is switched on.
func (s *memStream) reconfigureLocked(config protocol.ResolvedStreamConfig) {
	if config.Expiry != s.config.Expiry {
		s.used = time.Now()
	}
	was := s.config.DeleteOnEmptyMinAge
	s.config = config
	if was == 0 {
		s.armLocked(true)
	}
}

// wroteLocked arms after an append.
func (s *memStream) wroteLocked() {
	s.wrote = time.Now()
	if !s.config.RetentionPolicy.Infinite() {
		s.armLocked(true)
	}
	if s.trim == s.tail.SeqNum {
		s.armLocked(false)
	}
}

// emptyLocked deletes the basin's streams that delete-on-empty is due for, and those that have expired. Every call does this first, so it is as if a
// task did it all the time.
func (m *memService) emptyLocked(b *memBasin) {
	now := time.Now().Unix()
	for name, s := range b.streams {
		var left []memDeadline
		cutoff := int64(-1)
		for _, d := range s.deadlines {
			if d.at > now {
				left = append(left, d)
			} else {
				cutoff = max(cutoff, d.at-d.minAge)
			}
		}
		s.deadlines = left
		if s.expiredLocked(time.Now()) || s.config.DeleteOnEmptyMinAge > 0 && s.wrote.Unix() <= cutoff && len(s.surviving(0, protocol.TerminalTrimPoint)) == 0 {
			s.deleted = true
			delete(b.streams, name)
			m.notifyLocked()
		}
	}
}
