package conformance

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/declare"
	"github.com/weirstream/weir/protocol"
)

// applies applies a spec, checks the outcome of each of its items, in order, and that this was the plan.
func (e *Env) applies(text string, want ...protocol.ProvisionResult) {
	e.t.Helper()
	res, err := declare.Parse([]byte(text))
	e.must(err, "parse")
	planned, err := declare.Plan(e.ctx, e.Service, res)
	e.must(err, "plan")
	actions := map[declare.Action]protocol.ProvisionResult{declare.Create: protocol.ProvisionCreated, declare.Ensure: protocol.ProvisionUpdated,
		declare.Unchanged: protocol.ProvisionNoop}
	var plan, done []string
	for _, step := range planned {
		plan = append(plan, fmt.Sprint(step.Item, " ", actions[step.Action]))
	}
	var results []protocol.ProvisionResult
	e.must(declare.Apply(e.ctx, e.Service, res, func(item declare.Item, result protocol.ProvisionResult) {
		done = append(done, fmt.Sprint(item, " ", result))
		results = append(results, result)
	}), "apply")
	equal(e.t, "what was done", strings.Join(done, ", "), strings.Join(plan, ", "))
	equal(e.t, "results", fmt.Sprint(results), fmt.Sprint(want))
}

// specCases: control plane A.24, as far as it is about applying a spec.
var specCases = []Case{
	{Row: "cp A.24/460,461,462", Name: "a spec is applied, again, changed, and shortened", Run: func(t *testing.T, e *Env) {
		const created, updated, noop = protocol.ProvisionCreated, protocol.ProvisionUpdated, protocol.ProvisionNoop
		a, b := e.NoBasin(), e.NoBasin()
		first := fmt.Sprintf(`{"basins":[
			{"name":%q,"config":{"create_stream_on_append":true,"default_stream_config":{"retention_policy":"30days","timestamping":{"mode":"arrival"}}},
			 "streams":[{"name":"s/1"},{"name":"s/2","config":{"retention_policy":"infinite","delete_on_empty":{"min_age":"1day"}}}]},
			{"name":%q}]}`, a.Name, b.Name)
		e.applies(first, created, created, created, created)
		e.applies(first, noop, noop, noop, noop)
		equal(t, "config of a stream", a.Missing("s/2").Config(), resolved(arrival, retain(forever), minAge(86400)))
		e.applies(fmt.Sprintf(`{"basins":[{"name":%q,"config":{"default_stream_config":{"retention_policy":"30days"}},
			"streams":[{"name":"s/2","config":{"retention_policy":"infinite"}}]}]}`, a.Name), updated, updated)
		equal(t, "config of the basin", a.Config().Equal(basinConfig(defaulting(retain(protocol.RetentionPolicy{AgeSecs: 30 * 86400})))), true)
		equal(t, "config of the stream", a.Missing("s/2").Config(), resolved(retain(forever)))
		a.Holds("s/1", "s/2")
		_, ok := b.listed()
		equal(t, "the basin that the spec leaves out is there", ok, true)
	}},
}
