package adapter

import (
	"context"
	"time"

	"github.com/weirstream/weir/adapter/internal/catalog"

	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// basinNotFound is the failure of a call on a basin that the catalog does not show: it does not exist, or its entry cannot be read.
func (a *Adapter) basinNotFound(name protocol.BasinName) error {
	if err := a.catalog.Aside(catalog.BasinKey(name)); err != nil {
		return err
	}
	return protocol.Errorf(protocol.CodeBasinNotFound, "basin %q does not exist", name)
}

func basinDeleting(name protocol.BasinName) error {
	return protocol.Errorf(protocol.CodeBasinDeletionPending, "basin %q is being deleted", name)
}

func basinRestoring(name protocol.BasinName) error {
	return protocol.Errorf(protocol.CodeResourceAlreadyExists,
		"basin %q is being restored; to give up a restore that will not go on, delete the basin", name)
}

// ListBasins returns a page of basins.
func (a *Adapter) ListBasins(_ context.Context, req protocol.ListRequest) (protocol.BasinPage, error) {
	return a.catalog.View.ListBasins(req), nil
}

// CreateBasin makes a basin (control plane 3.2).
func (a *Adapter) CreateBasin(ctx context.Context, req protocol.CreateBasinRequest) (info protocol.BasinInfo, result protocol.ProvisionResult, err error) {
	if req.Location != "" && !a.knowsLocation(req.Location) {
		return info, "", unknownLocation(req.Location)
	}
	if err := req.Config.DefaultStreamConfig.CheckDefault(); err != nil {
		return info, "", err
	}
	if req.DedicatedLogs < 0 || req.DedicatedLogs > layout.MaxLogs {
		return info, "", protocol.Errorf(protocol.CodeInvalid, "dedicated_logs: is %d; allowed is from 0 to %d", req.DedicatedLogs, layout.MaxLogs)
	}
	key, err := requestKey(req.RequestToken, askedBasin(req))
	if err != nil {
		return info, "", err
	}
	if err := a.catalog.Latest(ctx, catalog.BasinKey(req.Basin)); err != nil {
		return info, "", err
	}
	err = a.catalog.Change(ctx, catalog.BasinKey(req.Basin), func() error {
		old, _, ok := a.catalog.View.Basin(req.Basin)
		switch {
		case ok && old.Deleting():
			return basinDeleting(req.Basin)
		case ok && old.Hidden():
			return basinRestoring(req.Basin)
		case ok && key != "" && key == old.Key:
			info, result = old.Info(), protocol.ProvisionNoop
			return nil
		case ok:
			return errBasinExists(req.Basin)
		}
		info, result, err = a.newBasin(ctx, req.Basin, req.Config, req.Location, req.DedicatedLogs, key)
		return err
	})
	return info, result, err
}

// newBasin stores a basin; a location of "" stands for the default of this moment.
func (a *Adapter) newBasin(ctx context.Context, name protocol.BasinName, config protocol.BasinConfig, location protocol.LocationName, dedicatedLogs int, key string) (protocol.BasinInfo, protocol.ProvisionResult, error) {
	if location == "" {
		location = a.defaultLocation()
	}
	rec := &catalog.BasinRecord{Name: name, CreatedAt: time.Now().UTC(), Config: config, Location: location, DedicatedLogs: dedicatedLogs, Key: key}
	if err := a.catalog.AddBasin(ctx, rec); err != nil {
		return protocol.BasinInfo{}, "", err
	}
	return rec.Info(), protocol.ProvisionCreated, nil
}

// EnsureBasin makes a basin or replaces its configuration (control plane 3.4).
func (a *Adapter) EnsureBasin(ctx context.Context, name protocol.BasinName, req protocol.EnsureBasinRequest) (info protocol.BasinInfo, result protocol.ProvisionResult, err error) {
	if err := req.Config.DefaultStreamConfig.CheckDefault(); err != nil {
		return info, "", err
	}
	if err := a.catalog.Latest(ctx, catalog.BasinKey(name)); err != nil {
		return info, "", err
	}
	err = a.catalog.Change(ctx, catalog.BasinKey(name), func() error {
		rec, revision, ok := a.catalog.View.Basin(name)
		switch {
		case !ok && req.Location != "" && !a.knowsLocation(req.Location):
			return unknownLocation(req.Location)
		case !ok:
			info, result, err = a.newBasin(ctx, name, req.Config, req.Location, req.DedicatedLogs, "")
			return err
		case rec.Deleting():
			return basinDeleting(name)
		case rec.Hidden():
			return basinRestoring(name)
		case req.Location != "" && req.Location != rec.Location:
			return protocol.Errorf(protocol.CodeInvalid, "location: the basin lives in %q and cannot move to %q", rec.Location, req.Location)
		case req.DedicatedLogs != 0 && req.DedicatedLogs != rec.DedicatedLogs:
			return protocol.Errorf(protocol.CodeInvalid, "dedicated_logs: the basin was created with %d, and cannot have %d", rec.DedicatedLogs, req.DedicatedLogs)
		case rec.Config.Equal(req.Config):
			info, result = rec.Info(), protocol.ProvisionNoop
			return nil
		}
		rec.Config = req.Config
		info, result = rec.Info(), protocol.ProvisionUpdated
		return a.updateBasin(ctx, &rec, revision)
	})
	return info, result, err
}

func (a *Adapter) updateBasin(ctx context.Context, rec *catalog.BasinRecord, revision uint64) error {
	next, err := a.catalog.Write(ctx, catalog.BasinKey(rec.Name), rec, revision)
	if err == nil {
		a.catalog.View.PutBasin(rec, next)
	}
	return err
}

// liveBasin returns a basin that is not being deleted.
func (a *Adapter) liveBasin(name protocol.BasinName) (rec catalog.BasinRecord, revision uint64, err error) {
	rec, revision, ok := a.catalog.View.Basin(name)
	switch {
	case !ok || rec.Hidden():
		return rec, 0, a.basinNotFound(name)
	case rec.Deleting():
		return rec, 0, basinDeleting(name)
	}
	return rec, revision, nil
}

// GetBasinConfig returns a basin's configuration (control plane 3.5, decision D-9).
func (a *Adapter) GetBasinConfig(ctx context.Context, name protocol.BasinName) (protocol.BasinConfig, error) {
	if err := a.catalog.Latest(ctx, catalog.BasinKey(name)); err != nil {
		return protocol.BasinConfig{}, err
	}
	rec, _, err := a.liveBasin(name)
	return rec.Config, err
}

// ReconfigureBasin changes a basin's configuration (control plane 3.6).
func (a *Adapter) ReconfigureBasin(ctx context.Context, name protocol.BasinName, change protocol.BasinReconfiguration) (config protocol.BasinConfig, err error) {
	if err := a.catalog.Latest(ctx, catalog.BasinKey(name)); err != nil {
		return config, err
	}
	err = a.catalog.Change(ctx, catalog.BasinKey(name), func() error {
		rec, revision, err := a.liveBasin(name)
		if err != nil {
			return err
		}
		rec.Config = change.Apply(rec.Config)
		if err := rec.Config.DefaultStreamConfig.CheckDefault(); err != nil {
			return err
		}
		config = rec.Config
		return a.updateBasin(ctx, &rec, revision)
	})
	return config, err
}

// DeleteBasin marks a basin as deleted; the janitors remove its logs, its streams and at last itself (control plane
// 3.7).
func (a *Adapter) DeleteBasin(ctx context.Context, name protocol.BasinName) error {
	if err := a.catalog.Latest(ctx, catalog.BasinKey(name)); err != nil {
		return err
	}
	provisioning := a.catalog.View.Provisioning(name)
	provisioning.Lock()
	defer provisioning.Unlock()
	marked := false
	err := a.catalog.Change(ctx, catalog.BasinKey(name), func() error {
		rec, revision, ok := a.catalog.View.Basin(name)
		switch {
		case !ok:
			return a.basinNotFound(name)
		case rec.Deleting():
			return nil
		}
		rec.DeletedAt = time.Now().UTC()
		marked = true
		return a.updateBasin(ctx, &rec, revision)
	})
	if err == nil && marked {
		if since, ok := a.catalog.View.Oldest(name); ok {
			a.streamsDeleted(name, since, time.Now())
		}
		a.janitor.removeBasin(name)
	}
	return err
}
