package natsd

import (
	"fmt"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/weirstream/weir/adapter/layout"
)

// checkCatalog refuses a store that has records and no catalog. The server drops a block of the catalog that it cannot
// read with a warning, and a broker that went on would tell everybody that their basins do not exist. A deletion removes
// records first and names last, so there is no other way to get there.
func (e *Embedded) checkCatalog() error {
	d, err := e.srv.JszAccount(&server.JSzOptions{Account: PrivateAccount, Streams: true})
	if err != nil {
		return fmt.Errorf("JetStream is not available in the account %s: %w", PrivateAccount, err)
	}
	catalog := layout.Catalog(e.cfg.SubjectPrefix)
	records := false
	for i := range d.Streams {
		s := &d.Streams[i]
		switch {
		case s.Name == catalog && s.State.Msgs > 0:
			return nil
		case isLog(e.cfg.SubjectPrefix, s.Name) && s.State.Msgs > 0:
			records = true
		}
	}
	if records {
		return errDamaged(e.dir, PrivateAccount, []string{catalog})
	}
	return nil
}

// isLog reports whether a JetStream stream is a log.
func isLog(prefix, stream string) bool {
	_, ok := layout.ParseLog(prefix, stream)
	return ok
}
