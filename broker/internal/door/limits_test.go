package door

import (
	"context"
	"testing"

	"github.com/weirstream/weir/protocol"
)

func refused(t *testing.T, what string, err error, want protocol.Code) {
	t.Helper()
	if protocol.CodeOf(err) != want {
		t.Errorf("%s: %v, want code %s", what, err, want)
	}
}

func request(t *testing.T, l *Limiter, c Client, bytes int) *Place {
	t.Helper()
	p, err := l.Request(c, bytes)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func session(t *testing.T, l *Limiter, c Client) *Place {
	t.Helper()
	p, err := l.Session(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func noRequest(t *testing.T, what string, l *Limiter, c Client, bytes int, want protocol.Code) {
	t.Helper()
	_, err := l.Request(c, bytes)
	refused(t, what, err, want)
}

func noSession(t *testing.T, what string, l *Limiter, c Client, want protocol.Code) {
	t.Helper()
	_, err := l.Session(c)
	refused(t, what, err, want)
}

func TestEverythingIsGivenBack(t *testing.T) {
	l := New(Limits{Requests: 2, Bytes: 10, Sessions: 1})
	all := Client{}
	huge := request(t, l, all, 100) // a single request passes whatever its size
	noRequest(t, "beyond the bytes", l, all, 1, protocol.CodeRateLimited)
	huge.Leave()
	huge.Leave()
	one := request(t, l, all, 0)
	refused(t, "growing beyond the bytes", one.Grow(11), protocol.CodeRateLimited)
	if err := one.Grow(10); err != nil {
		t.Fatal(err)
	}
	one.Shrink(4)
	two := request(t, l, all, 4)
	noRequest(t, "beyond the requests", l, all, 0, protocol.CodeRateLimited)
	two.Leave()
	s := session(t, l, all)
	noSession(t, "beyond the sessions", l, all, protocol.CodeRateLimited)
	l.Drain(ErrDraining())
	l.Drain(ErrDraining())
	noRequest(t, "a request while draining", l, all, 1, protocol.CodeServerDraining)
	noSession(t, "a session while draining", l, all, protocol.CodeServerDraining)
	given, up := context.WithCancel(t.Context())
	up()
	for _, p := range []*Place{s, one} {
		if l.Wait(given) == nil {
			t.Error("idle with something left")
		}
		p.Leave()
	}
	if err := l.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	if l.all != (use{}) {
		t.Errorf("%+v is left", l.all)
	}
}

// TestShares: a client has no more than its part of each limit, whatever it does; the rest is there for others, and
// something for the root token in any case.
func TestShares(t *testing.T) {
	l := New(Limits{Requests: 32, Bytes: 1000, Sessions: 32})
	token := func(key string) Client { return Client{Key: key, Part: TokenPart} }
	root := Client{Key: "root", Part: 1, Root: true}
	var places []*Place
	for range 8 {
		places = append(places, request(t, l, token("a"), 0), session(t, l, token("a")))
	}
	noRequest(t, "a's ninth request", l, token("a"), 0, protocol.CodeRateLimited)
	noSession(t, "a's ninth session", l, token("a"), protocol.CodeRateLimited)
	if err := places[0].Grow(250); err != nil {
		t.Error(err)
	}
	refused(t, "a's bytes beyond a quarter", places[1].Grow(1), protocol.CodeRateLimited)
	b := request(t, l, token("b"), 0)
	if err := b.Grow(250); err != nil {
		t.Errorf("b pays for what a holds: %v", err)
	}
	b.Leave()
	for _, key := range []string{"b", "c", "d"} {
		for range 8 {
			p, err := l.Request(token(key), 0)
			if err != nil {
				refused(t, "beyond what is not kept for the root", err, protocol.CodeRateLimited)
				continue
			}
			places = append(places, p)
		}
	}
	if l.all.requests != 30 {
		t.Errorf("tokens have %d of 32 requests, want all but two", l.all.requests)
	}
	places = append(places, request(t, l, root, 0), request(t, l, root, 0))
	noRequest(t, "more than all", l, root, 0, protocol.CodeRateLimited)
	for _, p := range places {
		p.Leave()
	}
	if l.all != (use{}) || len(l.shares) != 0 {
		t.Errorf("%+v and %d shares are left", l.all, len(l.shares))
	}
}

// TestBudget: doors that share a budget hold no more together, and give back what they took.
func TestBudget(t *testing.T) {
	b := NewBudget(100, 2)
	limiter := func() *Limiter { return New(Limits{Requests: 10, Bytes: 80, Sessions: 10, Budget: b}) }
	one, two := limiter(), limiter()
	all := Client{}
	first := request(t, one, all, 70)
	noRequest(t, "beyond the bytes of all", two, all, 40, protocol.CodeRateLimited)
	small := request(t, two, all, 0)
	refused(t, "an input beyond the bytes of all", small.Grow(40), protocol.CodeRateLimited)
	if err := small.Grow(30); err != nil {
		t.Error(err)
	}
	small.Leave()
	first.Leave()
	request(t, two, all, 80).Leave()
	s1, s2 := session(t, one, all), session(t, two, all)
	noSession(t, "beyond the sessions of all", one, all, protocol.CodeRateLimited)
	s2.Leave()
	session(t, one, all).Leave()
	s1.Leave()
	if bytes, sessions := b.bytes.Load(), b.sessions.Load(); bytes != 0 || sessions != 0 {
		t.Errorf("%d bytes and %d sessions were not given back", bytes, sessions)
	}
}
