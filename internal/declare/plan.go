package declare

import (
	"context"
	"errors"
	"fmt"

	"github.com/weirstream/weir/protocol"
)

// Inspector holds the calls of [Plan]; a [protocol.Service] is one.
type Inspector interface {
	GetBasinConfig(ctx context.Context, basin protocol.BasinName) (protocol.BasinConfig, error)
	GetStreamConfig(ctx context.Context, ref protocol.StreamRef) (protocol.ResolvedStreamConfig, error)
}

// Provisioner holds the calls of [Apply]; a [protocol.Service] is one.
type Provisioner interface {
	EnsureBasin(ctx context.Context, basin protocol.BasinName, req protocol.EnsureBasinRequest) (protocol.BasinInfo, protocol.ProvisionResult, error)
	EnsureStream(ctx context.Context, ref protocol.StreamRef, config protocol.StreamConfig) (protocol.StreamInfo, protocol.ProvisionResult, error)
}

// Item names a resource: a stream, or a basin if Stream is empty.
type Item struct {
	Basin  protocol.BasinName
	Stream protocol.StreamName
}

// String is the item's URI.
func (i Item) String() string {
	if i.Stream == "" {
		return "s2://" + string(i.Basin)
	}
	return protocol.StreamRef{Basin: i.Basin, Stream: i.Stream}.String()
}

// Action is the action that [Apply] would take for an item.
type Action string

// The actions.
const (
	Create    Action = "create"
	Ensure    Action = "ensure" // change the settings that differ
	Unchanged Action = "unchanged"
)

// Step is an item and the action that [Apply] would take for it.
type Step struct {
	Item
	Action Action
	// Changes are the settings that the spec makes (Create; Left is nil) or that differ (Ensure; Left is the present value).
	// Those of a basin are of its layer, those of a stream are resolved.
	Changes []Change
}

// Plan returns the steps that [Apply] would take now, in its order, and changes nothing. It fails where Apply would surely
// fail: at a resource that is being deleted.
func Plan(ctx context.Context, svc Inspector, res Resources) (steps []Step, err error) {
	for _, b := range res.Basins {
		step, err := planBasin(ctx, svc, b)
		if err != nil {
			return nil, err
		}
		steps = append(steps, step)
		for _, s := range b.Streams {
			step, err := planStream(ctx, svc, b, s, step.Action == Create)
			if err != nil {
				return nil, err
			}
			steps = append(steps, step)
		}
	}
	return steps, nil
}

func planBasin(ctx context.Context, svc Inspector, b Basin) (Step, error) {
	item := Item{Basin: b.Name}
	current, err := svc.GetBasinConfig(ctx, b.Name)
	switch {
	case codeIs(err, protocol.CodeBasinNotFound):
		return Step{item, Create, Compare(BasinFields(protocol.BasinConfig{}), BasinFields(b.Config))}, nil
	case err != nil:
		return Step{}, fmt.Errorf("%s: %w", item, err)
	}
	return step(item, Compare(BasinFields(current), BasinFields(b.Config))), nil
}

func planStream(ctx context.Context, svc Inspector, b Basin, s Stream, newBasin bool) (Step, error) {
	item := Item{b.Name, s.Name}
	create := Step{item, Create, Compare(StreamFields(protocol.StreamConfig{}), StreamFields(s.Config))}
	if newBasin {
		return create, nil
	}
	current, err := svc.GetStreamConfig(ctx, protocol.StreamRef{Basin: b.Name, Stream: s.Name})
	switch {
	case codeIs(err, protocol.CodeStreamNotFound):
		return create, nil
	case err != nil:
		return Step{}, fmt.Errorf("%s: %w", item, err)
	}
	// The basin has the spec's defaults by then.
	wanted := s.Config.Replace(current, b.Config.DefaultStreamConfig)
	return step(item, Compare(StreamFields(current.Layer()), StreamFields(wanted.Layer()))), nil
}

func step(item Item, changes []Change) Step {
	if len(changes) == 0 {
		return Step{item, Unchanged, changes}
	}
	return Step{item, Ensure, changes}
}

func codeIs(err error, code protocol.Code) bool {
	var e *protocol.Error
	return errors.As(err, &e) && e.Code == code
}

// Apply ensures each basin and then its streams, in the order of the spec. It creates a missing resource and replaces the
// configuration of one that exists; a setting that the spec leaves out goes back to the default (control plane 9.6), but for
// the content type of a stream, which stays. Nothing
// is deleted. done is called after each item. The first failure, or the end of ctx, ends it; finished items stay, and a
// repeat goes on.
func Apply(ctx context.Context, svc Provisioner, res Resources, done func(Item, protocol.ProvisionResult)) error {
	for _, b := range res.Basins {
		item := Item{Basin: b.Name}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%s: %w", item, err)
		}
		_, result, err := svc.EnsureBasin(ctx, b.Name, protocol.EnsureBasinRequest{Config: b.Config, DedicatedLogs: b.DedicatedLogs})
		if err != nil {
			return fmt.Errorf("%s: %w", item, err)
		}
		done(item, result)
		for _, s := range b.Streams {
			item := Item{b.Name, s.Name}
			_, result, err := svc.EnsureStream(ctx, protocol.StreamRef{Basin: b.Name, Stream: s.Name}, s.Config)
			if err != nil {
				return fmt.Errorf("%s: %w", item, err)
			}
			done(item, result)
		}
	}
	return nil
}
