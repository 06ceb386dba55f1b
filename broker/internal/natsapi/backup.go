package natsapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/chunk"
)

// backupEndpoints are served where [Options].Backup is set. Their subjects hold no names: a caller that may use one may use
// all, on everything.
func backupEndpoints() []endpoint {
	return []endpoint{
		{"backup-catalog", "backup.catalog", "backup.catalog", "Export a page of the catalog", false, exportCatalog},
		{"backup-chunks", "backup.chunks", "backup.chunks", "Export chunks of a log", false, exportChunks},
		{"backup-purged", "backup.purged", "backup.purged", "Report which streams lost their chunks up to a sequence", false,
			jsonCall(func(ctx context.Context, b protocol.BackupService, req protocol.PurgedStreamsRequest) (any, error) {
				return b.PurgedStreams(ctx, req)
			})},
		{"restore-begin", "restore.begin", "restore.begin", "Make a hidden basin to restore", true,
			jsonCall(func(ctx context.Context, b protocol.BackupService, req protocol.BeginRestoreRequest) (any, error) {
				return nil, b.BeginRestore(ctx, req)
			})},
		{"restore-streams", "restore.streams", "restore.streams", "Import streams of a basin", true,
			jsonCall(func(ctx context.Context, b protocol.BackupService, req protocol.ImportStreamsRequest) (any, error) {
				return b.ImportStreams(ctx, req)
			})},
		{"restore-chunks", "restore.chunks", "restore.chunks", "Import chunks into a log", true, importChunks},
		{"restore-end", "restore.end", "restore.end", "Show a basin that is restored", true,
			jsonCall(func(ctx context.Context, b protocol.BackupService, req protocol.EndRestoreRequest) (any, error) {
				return nil, b.EndRestore(ctx, req)
			})},
		{"restore-abort", "restore.abort", "restore.abort", "Remove a basin that is being restored", true,
			jsonCall(func(ctx context.Context, b protocol.BackupService, req protocol.EndRestoreRequest) (any, error) {
				return nil, b.AbortRestore(ctx, req.Basin, req.Restore)
			})},
		{"restore-entry", "restore.entry", "restore.entry", "Import an entry of the catalog", true,
			jsonCall(func(ctx context.Context, b protocol.BackupService, req protocol.CatalogEntry) (any, error) {
				return nil, b.ImportEntry(ctx, req)
			})},
	}
}

// jsonCall makes the handler of a verb that takes a JSON body and answers with one; nil is an empty one.
func jsonCall[T any](f func(ctx context.Context, b protocol.BackupService, req T) (any, error)) func(context.Context, *call) (reply, error) {
	return func(ctx context.Context, c *call) (reply, error) {
		b, err := c.backup()
		if err != nil {
			return reply{}, err
		}
		return jsonAnswer(c, func(req T) (any, error) { return f(ctx, b, req) })
	}
}

// jsonAnswer decodes a JSON body and answers with what f returns; nil is an empty answer.
func jsonAnswer[T any](c *call, f func(req T) (any, error)) (reply, error) {
	req, err := protocol.DecodeJSON[T](c.body)
	if err != nil {
		return reply{}, err
	}
	out, err := f(req)
	if err != nil || out == nil {
		return reply{}, err
	}
	body, err := json.Marshal(out)
	if err == nil && len(body) > c.room() {
		err = tooLarge(len(body), c.room())
	}
	if err != nil {
		return reply{}, err
	}
	return reply{head: nats.Header{protocol.HeaderContentType: {protocol.MediaJSON}}, body: body}, nil
}

func tooLarge(n, room int) error {
	return protocol.Errorf(protocol.CodeInvalid, "the answer has %d bytes, but a message may have %d: raise max_payload", n, room)
}

// exportCatalog leaves room for the bytes that JSON adds to the entries, and asks for fewer entries where that room is not
// enough.
func exportCatalog(ctx context.Context, c *call) (reply, error) {
	return jsonCall(func(ctx context.Context, b protocol.BackupService, req protocol.ExportCatalogRequest) (any, error) {
		room := c.room()
		for limit := askedBytes(req.MaxBytes, room/2); ; limit /= 4 {
			req.MaxBytes = max(limit, 1)
			page, err := b.ExportCatalog(ctx, req)
			if err != nil {
				return nil, err
			}
			page.Version = c.door.opts.Version
			body, err := json.Marshal(page)
			if err != nil || len(body) <= room || limit <= 1 {
				return json.RawMessage(body), err
			}
		}
	})(ctx, c)
}

// backup is the service that backs up and restores for the caller. The error has code permission_denied.
func (c *call) backup() (protocol.BackupService, error) {
	if b := c.door.opts.Backup(c.svc); b != nil {
		return b, nil
	}
	return nil, protocol.Errorf(protocol.CodePermissionDenied, "backups and restores are for the root token alone")
}

// askedBytes is the requested size within the limit; 0 asks for as much as there may be.
func askedBytes(asked, limit int) int {
	if asked <= 0 {
		return limit
	}
	return min(asked, limit)
}

// exportChunks answers with frames, and with where the next ones begin in a header.
func exportChunks(ctx context.Context, c *call) (reply, error) {
	b, err := c.backup()
	if err != nil {
		return reply{}, err
	}
	req, err := protocol.DecodeJSON[protocol.ExportChunksRequest](c.body)
	if err != nil {
		return reply{}, err
	}
	room := c.room()
	// A frame adds a third to the smallest chunks.
	for limit := askedBytes(req.MaxBytes, room*2/3); ; limit /= 4 {
		req.MaxBytes = max(limit, 1)
		page, err := b.ExportChunks(ctx, req)
		if err != nil {
			return reply{}, err
		}
		size := 0
		for i := range page.Chunks {
			size += chunk.FrameSize(&page.Chunks[i])
		}
		if size > room && limit > 1 {
			continue
		}
		if size > room {
			return reply{}, tooLarge(size, room)
		}
		head, err := json.Marshal(page)
		if err != nil {
			return reply{}, err
		}
		body := make([]byte, 0, size)
		for i := range page.Chunks {
			body = chunk.AppendFrame(body, &chunk.Frame{Kind: chunk.FrameChunk, StoredChunk: page.Chunks[i]})
		}
		return reply{head: nats.Header{protocol.HeaderBackup: {string(head)}, protocol.HeaderContentType: {protocol.MediaRaw}}, body: body}, nil
	}
}

func importChunks(ctx context.Context, c *call) (reply, error) {
	b, err := c.backup()
	if err != nil {
		return reply{}, err
	}
	req, err := protocol.DecodeJSON[protocol.ImportChunksRequest]([]byte(c.head.Get(protocol.HeaderBackup)))
	if err != nil {
		return reply{}, err
	}
	for r := bytes.NewReader(c.body); ; {
		f, err := chunk.ReadFrame(r)
		if errors.Is(err, io.EOF) && r.Len() == 0 {
			break
		}
		if err == nil && f.Kind != chunk.FrameChunk {
			err = fmt.Errorf("a frame of kind %d", f.Kind)
		}
		if err != nil {
			return reply{}, protocol.Wrap(protocol.CodeBadFrame, err, "the body does not hold chunks: "+err.Error())
		}
		req.Chunks = append(req.Chunks, f.StoredChunk)
	}
	return reply{}, b.ImportChunks(ctx, req)
}
