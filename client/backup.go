package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/chunk"
)

var _ protocol.BackupService = (*Client)(nil)

// plainCall sends a JSON request and decodes the answer into out, unless that is nil.
func (c *Client) plainCall(ctx context.Context, send exchange, verb string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return protocol.Wrap(protocol.CodeInvalid, err, "the request cannot be encoded")
	}
	ctx, cancel := c.bound(ctx, 0)
	defer cancel()
	m, err := send(ctx, c.subjects.Backup(verb), nil, body)
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(m.Data, out); err != nil {
		return badAnswer("answer", err)
	}
	return nil
}

// ExportCatalog implements [protocol.BackupService].
func (c *Client) ExportCatalog(ctx context.Context, req protocol.ExportCatalogRequest) (page protocol.ExportCatalogPage, err error) {
	err = c.plainCall(ctx, c.ask, "backup.catalog", req, &page)
	return page, err
}

// ExportChunks implements [protocol.BackupService].
func (c *Client) ExportChunks(ctx context.Context, req protocol.ExportChunksRequest) (page protocol.ExportChunksPage, err error) {
	body, err := json.Marshal(req)
	if err != nil {
		return page, protocol.Wrap(protocol.CodeInvalid, err, "the request cannot be encoded")
	}
	ctx, cancel := c.bound(ctx, 0)
	defer cancel()
	m, err := c.ask(ctx, c.subjects.Backup("backup.chunks"), nil, body)
	if err != nil {
		return page, err
	}
	if err := json.Unmarshal([]byte(m.Header.Get(protocol.HeaderBackup)), &page); err != nil {
		return page, badAnswer("answer", err)
	}
	for r := bytes.NewReader(m.Data); ; {
		f, err := chunk.ReadFrame(r)
		if errors.Is(err, io.EOF) {
			return page, nil
		}
		if err != nil {
			return page, badAnswer("answer", err)
		}
		page.Chunks = append(page.Chunks, f.StoredChunk)
	}
}

// PurgedStreams implements [protocol.BackupService].
func (c *Client) PurgedStreams(ctx context.Context, req protocol.PurgedStreamsRequest) (ids []string, err error) {
	err = c.plainCall(ctx, c.ask, "backup.purged", req, &ids)
	return ids, err
}

// BeginRestore implements [protocol.BackupService].
func (c *Client) BeginRestore(ctx context.Context, req protocol.BeginRestoreRequest) error {
	return c.plainCall(ctx, c.request, "restore.begin", req, nil)
}

// ImportStreams implements [protocol.BackupService].
func (c *Client) ImportStreams(ctx context.Context, req protocol.ImportStreamsRequest) (logs []int, err error) {
	err = c.plainCall(ctx, c.request, "restore.streams", req, &logs)
	return logs, err
}

// ImportChunks implements [protocol.BackupService].
func (c *Client) ImportChunks(ctx context.Context, req protocol.ImportChunksRequest) error {
	head, err := json.Marshal(req)
	if err != nil {
		return protocol.Wrap(protocol.CodeInvalid, err, "the request cannot be encoded")
	}
	size := 0
	for i := range req.Chunks {
		size += chunk.FrameSize(&req.Chunks[i])
	}
	body := make([]byte, 0, size)
	for i := range req.Chunks {
		body = chunk.AppendFrame(body, &chunk.Frame{Kind: chunk.FrameChunk, StoredChunk: req.Chunks[i]})
	}
	ctx, cancel := c.bound(ctx, 0)
	defer cancel()
	_, err = c.request(ctx, c.subjects.Backup("restore.chunks"), nats.Header{protocol.HeaderBackup: {string(head)}}, body)
	return err
}

// EndRestore implements [protocol.BackupService].
func (c *Client) EndRestore(ctx context.Context, req protocol.EndRestoreRequest) error {
	return c.plainCall(ctx, c.request, "restore.end", req, nil)
}

// AbortRestore implements [protocol.BackupService].
func (c *Client) AbortRestore(ctx context.Context, basin protocol.BasinName, restore string) error {
	return c.plainCall(ctx, c.request, "restore.abort", protocol.EndRestoreRequest{Basin: basin, Restore: restore}, nil)
}

// ImportEntry implements [protocol.BackupService].
func (c *Client) ImportEntry(ctx context.Context, entry protocol.CatalogEntry) error {
	return c.plainCall(ctx, c.request, "restore.entry", entry, nil)
}

// MaxPayload is how large a message to the broker may be, in bytes.
func (c *Client) MaxPayload() int { return int(c.nc.MaxPayload()) }
