package broker

import (
	"github.com/weirstream/weir/broker/internal/httpapi"
	"github.com/weirstream/weir/protocol"
)

// dashboard returns the function that describes the broker and the user to the console; nil if the configuration switches the
// console off.
func (b *Broker) dashboard(version string) func(token string) (httpapi.DashboardSession, error) {
	if !b.cfg.HTTP.Dashboard {
		return nil
	}
	return func(token string) (httpapi.DashboardSession, error) {
		caller, err := b.guard.Authenticate(token)
		if err != nil {
			return httpapi.DashboardSession{}, err
		}
		info := caller.Info()
		if info.AutoPrefixStreams { // its holder sees every name without the prefix, and does not learn it
			info.Scope.Streams = protocol.ResourceSet{Kind: protocol.MatchPrefix}
		}
		return httpapi.DashboardSession{
			Version:    version,
			Durability: string(b.durability()),
			Checked:    !b.guard.Open(),
			NATSURL:    b.ClientURL(),
			Token:      info,
		}, nil
	}
}
