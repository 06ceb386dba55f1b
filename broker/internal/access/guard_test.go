package access_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/broker/internal/access"
	"github.com/weirstream/weir/protocol"
)

func TestAuthenticate(t *testing.T) {
	g, _ := newGuard(t)
	secret := issue(t, g, all("one"))
	other := issue(t, g, all("two"))
	one := caller(t, g, secret)
	if one.ID() != "one" || one.Info().Scope.Ops != protocol.AllOperations || one.Done() == nil {
		t.Fatalf("got %+v", one.Info())
	}
	if again := caller(t, g, secret); again != one {
		t.Fatal("the holders of one token are two callers")
	}
	if caller(t, g, other) == one || caller(t, g, other).Key() == one.Key() {
		t.Fatal("the holders of two tokens are one caller")
	}
	if root := caller(t, g, rootSecret); root != g.Root() || root.Done() != nil || root.ID() != protocol.RootTokenID {
		t.Fatal("the root is not the root")
	}
	var messages []string
	for _, bad := range []string{"", "x", secret + " ", secret[1:], rootSecret + "x", strings.Repeat("x", 5000), "weir_"} {
		_, err := g.Authenticate(bad)
		hasCode(t, err, protocol.CodeAuthn)
		messages = append(messages, err.Error())
	}
	if err := g.Root().Service().RevokeAccessToken(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	_, err := g.Authenticate(secret)
	hasCode(t, err, protocol.CodeAuthn)
	for _, m := range append(messages, err.Error()) {
		if m != messages[0] {
			t.Fatalf("%q and %q tell two failures apart", m, messages[0])
		}
	}
	<-one.Done()
	_, err = one.Service().ListBasins(t.Context(), protocol.ListRequest{})
	hasCode(t, err, protocol.CodeAuthn)
	if again := issue(t, g, all("one")); caller(t, g, again).Key() == one.Key() {
		t.Fatal("two tokens of one id have one key")
	}
}

// While it is not known which tokens count, only the root is let in; callers who are in already are refused as well.
func TestTokensThatMayHaveBeenRevoked(t *testing.T) {
	cutOff := false
	g := access.New(&core{}, newStore(), access.Options{RootSecret: rootSecret, Current: func() error {
		if cutOff {
			return protocol.Errorf(protocol.CodeUnavailable, "cut off")
		}
		return nil
	}})
	secret := issue(t, g, all("one"))
	one := caller(t, g, secret)
	cutOff = true
	for _, s := range []string{secret, "unknown"} {
		_, err := g.Authenticate(s)
		hasCode(t, err, protocol.CodeUnavailable)
	}
	_, err := one.Service().ListBasins(t.Context(), protocol.ListRequest{})
	hasCode(t, err, protocol.CodeUnavailable)
	if _, err := caller(t, g, rootSecret).Service().ListBasins(t.Context(), protocol.ListRequest{}); err != nil {
		t.Errorf("the root is refused: %v", err)
	}
	cutOff = false
	if _, err := caller(t, g, secret).Service().ListBasins(t.Context(), protocol.ListRequest{}); err != nil {
		t.Errorf("the token is refused: %v", err)
	}
}

func TestOpenGuard(t *testing.T) {
	g := access.New(&core{}, newStore(), access.Options{})
	defer g.Close()
	if !g.Open() {
		t.Fatal("it is not open")
	}
	secret := issue(t, g, all("kept"))
	for _, any := range []string{"", "x", secret} {
		if caller(t, g, any) != g.Root() {
			t.Fatal("not everybody is the root")
		}
	}
	if _, err := g.Root().Service().ListBasins(t.Context(), protocol.ListRequest{}); err != nil {
		t.Fatal(err)
	}
}

func TestExpiryEndsTheCallerInTime(t *testing.T) {
	for _, after := range []time.Duration{time.Nanosecond, time.Second, 90 * time.Second, 400 * 24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			g, c := newGuard(t)
			req := all("one")
			req.ExpiresAt = time.Now().Add(after)
			secret := issue(t, g, req)
			one := caller(t, g, secret)
			s, err := one.Service().OpenReadSession(t.Context(), protocol.StreamRef{Basin: "demo-basin", Stream: "s"}, protocol.ReadRequest{})
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			_, err = s.Next(t.Context())
			hasCode(t, err, protocol.CodeAuthn)
			if took := time.Since(begin); took != after {
				t.Errorf("the session of a token of %v ended after %v", after, took)
			}
			<-one.Done()
			synctest.Wait() // the sessions are closed by another goroutine
			if _, err = g.Authenticate(secret); protocol.CodeOf(err) != protocol.CodeAuthn || c.closedSessions() != 1 {
				t.Errorf("got %v, %d sessions closed", err, c.closedSessions())
			}
			_ = s.Close()
		})
	}
}

// TestSessionsCostNoGoroutine: they hang on their token, and let go of it.
func TestSessionsCostNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := newGuard(t)
		svc := caller(t, g, issue(t, g, all("one"))).Service()
		ref := protocol.StreamRef{Basin: "demo-basin", Stream: "s"}
		before := runtime.NumGoroutine()
		var closers []func() error
		for range 500 {
			r, err := svc.OpenReadSession(t.Context(), ref, protocol.ReadRequest{})
			if err != nil {
				t.Fatal(err)
			}
			a, err := svc.OpenAppendSession(t.Context(), ref)
			if err != nil {
				t.Fatal(err)
			}
			closers = append(closers, r.Close, a.Close)
		}
		if grown := runtime.NumGoroutine() - before; grown > 100 { // earlier tests may leave some that come and go
			t.Errorf("%d goroutines for 1000 sessions", grown)
		}
		for _, closeOne := range closers[:200] {
			_ = closeOne()
		}
		if err := g.Root().Service().RevokeAccessToken(t.Context(), "one"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := c.closedSessions(); n != 1000 {
			t.Errorf("%d sessions are closed, want 1000", n)
		}
	})
}

func TestAWaitingReadEndsWithItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := newGuard(t)
		svc := caller(t, g, issue(t, g, all("one"))).Service()
		wait := time.Minute
		failed := make(chan error, 1)
		go func() {
			_, err := svc.Read(t.Context(), protocol.StreamRef{Basin: "demo-basin", Stream: "s"}, protocol.ReadRequest{Wait: &wait})
			failed <- err
		}()
		synctest.Wait()
		if err := g.Root().Service().RevokeAccessToken(t.Context(), "one"); err != nil {
			t.Fatal(err)
		}
		hasCode(t, <-failed, protocol.CodeAuthn)
	})
}

// TestRevocationWinsEveryRace: once a revocation has returned, no caller of the token lives, whoever authenticated when.
func TestRevocationWinsEveryRace(t *testing.T) {
	g, _ := newGuard(t)
	for i := range 300 {
		secret := issue(t, g, all("one"))
		var wg sync.WaitGroup
		got := make([]*access.Caller, 4)
		for j := range got {
			wg.Go(func() {
				for range i % 7 {
					runtime.Gosched()
				}
				got[j], _ = g.Authenticate(secret)
			})
		}
		if err := g.Root().Service().RevokeAccessToken(t.Context(), "one"); err != nil {
			t.Fatal(err)
		}
		if c, err := g.Authenticate(secret); err == nil {
			t.Fatalf("a revoked token opens %s", c.ID())
		}
		wg.Wait()
		for _, c := range got {
			if c != nil {
				<-c.Done()
			}
		}
	}
}

// TestSecretsDoNotShow: neither in what is logged nor in what is listed or refused.
func TestSecretsDoNotShow(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	g := access.New(&core{}, newStore(), access.Options{RootSecret: rootSecret, Logger: log})
	defer g.Close()
	secret := issue(t, g, all("one"))
	_, err := g.Authenticate(secret + "x")
	page, _ := g.Root().Service().ListAccessTokens(t.Context(), protocol.ListRequest{})
	_ = g.Root().Service().RevokeAccessToken(t.Context(), "one")
	shown := out.String() + err.Error() + fmt.Sprintf("%+v", page)
	if strings.Contains(shown, secret) || strings.Contains(shown, rootSecret) || !strings.Contains(shown, `"token":"one"`) {
		t.Errorf("got %s", shown)
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	g, _ := newGuard(b)
	secret := issue(b, g, all("one"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := g.Authenticate(secret); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRule(b *testing.B) {
	g, _ := newGuard(b)
	req := all("one")
	req.Scope.Ops &^= protocol.Operations(protocol.OpDeleteBasin)
	svc := caller(b, g, issue(b, g, req)).Service()
	b.ReportAllocs()
	for b.Loop() {
		_, _ = svc.CheckTail(b.Context(), protocol.StreamRef{Basin: "demo-basin", Stream: "s"})
	}
}
