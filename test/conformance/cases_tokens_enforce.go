package conformance

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

// everywhere is the scope of a target, for calls that are tried on it.
func (on Target) everywhere(r *protocol.IssueAccessTokenRequest) {
	r.Scope.Basins, r.Scope.Streams, r.Scope.AccessTokens = prefixed(on.Basin), prefixed(on.Stream), prefixed(on.Token)
}

// enforceCases: control plane A.20, and the rows of other sections about a single operation.
var enforceCases = []TokenCase{
	{Row: "cp A.20/368", Name: "every call with every operation but its own", Run: func(t *testing.T, e *TokenEnv) {
		on := e.target()
		for _, call := range Calls {
			for _, lacks := range call.Needs {
				svc := e.holder(on.everywhere, opSet(protocol.AllOperations&^protocol.Operations(lacks)))
				f := e.denied(call.Do(e.ctx, svc, on))
				if !e.tells(f, lacks.String()) {
					t.Fatalf("%s: %q does not name %s", call.Name, f.Message, lacks)
				}
			}
		}
		// Nothing happened: the target is as it was made.
		e.must(Calls[0].Do(e.ctx, e.Service, on), "list basins")
		(&Stream{on.StreamRef, e.Env}).Read(from(0)).Bodies("record")
		_, ok := e.info(on.NewToken)
		equal(t, "issued", ok, false)
		_, ok = e.info(on.Token)
		equal(t, "there", ok, true)
	}},
	{Row: "cp A.20/369", Name: "every call with its own operations alone", Run: func(t *testing.T, e *TokenEnv) {
		for _, call := range Calls {
			on := e.target()
			err := call.Do(e.ctx, e.holder(on.everywhere, ops(call.Needs...)), on)
			if protocol.CodeOf(err) == protocol.CodeNotImplemented {
				err = nil // allowed all the same
			}
			e.must(err, call.Name)
		}
	}},
	{Row: beyondS2, Name: "a fork needs read on its source, and create-stream", Run: func(t *testing.T, e *TokenEnv) {
		on := e.target()
		name := on.StreamRef.Stream + "-fork"
		fork := func(svc protocol.Service) error {
			return third(svc.CreateStream(e.ctx, on.StreamRef.Basin, protocol.CreateStreamRequest{Stream: name, Fork: &protocol.ForkRequest{Source: on.StreamRef.Stream}}))
		}
		e.denied(fork(e.without(protocol.OpRead)))
		e.denied(fork(e.without(protocol.OpCreateStream)))
		e.denied(fork(e.holder(on.everywhere, streams(exactly(string(name))), opSet(protocol.AllOperations))))
		e.must(fork(e.holder(on.everywhere, ops(protocol.OpRead, protocol.OpCreateStream))), "fork")
		(&Stream{protocol.StreamRef{Basin: on.StreamRef.Basin, Stream: name}, e.Env}).Read(from(0)).Bodies("record")
	}},
	{Row: "cp A.5/129", Name: "create a basin without create-basin, or out of scope", Run: func(t *testing.T, e *TokenEnv) {
		name := e.freeBasinName()
		for _, svc := range []protocol.Service{e.without(protocol.OpCreateBasin), e.holder(allPowers, basins(exactly(name+"-x"))),
			e.holder(allPowers, basins(protocol.ResourceSet{}))} {
			e.denied(third(svc.CreateBasin(e.ctx, protocol.CreateBasinRequest{Basin: name})))
			e.denied(third(svc.EnsureBasin(e.ctx, name, protocol.EnsureBasinRequest{})))
		}
		e.fails(second(e.Service.GetBasinConfig(e.ctx, name)), protocol.CodeBasinNotFound)
	}},
	{Row: "cp A.8/177", Name: "list basins without list-basins", Run: func(t *testing.T, e *TokenEnv) {
		e.denied(second(e.without(protocol.OpListBasins).ListBasins(e.ctx, protocol.ListRequest{})))
	}},
	{Row: "cp A.13/254", Name: "list streams without list-streams", Run: func(t *testing.T, e *TokenEnv) {
		e.denied(second(e.without(protocol.OpListStreams).ListStreams(e.ctx, e.Basin().Name, protocol.ListRequest{})))
		e.denied(second(e.without(protocol.OpListStreams).ListStreams(e.ctx, e.freeBasinName(), protocol.ListRequest{})))
	}},
	{Row: "cp A.22/412", Name: "locations without their operations", Run: func(t *testing.T, e *TokenEnv) {
		svc := e.holder(ops(protocol.OpRead))
		e.denied(second(svc.ListLocations(e.ctx)))
		e.denied(second(svc.DefaultLocation(e.ctx)))
		e.denied(second(svc.SetDefaultLocation(e.ctx, "nowhere")))
	}},
	{Row: "cp A.20/364,365", Name: "account reads do not create", Run: func(t *testing.T, e *TokenEnv) {
		for _, opts := range [][]TokenOption{{ops(protocol.OpListBasins)}, {groups(protocol.OperationGroups{Account: reads})}} {
			svc := e.holder(append(opts, basins(prefixed("")))...)
			e.must(second(svc.ListBasins(e.ctx, protocol.ListRequest{Limit: 1})), "list basins")
			e.denied(third(svc.CreateBasin(e.ctx, protocol.CreateBasinRequest{Basin: e.freeBasinName()})))
		}
	}},
	{Row: "cp A.20/366", Name: "the group stream, read and write", Run: func(t *testing.T, e *TokenEnv) {
		on := e.target()
		svc := e.holder(groups(protocol.OperationGroups{Stream: both}), on.everywhere)
		for _, call := range Calls {
			switch call.Name {
			case "append", "read", "check a tail", "fence", "trim", "follow", "append in a session", "get a stream":
				e.must(call.Do(e.ctx, svc, on), call.Name)
			case "create a stream", "delete a stream", "list streams", "get a basin", "list basins", "issue a token":
				e.denied(call.Do(e.ctx, svc, on))
			}
		}
	}},
	{Row: "cp A.20/373,374", Name: "commands need operations of their own", Run: func(t *testing.T, e *TokenEnv) {
		on := e.target()
		data, fencing, trimming := text("x"), fence("f"), trim(1)
		for _, c := range []struct {
			op protocol.Operation
			ok []protocol.Record
			no [][]protocol.Record
		}{
			{protocol.OpAppend, data, [][]protocol.Record{fencing, trimming, append(text("x"), fencing...), append(text("x"), trimming...)}},
			{protocol.OpFence, fencing, [][]protocol.Record{data, trimming, append(fence("f"), data...)}},
			{protocol.OpTrim, trimming, [][]protocol.Record{data, fencing, append(trim(1), data...)}},
		} {
			svc := e.holder(ops(c.op), on.everywhere)
			for _, no := range c.no {
				e.denied(appending(no)(e.ctx, svc, on))
				e.denied(submitting(no)(e.ctx, svc, on))
			}
			e.must(appending(c.ok)(e.ctx, svc, on), c.op.String())
			e.must(submitting(c.ok)(e.ctx, svc, on), c.op.String())
		}
		e.denied(submitting(data)(e.ctx, e.holder(ops(protocol.OpRead), on.everywhere), on))
	}},
	{Row: "cp A.20/373", Name: "a session ends at the first batch that is not allowed", Run: func(t *testing.T, e *TokenEnv) {
		on := e.target()
		s, err := e.holder(ops(protocol.OpAppend), on.everywhere).OpenAppendSession(e.ctx, on.StreamRef)
		e.must(err, "open")
		defer s.Close()
		for _, recs := range [][]protocol.Record{text("a"), text("b"), fence("f"), text("c")} {
			_ = s.Submit(e.ctx, input(recs))
		}
		for want := range uint64(2) {
			ack, err := s.Recv(e.ctx)
			e.must(err, "ack")
			equal(t, "seq_num", ack.Start.SeqNum, 1+want)
		}
		for range 2 {
			e.denied(second(s.Recv(e.ctx)))
		}
		(&Stream{on.StreamRef, e.Env}).Read(from(0)).Bodies("record", "a", "b")
	}},
	{Row: "cp A.20/375", Name: "what is no token", Run: func(t *testing.T, e *TokenEnv) {
		_, secret := e.issue(allPowers)
		on := e.target()
		for _, bad := range []string{"garbage", "weir_", secret + "x", secret[:len(secret)-1], strings.ToUpper(secret), strings.Repeat("x", 600)} {
			for _, call := range Calls {
				e.fails(call.Do(e.ctx, e.as(bad), on), protocol.CodeAuthn)
			}
		}
	}},
	{Row: "cp A.20/376", Name: "an expired token", Timed: true, Run: func(t *testing.T, e *TokenEnv) {
		on := e.target()
		id, secret := e.issue(allPowers, expiring(time.Now().Add(time.Hour)))
		svc := e.as(secret)
		time.Sleep(time.Hour - time.Second)
		e.must(second(svc.ListBasins(e.ctx, protocol.ListRequest{})), "a second before")
		time.Sleep(time.Second)
		for _, call := range Calls {
			e.fails(call.Do(e.ctx, svc, on), protocol.CodeAuthn)
		}
		_, ok := e.info(id)
		equal(t, "listed", ok, true)
		e.fails(second(e.Service.IssueAccessToken(e.ctx, e.token(called(id), ops(protocol.OpRead)))), protocol.CodeResourceAlreadyExists)
		e.must(e.Service.RevokeAccessToken(e.ctx, id), "revoke")
		e.issue(called(id), ops(protocol.OpRead))
	}},
	{Row: "cp 5.8", Name: "sessions end with the token that is revoked", Run: func(t *testing.T, e *TokenEnv) {
		id, secret := e.issue(allPowers)
		e.sessionsEnd(e.as(secret), func() { e.must(e.Service.RevokeAccessToken(e.ctx, id), "revoke") })
	}},
	{Row: "cp 5.8", Name: "sessions end with the token that expires", Timed: true, Run: func(t *testing.T, e *TokenEnv) {
		_, secret := e.issue(allPowers, expiring(time.Now().Add(time.Hour)))
		start := time.Now()
		e.sessionsEnd(e.as(secret), func() { time.Sleep(time.Hour - time.Second) })
		if took := time.Since(start); took > time.Hour+time.Minute {
			t.Fatalf("the sessions of a token of an hour ended after %v", took)
		}
	}},
}

// sessionsEnd opens sessions, ends the token, and checks that they end with authn and that accepted inputs were stored.
func (e *TokenEnv) sessionsEnd(svc protocol.Service, end func()) {
	e.t.Helper()
	on := e.target()
	reader, err := svc.OpenReadSession(e.ctx, on.StreamRef, request(from(0)))
	e.must(err, "open a read session")
	defer reader.Close()
	batch, err := reader.Next(e.ctx)
	e.must(err, "read")
	equal(e.t, "records", batch.Records.Len(), 1)
	writer, err := svc.OpenAppendSession(e.ctx, on.StreamRef)
	e.must(err, "open an append session")
	defer writer.Close()
	e.must(writer.Submit(e.ctx, input(text("in time"))), "submit")
	_, err = writer.Recv(e.ctx)
	e.must(err, "ack")
	end()
	for err = error(nil); err == nil; {
		_, err = reader.Next(e.ctx) // heartbeats, and the record that was appended in time
	}
	e.fails(err, protocol.CodeAuthn)
	e.fails(second(writer.Recv(e.ctx)), protocol.CodeAuthn)
	if err := writer.Submit(e.ctx, input(text("too late"))); err == nil || errors.Is(err, io.EOF) {
		e.t.Fatalf("submit after the end: %v", err)
	}
	(&Stream{on.StreamRef, e.Env}).Read(from(0)).Bodies("record", "in time")
}

// scopeCases: control plane A.20, resources.
var scopeCases = []TokenCase{
	{Row: "cp A.20/357,358", Name: "one basin", Run: func(t *testing.T, e *TokenEnv) {
		in, out := e.target(), e.target()
		svc := e.holder(allPowers, basins(exactly(in.Basin)))
		e.must(third(svc.CreateStream(e.ctx, in.Basin, protocol.CreateStreamRequest{Stream: "x"})), "create a stream")
		e.outOfScope(svc, out, func(c Call) bool { return c.Basin })
	}},
	{Row: "cp A.20/359,360", Name: "basins by prefix", Run: func(t *testing.T, e *TokenEnv) {
		in, out := e.target(), e.target()
		svc := e.holder(allPowers, basins(prefixed(in.Basin)))
		for _, call := range Calls {
			if call.Basin && call.Name != "delete a basin" && call.Name != "delete a stream" {
				if err := call.Do(e.ctx, svc, in); refused(err) {
					t.Fatalf("%s: %v", call.Name, err)
				}
			}
		}
		e.outOfScope(svc, out, func(c Call) bool { return c.Basin })
	}},
	{Row: "cp A.20/361", Name: "create basins by prefix", Run: func(t *testing.T, e *TokenEnv) {
		in, out := e.freeBasinName(), e.freeBasinName()
		svc := e.holder(ops(protocol.OpCreateBasin), basins(prefixed(in)))
		e.must(third(svc.CreateBasin(e.ctx, protocol.CreateBasinRequest{Basin: in + "-mine"})), "create")
		e.denied(third(svc.CreateBasin(e.ctx, protocol.CreateBasinRequest{Basin: out + "-mine"})))
	}},
	{Row: "cp A.20/362,363", Name: "streams by name and by prefix", Run: func(t *testing.T, e *TokenEnv) {
		b := e.Basin()
		create := func(svc protocol.Service, name protocol.StreamName) error {
			return third(svc.CreateStream(e.ctx, b.Name, protocol.CreateStreamRequest{Stream: name}))
		}
		one := e.holder(allPowers, streams(exactly("orders")))
		e.must(create(one, "orders"), "create the one")
		many := e.holder(allPowers, streams(prefixed("logs-")))
		e.must(create(many, "logs-app"), "create one of many")
		for _, name := range []protocol.StreamName{"other", "order", "orders2", "orders/x", "logs", "Logs-app", "events-app", "xlogs-app"} {
			e.denied(create(one, name))
			e.denied(create(many, name))
		}
		b.Holds("logs-app", "orders")
	}},
	{Row: "cp A.20/363", Name: "every call on a stream out of scope", Run: func(t *testing.T, e *TokenEnv) {
		out := e.target()
		for _, set := range []protocol.ResourceSet{{}, exactly("other"), prefixed("streams"), exactly("strea")} {
			e.outOfScope(e.holder(allPowers, streams(set)), out, func(c Call) bool { return c.Stream })
		}
	}},
	{Row: "cp A.20/367", Name: "a missing operation on a basin in scope", Run: func(t *testing.T, e *TokenEnv) {
		on := e.target()
		svc := e.holder(ops(protocol.OpRead), on.everywhere)
		e.denied(second(svc.GetBasinConfig(e.ctx, on.Basin)))
		e.denied(second(svc.Append(e.ctx, on.StreamRef, input(text("x")))))
	}},
	{Row: "cp A.20/370", Name: "list basins with no basin in scope", Run: func(t *testing.T, e *TokenEnv) {
		in, out := e.target(), e.target()
		names := func(svc protocol.Service, req protocol.ListRequest) string {
			page, err := svc.ListBasins(e.ctx, req)
			e.must(err, "list basins")
			equal(t, "has_more", page.HasMore, false)
			return fmt.Sprint(len(page.Basins), page.Basins)
		}
		none := e.holder(ops(protocol.OpListBasins))
		equal(t, "basins", names(none, protocol.ListRequest{}), "0 []")
		one := e.holder(ops(protocol.OpListBasins), basins(exactly(in.Basin)))
		if got := names(one, protocol.ListRequest{}); !strings.HasPrefix(got, "1 [{"+string(in.Basin)) {
			t.Fatalf("got %s", got)
		}
		equal(t, "the other", names(one, protocol.ListRequest{Prefix: string(out.Basin)}), "0 []")
		equal(t, "behind it", names(one, protocol.ListRequest{StartAfter: string(in.Basin)}), "0 []")
	}},
	{Row: "cp 5.5", Name: "streams out of scope are left out", Run: func(t *testing.T, e *TokenEnv) {
		b := e.holding15()
		list := func(set protocol.ResourceSet, req protocol.ListRequest) string {
			t.Helper()
			page, err := e.holder(ops(protocol.OpListStreams), basins(exactly(b.Name)), streams(set)).ListStreams(e.ctx, b.Name, req)
			e.must(err, "list streams")
			var names []string
			for _, s := range page.Streams {
				names = append(names, string(s.Name))
			}
			return fmt.Sprint(names, page.HasMore)
		}
		equal(t, "none", list(protocol.ResourceSet{}, protocol.ListRequest{}), "[] false")
		equal(t, "one", list(exactly("s"), protocol.ListRequest{}), "[s] false")
		equal(t, "one, in its prefix", list(exactly("s-07"), protocol.ListRequest{Prefix: "s-"}), "[s-07] false")
		equal(t, "one, elsewhere", list(exactly("s-07"), protocol.ListRequest{Prefix: "t"}), "[] false")
		equal(t, "one that is missing", list(exactly("s-0"), protocol.ListRequest{}), "[] false")
		equal(t, "many", list(prefixed("s-1"), protocol.ListRequest{Limit: 2}), "[s-10 s-11] true")
		equal(t, "many, from one", list(prefixed("s-1"), protocol.ListRequest{StartAfter: "s-12"}), "[s-13 s-14] false")
		equal(t, "many, narrower", list(prefixed("s-"), protocol.ListRequest{Prefix: "s-14"}), "[s-14] false")
		equal(t, "many, elsewhere", list(prefixed("s-"), protocol.ListRequest{Prefix: "t"}), "[] false")
	}},
	{Row: "cp A.20/378", Name: "out of scope is the same whether it is there or not", Run: func(t *testing.T, e *TokenEnv) {
		there := e.target()
		missing := NoTarget(e.freeBasinName(), "stream", e.freeTokenID())
		svc := e.holder(allPowers, basins(exactly("another-basin")), streams(exactly("another")), tokens(exactly("another")))
		for _, call := range Calls {
			if !call.Basin && !call.Stream && !call.Token {
				continue
			}
			equal(t, call.Name, e.deniedFor(call.Do(e.ctx, svc, there), there), e.deniedFor(call.Do(e.ctx, svc, missing), missing))
		}
		// A stream out of scope, in a basin that is there and in one that is not.
		half := e.holder(allPowers, streams(exactly("another")))
		for _, call := range Calls {
			if call.Stream {
				equal(t, call.Name, e.deniedFor(call.Do(e.ctx, half, there), there), e.deniedFor(call.Do(e.ctx, half, missing), missing))
			}
		}
	}},
}

// outOfScope checks that the calls are denied, and that none did anything.
func (e *TokenEnv) outOfScope(svc protocol.Service, on Target, which func(Call) bool) {
	e.t.Helper()
	for _, call := range Calls {
		if which(call) {
			if f := e.denied(call.Do(e.ctx, svc, on)); !e.tells(f, "scope") {
				e.t.Fatalf("%s: %q", call.Name, f.Message)
			}
		}
	}
	(&Stream{on.StreamRef, e.Env}).Read(from(0)).Bodies("record")
	(&Basin{on.Basin, e.Env}).Holds(string(on.Stream))
	e.fails(second(e.Service.GetBasinConfig(e.ctx, on.NewBasin)), protocol.CodeBasinNotFound)
}
