package cli_test

import (
	"context"

	"github.com/weirstream/weir/protocol"
)

func (f *fakeService) ListAccessTokens(context.Context, protocol.ListRequest) (protocol.AccessTokenPage, error) {
	return protocol.AccessTokenPage{}, protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}

func (f *fakeService) IssueAccessToken(context.Context, protocol.IssueAccessTokenRequest) (string, error) {
	return "", protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}

func (f *fakeService) RevokeAccessToken(context.Context, protocol.AccessTokenID) error {
	return protocol.Errorf(protocol.CodeNotImplemented, "not implemented")
}
