package conformance

import (
	"context"
	"net"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/weirstream/weir/protocol"
)

// Web is the HTTP side of a broker, without a client on top.
type Web struct {
	// Base is the URL that paths are added to, such as "http://127.0.0.1:8080".
	Base string
	// Client speaks HTTP/1.1 or HTTP/2, adds no headers of its own and has no Timeout.
	Client *http.Client
	// Dial opens a bare connection to the same listener.
	Dial func(ctx context.Context) (net.Conn, error)
}

// WebDoor is one way to reach a broker over HTTP.
type WebDoor struct {
	Name string
	// Open starts a broker that holds nothing yet and returns its service, to prepare cases with and to look behind
	// the answers, and its HTTP side. See [Door].Open for bubbles and for how often it is called.
	Open func(t testing.TB, clock Clock) (protocol.Service, Web)
}

// WebCase is a rule that shows only in HTTP: in a status, a header, a body or a frame.
type WebCase struct {
	Row   string // as in [Case]
	Name  string
	Timed bool
	Run   func(t *testing.T, e *WebEnv)
}

// Title is the name of the case's subtest.
func (c WebCase) Title() string { return c.Row + " " + c.Name }

// WebCases returns all cases that need HTTP.
func WebCases() []WebCase {
	var all []WebCase
	for _, cases := range [][]WebCase{
		negotiationCases, bodyCases, queryCases, formatCases, compressionCases, webErrorCases, orderCases(),
		eventCases, resumeCases, wireAppendCases, wireReadCases, wireFrameCases,
		webEncryptionCases, webNameCases, webConfigCases, webProvisionCases, webLocationCases, webUsageCases, surfaceCases, webTokenCases,
	} {
		all = append(all, cases...)
	}
	return all
}

// WebEnv is the environment of a case of HTTP.
type WebEnv struct {
	*Env
	Web
}

// RunWeb puts every case that needs HTTP to the door, each as a subtest.
func RunWeb(t *testing.T, door WebDoor) {
	svc, web := door.Open(t, RealClock)
	for _, c := range WebCases() {
		t.Run(c.Title(), func(t *testing.T) {
			t.Parallel()
			run := func(t *testing.T, svc protocol.Service, web Web, limit context.Context) {
				c.Run(t, &WebEnv{newEnv(limit, t, svc, Door{Name: door.Name}), web})
			}
			if !c.Timed {
				ctx, cancel := context.WithTimeout(t.Context(), caseTimeout)
				defer cancel()
				run(t, svc, web, ctx)
				return
			}
			synctest.Test(t, func(t *testing.T) {
				svc, web := door.Open(t, BubbleClock)
				ctx, cancel := context.WithTimeout(t.Context(), timedCaseTimeout)
				defer cancel()
				run(t, svc, web, ctx)
			})
		})
	}
}
