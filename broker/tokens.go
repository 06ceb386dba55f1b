package broker

import (
	"context"

	"github.com/weirstream/weir/protocol"
)

func (s *service) ListAccessTokens(context.Context, protocol.ListRequest) (protocol.AccessTokenPage, error) {
	return protocol.AccessTokenPage{}, protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}

func (s *service) IssueAccessToken(context.Context, protocol.IssueAccessTokenRequest) (string, error) {
	return "", protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}

func (s *service) RevokeAccessToken(context.Context, protocol.AccessTokenID) error {
	return protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}
