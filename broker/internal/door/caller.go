package door

import (
	"context"

	"github.com/weirstream/weir/protocol"
)

// Caller is a client that has said who it is.
type Caller struct {
	Service protocol.Service // what the caller may do
	Client  Client           // what its requests are counted as
	Life    context.Context  //nolint:containedctx // ends when the caller's token is revoked or has expired; nil if it never does
}
