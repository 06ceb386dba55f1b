package backup

import (
	"sync"

	"github.com/weirstream/weir/protocol"
)

// meter counts bytes and passes on how far things are.
type meter struct {
	phase string
	show  func(Progress)

	mu    sync.Mutex // guards bytes, and lets show be called by one at a time
	bytes int64
}

func (m *meter) add(basin protocol.BasinName, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bytes += int64(n)
	if m.show != nil {
		m.show(Progress{Phase: m.phase, Basin: basin, Bytes: m.bytes})
	}
}
