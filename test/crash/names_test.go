package crash

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/weirstream/weir/protocol"
)

// life is whether a name is taken.
type life uint8

const (
	gone  life = iota
	alive      // created, acknowledged
	dying      // deleted, acknowledged: ends up gone
)

// doubt is a change under way: after a crash it may have been made or not.
type doubt uint8

const (
	noDoubt doubt = iota
	creating
	changing
	deleting
)

// A name is a stream that one client at a time creates, fills, reconfigures and deletes again and again.
type name struct {
	ref    protocol.StreamRef
	life   life
	doubt  doubt
	config protocol.ResolvedStreamConfig
	asked  protocol.ResolvedStreamConfig // by a change in doubt
	m      *model                        // of the living incarnation
	born   *model                        // of the incarnation that a creation in doubt makes
	kin    []*name                       // the names of the same client: a new stream may be a fork of one of them
}

func (n *name) String() string {
	return fmt.Sprintf("%s (known to be %s, with %s in doubt)", n.ref, [...]string{"gone", "alive", "being deleted"}[n.life],
		[...]string{"nothing", "a creation", "a reconfiguration", "a deletion"}[n.doubt])
}

func randomConfig(rnd *rand.Rand) protocol.StreamConfig {
	var c protocol.StreamConfig
	if rnd.IntN(2) == 0 {
		c.RetentionPolicy = &protocol.RetentionPolicy{AgeSecs: uint64(rnd.IntN(3)) * 86400}
	}
	if rnd.IntN(2) == 0 {
		mode := protocol.TimestampArrival
		c.TimestampingMode = &mode
	}
	return c
}

// step makes one change or append. It returns false when the client should stop.
func (n *name) step(r *round, svc protocol.Service, rnd *rand.Rand) bool {
	switch n.life {
	case gone:
		return n.create(r, svc, rnd)
	case dying:
		return n.awaitEnd(r, svc)
	}
	switch k := rnd.IntN(10); {
	case k < 6:
		b := newBatch(batchIDs.Add(1), rnd)
		switch {
		case rnd.IntN(3) == 0:
			b.fencing(rnd)
		case rnd.IntN(4) == 0:
			b.trimming(rnd, n.m.knownTail())
		}
		_, _, ok := r.try(svc, n.m, b)
		return ok
	case k < 8:
		return n.reconfigure(r, svc, rnd)
	}
	return n.delete(r, svc)
}

func (n *name) create(r *round, svc protocol.Service, rnd *rand.Rand) bool {
	config := randomConfig(rnd)
	n.doubt, n.asked, n.born = creating, config.Resolve(protocol.StreamConfig{}), newModel(n.ref)
	fork := n.forkRequest(rnd)
	if fork != nil {
		config = protocol.StreamConfig{} // that of the source
		r.fuse.burn(onFork)
	}
	r.fuse.burn(onCreateStream)
	var err error
	var result protocol.ProvisionResult
	if fork == nil && rnd.IntN(2) == 0 {
		_, result, err = svc.EnsureStream(r.ctx, n.ref, config)
	} else {
		_, result, err = svc.CreateStream(r.ctx, n.ref.Basin, protocol.CreateStreamRequest{Stream: n.ref.Stream, Config: config, Fork: fork})
	}
	if err != nil {
		r.mayFail(err, "creation of "+n.String())
		return false
	}
	if result != protocol.ProvisionCreated {
		r.report(fmt.Errorf("creation of %s: expected %s, found %s", n, protocol.ProvisionCreated, result))
	}
	n.settle(alive, n.asked, n.born)
	tail, err := svc.CheckTail(r.ctx, n.ref)
	if err != nil {
		r.mayFail(err, "check-tail of "+n.String())
		return false
	}
	if want := n.m.knownTail(); tail.SeqNum != want || want == 0 && tail != (protocol.StreamTail{}) {
		r.report(fmt.Errorf("%s: expected a new stream to begin at %d, found the tail %v", n, want, tail))
	}
	return !r.over()
}

// forkRequest makes the new stream a fork of one of its kin, now and then; nil if it is to be none.
func (n *name) forkRequest(rnd *rand.Rand) *protocol.ForkRequest {
	var sources []*name
	for _, k := range n.kin {
		if k.life == alive {
			sources = append(sources, k)
		}
	}
	if len(sources) == 0 || rnd.IntN(3) == 0 {
		return nil
	}
	source := sources[rnd.IntN(len(sources))]
	n.asked, n.born = source.config, source.m.fork(n.ref, rnd)
	at := n.born.tail
	req := &protocol.ForkRequest{Source: source.ref.Stream, At: &at}
	if at == source.m.tail && rnd.IntN(2) == 0 {
		req.At = nil
	}
	return req
}

func (n *name) settle(l life, config protocol.ResolvedStreamConfig, m *model) {
	n.life, n.doubt, n.config, n.m = l, noDoubt, config, m
}

func (n *name) reconfigure(r *round, svc protocol.Service, rnd *rand.Rand) bool {
	change := protocol.StreamReconfiguration{RetentionPolicy: protocol.Set(protocol.RetentionPolicy{AgeSecs: uint64(1+rnd.IntN(9)) * 3600})}
	n.doubt, n.asked = changing, change.ApplyResolved(n.config, protocol.StreamConfig{})
	r.fuse.burn(onReconfigure)
	config, err := svc.ReconfigureStream(r.ctx, n.ref, change)
	if err != nil {
		r.mayFail(err, "reconfiguration of "+n.String())
		return false
	}
	if config != n.asked {
		r.report(fmt.Errorf("reconfiguration of %s: expected %+v, found %+v", n, n.asked, config))
	}
	n.settle(alive, n.asked, n.m)
	return !r.over()
}

func (n *name) delete(r *round, svc protocol.Service) bool {
	n.doubt = deleting
	r.fuse.burn(onDeleteStream)
	if err := svc.DeleteStream(r.ctx, n.ref); err != nil {
		r.mayFail(err, "deletion of "+n.String())
		return false
	}
	n.settle(dying, n.config, nil)
	return !r.over()
}

// awaitEnd looks whether the deletion is complete. Until then everything is refused.
func (n *name) awaitEnd(r *round, svc protocol.Service) bool {
	_, err := svc.GetStreamConfig(r.ctx, n.ref)
	switch protocol.CodeOf(err) {
	case protocol.CodeStreamNotFound:
		r.fuse.burn(onGone)
		n.settle(gone, n.config, nil)
		return !r.over()
	case protocol.CodeStreamDeletionPending:
		return !r.over() && pause(r.ctx)
	case "":
		r.report(fmt.Errorf("%s: expected a deleted stream to stay deleted, found it there", n))
		return false
	}
	r.mayFail(err, "configuration of "+n.String())
	return false
}

// pause keeps a client that polls from doing nothing else.
func pause(ctx context.Context) bool {
	t := time.NewTimer(time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// verify compares the name with what a restarted broker says, ends all doubt, and waits for a deletion to complete.
func (n *name) verify(ctx context.Context, svc protocol.Service) error {
	config, err := svc.GetStreamConfig(ctx, n.ref)
	code := protocol.CodeOf(err)
	there, going := code == "", code == protocol.CodeStreamDeletionPending
	if !there && !going && code != protocol.CodeStreamNotFound {
		return fmt.Errorf("%s: its configuration: %w", n, err)
	}
	switch {
	case n.life == gone && n.doubt == creating && there:
		if config != n.asked {
			return fmt.Errorf("%s: expected the configuration that it was created with, %+v, found %+v", n, n.asked, config)
		}
		n.settle(alive, config, n.born)
	case n.life == gone && (there || going):
		return fmt.Errorf("%s: expected no stream, found it (%v, %w)", n, config, err)
	case n.life == alive && there:
		if config != n.config && (n.doubt != changing || config != n.asked) {
			return fmt.Errorf("%s: expected the configuration %+v (or, if it is in doubt, %+v), found %+v", n, n.config, n.asked, config)
		}
		n.settle(alive, config, n.m)
	case n.life == alive && n.doubt != deleting:
		return fmt.Errorf("%s: expected the stream, found: %w", n, err)
	case n.life == alive:
		n.settle(dying, n.config, nil)
	case n.life == dying && there:
		return fmt.Errorf("%s: expected a deleted stream to stay deleted, found it there", n)
	}
	if n.life == alive {
		o, err := observe(ctx, svc, n.ref)
		if err == nil {
			err = n.m.verify(o)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", n, err)
		}
		return nil
	}
	err = until(ctx, n.String()+": expected a deleted stream to end up gone", func() (bool, error) {
		_, err := svc.GetStreamConfig(ctx, n.ref)
		switch protocol.CodeOf(err) {
		case protocol.CodeStreamNotFound:
			return true, nil
		case protocol.CodeStreamDeletionPending:
			return false, nil
		}
		return false, fmt.Errorf("%s: expected a deleted stream to end up gone, found: %w", n, err)
	})
	n.settle(gone, n.config, nil)
	return err
}
