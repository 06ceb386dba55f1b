package conformance

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/protocol"
)

// Clock is the time that a broker under test runs in.
type Clock uint8

// The clocks.
const (
	RealClock   Clock = iota
	BubbleClock       // of a testing/synctest bubble, in which the broker keeps to memory and to connections in process
)

// Door is one way to reach a broker.
type Door struct {
	Name string
	// Open starts a broker that holds nothing yet, reaches it and undoes both in t's cleanup. It is called once for all cases that are not timed and once for each
	// that is.
	Open func(t testing.TB, clock Clock) protocol.Service
	// Lag is the number of append batches behind which a follower that does not call Next has been cut off from the
	// live feed for sure; 0 if the door reads ahead on the follower's behalf, so that no number is enough.
	Lag int
}

// Case is one rule and the check of it.
type Case struct {
	// Row is the rule's name in the specification: a section of an appendix, a slash, and rows divided by
	// commas, with "cp " in front for the control plane.
	Row string
	// Name states the rule.
	Name string
	// Timed cases run on a fake clock with a broker of their own.
	Timed bool
	// Bare cases go by their name alone: those that the reference implementation has under the same name.
	Bare bool
	Run  func(t *testing.T, e *Env)
}

// Title is the name of the case's subtest.
func (c Case) Title() string {
	if c.Bare {
		return c.Name
	}
	return c.Row + " " + c.Name
}

// caseTimeout ends a case that hangs. On the fake clock it is never spent for real.
const caseTimeout = time.Minute

const timedCaseTimeout = 100 * time.Hour

// Cases returns all cases in the order of the specification, as far as files allow.
func Cases() []Case {
	var all []Case
	for _, cases := range [][]Case{
		recordCases, recordRejectionCases, appendCases, conditionCases, timestampCases, appendSessionCases,
		lifecycleCases, startCases, startTimestampCases, limitCases, untilCases, sessionBatchCases,
		followCases, waitCases, unaryWaitCases, lagCases, trimCases, deletionCases, tailCases, autoCreateCases,
		pagingCases, mergeCases, reconfigureCases, createBasinCases, ensureBasinCases, basinCases,
		createStreamCases, ensureStreamCases, streamCases, deleteStreamCases, retentionCases, emptyCases, expiryCases, contentTypeCases, forkCases, encryptionCases, usageCases, locationCases,
		closeCases, producerCases, specCases,
	} {
		all = append(all, cases...)
	}
	return all
}

// run runs the case, and waits for the goroutines that it has begun.
func (c Case) run(t *testing.T, e *Env) {
	c.Run(t, e)
	for _, join := range e.joins {
		join()
	}
}

// Run puts every case to the door, each as a subtest.
func Run(t *testing.T, door Door) {
	svc := door.Open(t, RealClock)
	for _, c := range Cases() {
		t.Run(c.Title(), func(t *testing.T) {
			t.Parallel()
			if !c.Timed {
				ctx, cancel := context.WithTimeout(t.Context(), caseTimeout)
				defer cancel()
				c.run(t, newEnv(ctx, t, svc, door))
				return
			}
			synctest.Test(t, func(t *testing.T) {
				svc := door.Open(t, BubbleClock)
				ctx, cancel := context.WithTimeout(t.Context(), timedCaseTimeout)
				defer cancel()
				c.run(t, newEnv(ctx, t, svc, door))
			})
		})
	}
}
