package broker

import (
	"context"
	"log/slog"
	"time"

	"github.com/weirstream/weir/adapter"
	"github.com/weirstream/weir/broker/internal/access"
	"github.com/weirstream/weir/protocol"
)

// tokenStore is the adapter's tokens behind the drainer, as the guard wants them.
type tokenStore struct {
	*adapter.Adapter
	s *service
}

var _ access.Tokens = tokenStore{}

func (t tokenStore) PutToken(ctx context.Context, token protocol.StoredToken) error {
	_, err := do(t.s, func() (struct{}, error) { return struct{}{}, t.Adapter.PutToken(ctx, token) })
	return err
}

func (t tokenStore) ConfirmToken(ctx context.Context, id protocol.AccessTokenID) error {
	_, err := do(t.s, func() (struct{}, error) { return struct{}{}, t.Adapter.ConfirmToken(ctx, id) })
	return err
}

func (t tokenStore) RemoveToken(ctx context.Context, id protocol.AccessTokenID) error {
	_, err := do(t.s, func() (struct{}, error) { return struct{}{}, t.Adapter.RemoveToken(ctx, id) })
	return err
}

func (t tokenStore) ListTokens(_ context.Context, req protocol.ListRequest) (page []protocol.StoredToken, more bool, err error) {
	page, err = do(t.s, func() (page []protocol.StoredToken, err error) {
		page, more = t.Adapter.ListTokens(req)
		return page, nil
	})
	return page, more, err
}

// maxUnconfirmed is how many unconfirmed tokens a start lists.
const maxUnconfirmed = 100

// warnUnconfirmed lists the tokens that were issued while nothing was checked. Anybody may have issued them, so that a broker which
// checks tokens does not honour them until its operator says so.
func (b *Broker) warnUnconfirmed() {
	if b.guard.Open() {
		return
	}
	n := 0
	var req protocol.ListRequest
	for {
		page, more := b.ad.ListTokens(req)
		for i := range page {
			t := &page[i].Info
			req.StartAfter = string(t.ID)
			if !t.Unconfirmed || t.ExpiredAt(time.Now()) {
				continue
			}
			if n++; n <= maxUnconfirmed {
				b.log.Warn("access token is not honoured until it is confirmed: it was issued while nothing was checked",
					slog.String("token", string(t.ID)), slog.Any("scope", scopeValue{t}), slog.String("expires", expiryText(t)))
			}
		}
		if !more {
			break
		}
	}
	if n > 0 {
		b.log.Warn("access tokens want to be confirmed, or revoked: weir confirm-access-token ID (or --all), weir revoke-access-token ID",
			slog.Int("tokens", n))
	}
}

// scopeValue is the scope of a token in a log line.
type scopeValue struct{ t *protocol.AccessTokenInfo }

// LogValue gives the scope as it is listed.
func (v scopeValue) LogValue() slog.Value {
	text, err := v.t.Scope.MarshalJSON()
	if err != nil {
		return slog.StringValue(err.Error())
	}
	return slog.StringValue(string(text))
}

func expiryText(t *protocol.AccessTokenInfo) string {
	if t.ExpiresAt.IsZero() {
		return "never"
	}
	return t.ExpiresAt.Format(time.RFC3339)
}
