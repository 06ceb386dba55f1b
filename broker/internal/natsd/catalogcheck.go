package natsd

import (
	"fmt"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// checkCatalog refuses a store that has records and no catalog. The server drops a block of the catalog that it cannot
// read with a warning, and a broker that went on would tell everybody that their basins do not exist. A deletion removes
// records first and names last, so there is no other way to get there.
func (e *Embedded) checkCatalog() error {
	d, err := e.srv.JszAccount(&server.JSzOptions{Account: e.plan.storage, Streams: true})
	if err != nil {
		return fmt.Errorf("JetStream is not available in the account %s: %w", e.plan.storage, err)
	}
	prefix := strings.ToUpper(e.cfg.SubjectPrefix)
	catalog := "KV_" + prefix + "_CATALOG"
	records := false
	for i := range d.Streams {
		s := &d.Streams[i]
		switch {
		case s.Name == catalog && s.State.Msgs > 0:
			return nil
		case strings.HasPrefix(s.Name, prefix+"_LOG_") && s.State.Msgs > 0:
			records = true
		}
	}
	if records {
		return errDamaged(e.dir, e.plan.storage, []string{catalog})
	}
	return nil
}
