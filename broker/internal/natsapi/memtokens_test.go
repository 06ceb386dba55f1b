package natsapi_test

import (
	"context"

	"github.com/weirstream/weir/protocol"
)

func (m *memory) ListAccessTokens(context.Context, protocol.ListRequest) (protocol.AccessTokenPage, error) {
	return protocol.AccessTokenPage{}, protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}

func (m *memory) IssueAccessToken(context.Context, protocol.IssueAccessTokenRequest) (string, error) {
	return "", protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}

func (m *memory) ConfirmAccessToken(context.Context, protocol.AccessTokenID) error {
	return protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}

func (m *memory) RevokeAccessToken(context.Context, protocol.AccessTokenID) error {
	return protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}
