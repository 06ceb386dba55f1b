package door

import (
	"context"

	"github.com/weirstream/weir/protocol"
)

// Caller is a client that has been authenticated.
type Caller struct {
	Service protocol.Service // with the rights of the caller
	Client  Client           // under which its requests are counted
	Life    context.Context  //nolint:containedctx // ends when the caller's token is revoked or has expired; nil if it never does
}
