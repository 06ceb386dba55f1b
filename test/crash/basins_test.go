package crash

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/weirstream/weir/protocol"
)

// A namespace is a basin that one client at a time creates, fills with streams, reconfigures and deletes as a whole, again
// and again.
type namespace struct {
	basin   protocol.BasinName
	life    life
	doubt   doubt
	config  protocol.BasinConfig
	asked   protocol.BasinConfig
	streams []*name
	done    int // steps in the living incarnation
}

func newNamespace(basin protocol.BasinName) *namespace {
	ns := &namespace{basin: basin}
	for i := range 5 {
		ns.streams = append(ns.streams, &name{ref: protocol.StreamRef{Basin: basin, Stream: protocol.StreamName(fmt.Sprintf("in/%d", i))}})
	}
	for _, n := range ns.streams {
		n.kin = ns.streams
	}
	return ns
}

func (ns *namespace) String() string {
	return (&name{ref: protocol.StreamRef{Basin: ns.basin, Stream: ""}, life: ns.life, doubt: ns.doubt}).String()
}

func (ns *namespace) settle(l life, config protocol.BasinConfig) {
	ns.life, ns.doubt, ns.config = l, noDoubt, config
	if l != alive {
		ns.done = 0
		for _, n := range ns.streams {
			n.settle(gone, n.config, nil)
		}
	}
}

func (ns *namespace) step(r *round, svc protocol.Service, rnd *rand.Rand) bool {
	switch ns.life {
	case gone:
		return ns.create(r, svc, rnd)
	case dying:
		return ns.awaitEnd(r, svc)
	}
	ns.done++
	switch k := rnd.IntN(30); {
	case ns.done > 8 && k < 4:
		return ns.delete(r, svc)
	case k < 6:
		return ns.reconfigure(r, svc)
	}
	return ns.streams[rnd.IntN(len(ns.streams))].step(r, svc, rnd)
}

func (ns *namespace) create(r *round, svc protocol.Service, rnd *rand.Rand) bool {
	ns.doubt, ns.asked = creating, protocol.BasinConfig{CreateStreamOnRead: rnd.IntN(2) == 0}
	r.fuse.burn(onCreateBasin)
	_, result, err := svc.CreateBasin(r.ctx, protocol.CreateBasinRequest{Basin: ns.basin, Config: ns.asked})
	if err != nil {
		r.mayFail(err, "creation of "+ns.String())
		return false
	}
	if result != protocol.ProvisionCreated {
		r.report(fmt.Errorf("creation of %s: expected %s, found %s", ns, protocol.ProvisionCreated, result))
	}
	ns.settle(alive, ns.asked)
	return !r.over()
}

func (ns *namespace) reconfigure(r *round, svc protocol.Service) bool {
	flag := !ns.config.CreateStreamOnRead
	change := protocol.BasinReconfiguration{CreateStreamOnRead: &flag}
	ns.doubt, ns.asked = changing, change.Apply(ns.config)
	r.fuse.burn(onReconfigure)
	config, err := svc.ReconfigureBasin(r.ctx, ns.basin, change)
	if err != nil {
		r.mayFail(err, "reconfiguration of "+ns.String())
		return false
	}
	if !config.Equal(ns.asked) {
		r.report(fmt.Errorf("reconfiguration of %s: expected %+v, found %+v", ns, ns.asked, config))
	}
	ns.settle(alive, ns.asked)
	return !r.over()
}

func (ns *namespace) delete(r *round, svc protocol.Service) bool {
	ns.doubt = deleting
	r.fuse.burn(onDeleteBasin)
	if err := svc.DeleteBasin(r.ctx, ns.basin); err != nil {
		r.mayFail(err, "deletion of "+ns.String())
		return false
	}
	ns.settle(dying, ns.config)
	return !r.over()
}

func (ns *namespace) awaitEnd(r *round, svc protocol.Service) bool {
	_, err := svc.GetBasinConfig(r.ctx, ns.basin)
	switch protocol.CodeOf(err) {
	case protocol.CodeBasinNotFound:
		r.fuse.burn(onGone)
		ns.settle(gone, ns.config)
		return !r.over()
	case protocol.CodeBasinDeletionPending:
		return !r.over() && pause(r.ctx)
	case "":
		r.report(fmt.Errorf("%s: expected a deleted basin to stay deleted, found it there", ns))
		return false
	}
	r.mayFail(err, "configuration of "+ns.String())
	return false
}

// verify compares the basin and its streams with what a restarted broker says, ends all doubt, and waits for a deletion to
// complete.
func (ns *namespace) verify(ctx context.Context, svc protocol.Service) error {
	config, err := svc.GetBasinConfig(ctx, ns.basin)
	code := protocol.CodeOf(err)
	there, going := code == "", code == protocol.CodeBasinDeletionPending
	if !there && !going && code != protocol.CodeBasinNotFound {
		return fmt.Errorf("%s: its configuration: %w", ns, err)
	}
	switch {
	case ns.life == gone && ns.doubt == creating && there:
		if !config.Equal(ns.asked) {
			return fmt.Errorf("%s: expected the configuration that it was created with, %+v, found %+v", ns, ns.asked, config)
		}
		ns.settle(alive, config)
	case ns.life == gone && (there || going):
		return fmt.Errorf("%s: expected no basin, found it (%+v, %w)", ns, config, err)
	case ns.life == alive && there:
		if !config.Equal(ns.config) && (ns.doubt != changing || !config.Equal(ns.asked)) {
			return fmt.Errorf("%s: expected the configuration %+v (or, if it is in doubt, %+v), found %+v", ns, ns.config, ns.asked, config)
		}
		ns.settle(alive, config)
	case ns.life == alive && ns.doubt != deleting:
		return fmt.Errorf("%s: expected the basin, found: %w", ns, err)
	case ns.life == alive:
		ns.settle(dying, ns.config)
	case ns.life == dying && there:
		return fmt.Errorf("%s: expected a deleted basin to stay deleted, found it there", ns)
	}
	if ns.life != alive {
		return ns.verifyEnd(ctx, svc)
	}
	for _, n := range ns.streams {
		if err := n.verify(ctx, svc); err != nil {
			return err
		}
	}
	return verifyList(ctx, svc, ns.basin, ns.streams)
}

func (ns *namespace) verifyEnd(ctx context.Context, svc protocol.Service) error {
	err := until(ctx, ns.String()+": expected a deleted basin to end up gone", func() (bool, error) {
		_, err := svc.GetBasinConfig(ctx, ns.basin)
		switch protocol.CodeOf(err) {
		case protocol.CodeBasinNotFound:
			return true, nil
		case protocol.CodeBasinDeletionPending:
			return false, nil
		}
		return false, fmt.Errorf("%s: expected a deleted basin to end up gone, found: %w", ns, err)
	})
	ns.settle(gone, ns.config)
	return err
}

// verifyList compares a listing with the names that are alive.
func verifyList(ctx context.Context, svc protocol.Service, basin protocol.BasinName, names []*name) error {
	var want, got []protocol.StreamName
	for _, n := range names {
		if n.life == alive {
			want = append(want, n.ref.Stream)
		}
	}
	slices.Sort(want)
	page, err := svc.ListStreams(ctx, basin, protocol.ListRequest{})
	if err != nil {
		return fmt.Errorf("%s: list of streams: %w", basin, err)
	}
	for _, s := range page.Streams {
		got = append(got, s.Name)
	}
	if !slices.Equal(want, got) {
		return fmt.Errorf("%s: expected the list of streams %q, found %q", basin, want, got)
	}
	return nil
}
