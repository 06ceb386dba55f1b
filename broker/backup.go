package broker

import (
	"context"

	"github.com/weirstream/weir/protocol"
)

// backup is the adapter's backups and restores that the drainer lets through.
type backup struct {
	*service
	ad protocol.BackupService
}

var _ protocol.BackupService = backup{}

// backup is for the holder of the root token, or anybody when nothing is checked; nil for others.
func (b *Broker) backup(svc protocol.Service) protocol.BackupService {
	if svc = unseen(svc); svc == nil || svc != b.guard.Root().Service() {
		return nil
	}
	return backup{b.svc, b.ad}
}

// done runs a call that answers with nothing.
func (b backup) done(f func() error) error {
	_, err := do(b.service, func() (struct{}, error) { return struct{}{}, f() })
	return err
}

func (b backup) ExportCatalog(ctx context.Context, req protocol.ExportCatalogRequest) (protocol.ExportCatalogPage, error) {
	return do(b.service, func() (protocol.ExportCatalogPage, error) { return b.ad.ExportCatalog(ctx, req) })
}

func (b backup) ExportChunks(ctx context.Context, req protocol.ExportChunksRequest) (protocol.ExportChunksPage, error) {
	return do(b.service, func() (protocol.ExportChunksPage, error) { return b.ad.ExportChunks(ctx, req) })
}

func (b backup) PurgedStreams(ctx context.Context, req protocol.PurgedStreamsRequest) ([]string, error) {
	return do(b.service, func() ([]string, error) { return b.ad.PurgedStreams(ctx, req) })
}

func (b backup) BeginRestore(ctx context.Context, req protocol.BeginRestoreRequest) error {
	return b.done(func() error { return b.ad.BeginRestore(ctx, req) })
}

func (b backup) ImportStreams(ctx context.Context, req protocol.ImportStreamsRequest) ([]int, error) {
	return do(b.service, func() ([]int, error) { return b.ad.ImportStreams(ctx, req) })
}

func (b backup) ImportChunks(ctx context.Context, req protocol.ImportChunksRequest) error {
	return b.done(func() error { return b.ad.ImportChunks(ctx, req) })
}

func (b backup) EndRestore(ctx context.Context, req protocol.EndRestoreRequest) error {
	return b.done(func() error { return b.ad.EndRestore(ctx, req) })
}

func (b backup) AbortRestore(ctx context.Context, basin protocol.BasinName, restore string) error {
	return b.done(func() error { return b.ad.AbortRestore(ctx, basin, restore) })
}

func (b backup) ImportEntry(ctx context.Context, entry protocol.CatalogEntry) error {
	return b.done(func() error { return b.ad.ImportEntry(ctx, entry) })
}
