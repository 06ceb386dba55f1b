package broker

import (
	"context"

	"github.com/weirstream/weir/protocol"
)

func (s *service) ListLocations(ctx context.Context) ([]protocol.LocationInfo, error) {
	return do(s, func() ([]protocol.LocationInfo, error) { return s.st.ListLocations(ctx) })
}

func (s *service) DefaultLocation(ctx context.Context) (protocol.LocationInfo, error) {
	return do(s, func() (protocol.LocationInfo, error) { return s.st.DefaultLocation(ctx) })
}

func (s *service) SetDefaultLocation(ctx context.Context, name protocol.LocationName) (protocol.LocationInfo, error) {
	return do(s, func() (protocol.LocationInfo, error) { return s.st.SetDefaultLocation(ctx, name) })
}

// locations are the configured locations.
func (b *Broker) locations() (names []protocol.LocationName) {
	for _, name := range b.cfg.LocationNames() {
		names = append(names, protocol.LocationName(name))
	}
	return names
}
