package test

import (
	"context"

	"github.com/weirstream/weir/protocol"
)

func (m *memService) ListAccessTokens(context.Context, protocol.ListRequest) (protocol.AccessTokenPage, error) {
	return protocol.AccessTokenPage{}, protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}

func (m *memService) IssueAccessToken(context.Context, protocol.IssueAccessTokenRequest) (string, error) {
	return "", protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}

func (m *memService) ConfirmAccessToken(context.Context, protocol.AccessTokenID) error {
	return protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}

func (m *memService) RevokeAccessToken(context.Context, protocol.AccessTokenID) error {
	return protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}
