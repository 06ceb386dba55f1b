package natsapi_test

import (
	"testing"

	"github.com/weirstream/weir/broker/internal/door"
	"github.com/weirstream/weir/broker/internal/natsapi"
	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/protocol"
)

// TestAuthenticate: a token in the header decides; without one it is the door's own service, if it has one.
func TestAuthenticate(t *testing.T) {
	const header = protocol.HeaderAccessToken
	known := newMemory()
	authenticate := func(token string) (door.Caller, error) {
		if token != "known" {
			return door.Caller{}, protocol.Errorf(protocol.CodeAuthn, "unknown")
		}
		return door.Caller{Service: known}, nil
	}
	e := newEnv(t, natsapi.Options{Authenticate: authenticate})
	equal(t, "of the door", failureCode(e, "s2.v1.basin.get.demo-basin"), 404)
	equal(t, "made in the door's", failureCode(e, "s2.v1.basin.create.demo-basin"), 0)
	equal(t, "of the token", failureCode(e, "s2.v1.basin.get.demo-basin", header, "known"), 404)
	equal(t, "without a valid token", failureCode(e, "s2.v1.basin.get.demo-basin", header, "x"), 401)
	equal(t, "of nobody", failureCode(e, "s2.v1.basin.get.demo-basin", header, ""), 401)
	equal(t, "before anything else", failureCode(e, "s2.v1.basin.get.X", header, "x", "S2-Nonsense", "1"), 401)

	// A session is opened by its token, and acknowledged without one.
	cl := client.New(e.nc, client.Options{AccessToken: "known"})
	if _, _, err := cl.CreateBasin(t.Context(), protocol.CreateBasinRequest{Basin: basin, Config: protocol.BasinConfig{CreateStreamOnAppend: true}}); err != nil {
		t.Fatal(err)
	}
	a := must[protocol.AppendSession](t)(cl.OpenAppendSession(t.Context(), greetings))
	defer a.Close()
	if err := a.Submit(t.Context(), body("hello")); err != nil {
		t.Fatal(err)
	}
	must[protocol.AppendAck](t)(a.Recv(t.Context()))
	r := must[protocol.ReadSession](t)(cl.OpenReadSession(t.Context(), greetings, protocol.ReadRequest{Start: protocol.FromSeqNum(0)}))
	defer r.Close()
	equal(t, "records", must[protocol.ReadBatch](t)(r.Next(t.Context())).Records.Len(), 1)
}

// TestADoorWithoutAService takes no request without a token.
func TestADoorWithoutAService(t *testing.T) {
	e := newEnv(t, natsapi.Options{Prefix: "other"})
	known := newMemory()
	for prefix, opts := range map[string]natsapi.Options{
		"checked": {Authenticate: func(string) (door.Caller, error) { return door.Caller{Service: known}, nil }},
		"shut":    {},
	} {
		opts.Prefix = prefix
		d := must[*natsapi.Door](t)(natsapi.Serve(t.Context(), e.connect(), nil, opts))
		defer d.Close(t.Context())
		equal(t, prefix, failureCode(e, prefix+".v1.basin.list"), 401)
	}
	equal(t, "with a token", failureCode(e, "checked.v1.basin.list", protocol.HeaderAccessToken, "x"), 0)
	equal(t, "with a token that nobody knows", failureCode(e, "shut.v1.basin.list", protocol.HeaderAccessToken, "x"), 401)
}

// failureCode is the status of the failure that a request is answered with; 0 for a success.
func failureCode(e *env, subject string, head ...string) int {
	e.t.Helper()
	m := e.request(subject, "", head...)
	switch m.Header.Get(protocol.HeaderServiceErrorCode) {
	case "":
		return 0
	case "401":
		return 401
	case "404":
		return 404
	}
	return -1
}
