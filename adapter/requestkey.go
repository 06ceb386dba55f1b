package adapter

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/weirstream/weir/protocol"
)

// requestKey derives the idempotency key of a create from its token and the configuration as requested (control plane
// 3.3); empty without a token.
func requestKey(token *string, config any) (string, error) {
	if token == nil {
		return "", nil
	}
	asked, err := json.Marshal(config)
	if err != nil {
		return "", fmt.Errorf("encode config: %w", err)
	}
	sum := sha256.Sum256(append(append([]byte(*token), 0), asked...))
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

// askedStream is the input of the idempotency key of a create: the configuration and, if the stream is a fork, the fork as
// requested.
func askedStream(req protocol.CreateStreamRequest) any {
	if req.Fork == nil {
		return req.Config
	}
	return []any{req.Config, req.Fork}
}

// askedBasin is the input of the idempotency key of a create: the configuration and, with decision D-1, the
// location as requested. Keys of requests without a location are those that older versions stored.
func askedBasin(req protocol.CreateBasinRequest) any {
	if req.Location == "" && req.DedicatedLogs == 0 {
		return req.Config
	}
	return []any{req.Config, req.Location, req.DedicatedLogs}
}
