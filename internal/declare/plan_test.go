package declare_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/weirstream/weir/internal/declare"
	"github.com/weirstream/weir/protocol"
)

// account is a service in memory, as far as a spec goes.
type account struct {
	basins  map[protocol.BasinName]protocol.BasinConfig
	streams map[protocol.StreamRef]protocol.ResolvedStreamConfig
	// fail is the failure of every call that concerns a resource, by its URI.
	fail map[string]error
}

func newAccount() *account {
	return &account{map[protocol.BasinName]protocol.BasinConfig{}, map[protocol.StreamRef]protocol.ResolvedStreamConfig{}, map[string]error{}}
}

func (a *account) GetBasinConfig(_ context.Context, basin protocol.BasinName) (protocol.BasinConfig, error) {
	c, ok := a.basins[basin]
	if !ok {
		return c, protocol.Errorf(protocol.CodeBasinNotFound, "no basin %s", basin)
	}
	return c, a.fail["s2://"+string(basin)]
}

func (a *account) GetStreamConfig(_ context.Context, ref protocol.StreamRef) (protocol.ResolvedStreamConfig, error) {
	c, ok := a.streams[ref]
	if !ok {
		return c, protocol.Errorf(protocol.CodeStreamNotFound, "no stream %s", ref)
	}
	return c, a.fail[ref.String()]
}

func (a *account) EnsureBasin(_ context.Context, basin protocol.BasinName, req protocol.EnsureBasinRequest) (info protocol.BasinInfo, result protocol.ProvisionResult, err error) {
	if err := a.fail["s2://"+string(basin)]; err != nil {
		return info, "", err
	}
	result = protocol.ProvisionUpdated
	if c, ok := a.basins[basin]; !ok {
		result = protocol.ProvisionCreated
	} else if c.Equal(req.Config) {
		result = protocol.ProvisionNoop
	}
	a.basins[basin] = req.Config
	return info, result, nil
}

func (a *account) EnsureStream(_ context.Context, ref protocol.StreamRef, config protocol.StreamConfig) (info protocol.StreamInfo, result protocol.ProvisionResult, err error) {
	if err := a.fail[ref.String()]; err != nil {
		return info, "", err
	}
	want := config.Resolve(a.basins[ref.Basin].DefaultStreamConfig)
	result = protocol.ProvisionUpdated
	if c, ok := a.streams[ref]; !ok {
		result = protocol.ProvisionCreated
	} else if c == want {
		result = protocol.ProvisionNoop
	}
	a.streams[ref] = want
	return info, result, nil
}

func parse(t *testing.T, text string) declare.Resources {
	t.Helper()
	res, err := declare.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func (a *account) apply(t *testing.T, res declare.Resources) (done []string, err error) {
	t.Helper()
	err = declare.Apply(t.Context(), a, res, func(i declare.Item, r protocol.ProvisionResult) {
		done = append(done, fmt.Sprintf("%s %s", r, i))
	})
	return done, err
}

func (a *account) plan(t *testing.T, res declare.Resources) (steps []declare.Step, actions []string) {
	t.Helper()
	steps, err := declare.Plan(t.Context(), a, res)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range steps {
		actions = append(actions, fmt.Sprintf("%s %s", s.Action, s.Item))
	}
	return steps, actions
}

const before = `{"basins":[
	{"name":"basin-one","config":{"create_stream_on_append":true,"default_stream_config":{"retention_policy":"30days"}},
	 "streams":[{"name":"b"},{"name":"a","config":{"retention_policy":"infinite"}}]},
	{"name":"basin-two"}]}`

const after = `{"basins":[
	{"name":"basin-two","streams":[{"name":"s"}]},
	{"name":"basin-one","config":{"default_stream_config":{"retention_policy":"36h"}},
	 "streams":[{"name":"a","config":{"retention_policy":"infinite"}},{"name":"b"},{"name":"c","config":{"timestamping":{"uncapped":true}}}]}]}`

// TestApply: control plane A.24/460 to 462.
func TestApply(t *testing.T) {
	a := newAccount()
	for i, step := range []struct {
		spec string
		want []string
	}{
		{before, []string{"created s2://basin-one", "created s2://basin-one/b", "created s2://basin-one/a", "created s2://basin-two"}},
		{before, []string{"noop s2://basin-one", "noop s2://basin-one/b", "noop s2://basin-one/a", "noop s2://basin-two"}},
		{after, []string{"noop s2://basin-two", "created s2://basin-two/s", "updated s2://basin-one", "noop s2://basin-one/a",
			"updated s2://basin-one/b", "created s2://basin-one/c"}},
		{`{"basins":[{"name":"basin-one"}]}`, []string{"updated s2://basin-one"}},
		{`{}`, nil},
	} {
		if got, err := a.apply(t, parse(t, step.spec)); err != nil || !slices.Equal(got, step.want) {
			t.Fatalf("step %d: got %q, %v, want %q", i, got, err, step.want)
		}
	}
	if len(a.basins) != 2 || len(a.streams) != 4 || !a.basins["basin-one"].Equal(protocol.BasinConfig{}) {
		t.Errorf("got %+v", a)
	}
}

func TestApplyStopsAtTheFirstFailure(t *testing.T) {
	a := newAccount()
	failure := protocol.Errorf(protocol.CodeStreamDeletionPending, "it is being deleted")
	a.fail["s2://basin-one/b"] = failure
	done, err := a.apply(t, parse(t, before))
	if !errors.Is(err, error(failure)) || err.Error() != "s2://basin-one/b: "+failure.Error() || !slices.Equal(done, []string{"created s2://basin-one"}) {
		t.Errorf("got %q, %v", done, err)
	}
	a.fail = map[string]error{"s2://basin-two": failure}
	if done, err := a.apply(t, parse(t, before)); !errors.Is(err, error(failure)) || len(done) != 3 {
		t.Errorf("got %q, %v", done, err)
	}
}

func TestPlan(t *testing.T) {
	a := newAccount()
	steps, actions := a.plan(t, parse(t, before))
	if want := []string{"create s2://basin-one", "create s2://basin-one/b", "create s2://basin-one/a", "create s2://basin-two"}; !slices.Equal(actions, want) {
		t.Errorf("got %q", actions)
	}
	want := []declare.Change{{Path: "create_stream_on_append", Left: false, Right: true},
		{Path: "default_stream_config.retention_policy", Left: nil, Right: "30d"}}
	if !reflect.DeepEqual(steps[0].Changes, want) || len(steps[1].Changes) != 0 {
		t.Errorf("got %+v", steps)
	}
	if len(a.basins) != 0 {
		t.Error("a plan changed something")
	}
	if _, err := a.apply(t, parse(t, before)); err != nil {
		t.Fatal(err)
	}
	if _, actions = a.plan(t, parse(t, before)); !slices.Equal(actions, []string{"unchanged s2://basin-one", "unchanged s2://basin-one/b",
		"unchanged s2://basin-one/a", "unchanged s2://basin-two"}) {
		t.Errorf("got %q", actions)
	}
	steps, actions = a.plan(t, parse(t, after))
	if want := []string{"unchanged s2://basin-two", "create s2://basin-two/s", "ensure s2://basin-one", "unchanged s2://basin-one/a",
		"ensure s2://basin-one/b", "create s2://basin-one/c"}; !slices.Equal(actions, want) {
		t.Errorf("got %q", actions)
	}
	for i, want := range map[int][]declare.Change{
		2: {{"create_stream_on_append", true, false}, {"default_stream_config.retention_policy", "30d", "1d12h"}},
		4: {{"retention_policy", "30d", "1d12h"}}, // by the defaults that its basin will have
		5: {{"timestamping.uncapped", nil, true}},
	} {
		if !reflect.DeepEqual(steps[i].Changes, want) {
			t.Errorf("%s: got %+v, want %+v", actions[i], steps[i].Changes, want)
		}
	}
	// What was planned is what is done.
	done, err := a.apply(t, parse(t, after))
	if err != nil {
		t.Fatal(err)
	}
	word := map[declare.Action]protocol.ProvisionResult{declare.Create: protocol.ProvisionCreated, declare.Ensure: protocol.ProvisionUpdated,
		declare.Unchanged: protocol.ProvisionNoop}
	for i, s := range steps {
		if want := fmt.Sprintf("%s %s", word[s.Action], s.Item); done[i] != want {
			t.Errorf("planned %s, done %s", want, done[i])
		}
	}
}

func TestPlanFailsWhereApplyWould(t *testing.T) {
	for _, uri := range []string{"s2://basin-one", "s2://basin-one/a"} {
		a := newAccount()
		if _, err := a.apply(t, parse(t, before)); err != nil {
			t.Fatal(err)
		}
		a.fail[uri] = protocol.Errorf(protocol.CodeBasinDeletionPending, "it is being deleted")
		if _, err := declare.Plan(t.Context(), a, parse(t, before)); !errors.Is(err, a.fail[uri]) {
			t.Errorf("%s: got %v", uri, err)
		}
	}
}
