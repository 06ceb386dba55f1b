//go:build linux

package powercut

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// A disk is a file of a FUSE file system, in memory, with a volatile write cache: a write is in the cache until an fsync, which
// is what a loop device makes of a flush, begins behind it. A cut loses part of the cache, and every request fails until the
// power is back.
type disk struct {
	fs.Inode

	mu      sync.Mutex
	data    []byte
	pending []change
	off     bool
}

// change is a write that was not flushed.
type change struct {
	at       int64
	old, new []byte
}

const diskSize = 640 << 20

// The ways in which a cut treats the cache.
var losses = []string{"none", "all", "prefix", "some"}

// cut loses what the cache holds: all of it ("none" survives), nothing, what was written last, or any of its 4 KiB blocks.
// Writes are not torn within 4 KiB, which breaks file systems themselves.
func (d *disk) cut(survives string, seed uint64) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.off = true
	rnd := rand.New(rand.NewPCG(seed, 1))
	for _, v := range slices.Backward(d.pending) {
		copy(d.data[v.at:], v.old)
	}
	first := rnd.IntN(len(d.pending) + 1)
	kept := 0
	for i, c := range d.pending {
		const block = 4096
		for at := 0; at < len(c.new); at += block {
			part := c.new[at:min(at+block, len(c.new))]
			if survives == "all" || survives == "prefix" && i < first || survives == "some" && rnd.IntN(2) == 0 {
				kept += copy(d.data[c.at+int64(at):], part)
			}
		}
	}
	n := len(d.pending)
	d.pending = nil
	return fmt.Sprintf("%d writes in the cache, %d bytes survive (%s)", n, kept, survives)
}

var (
	_ fs.NodeOpener    = (*disk)(nil)
	_ fs.NodeReader    = (*disk)(nil)
	_ fs.NodeWriter    = (*disk)(nil)
	_ fs.NodeFsyncer   = (*disk)(nil)
	_ fs.NodeGetattrer = (*disk)(nil)
	_ fs.NodeSetattrer = (*disk)(nil)
)

func (d *disk) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

func (d *disk) Read(_ context.Context, _ fs.FileHandle, dest []byte, at int64) (fuse.ReadResult, syscall.Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		return nil, syscall.EIO
	}
	n := copy(dest, d.data[min(at, diskSize):])
	return fuse.ReadResultData(dest[:n]), 0
}

func (d *disk) Write(_ context.Context, _ fs.FileHandle, b []byte, at int64) (uint32, syscall.Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.off:
		return 0, syscall.EIO
	case at+int64(len(b)) > diskSize:
		return 0, syscall.ENOSPC
	}
	d.pending = append(d.pending, change{at, append([]byte(nil), d.data[at:at+int64(len(b))]...), append([]byte(nil), b...)})
	return uint32(copy(d.data[at:], b)), 0
}

func (d *disk) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		return syscall.EIO
	}
	d.pending = nil
	return 0
}

func (d *disk) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Size = 0o600, diskSize
	return 0
}

func (d *disk) Setattr(_ context.Context, _ fs.FileHandle, _ *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Size = 0o600, diskSize
	return 0
}

// diskName is the disk's file below the directory that is mounted.
const diskName = "disk"

// serveDisk mounts a disk at dir and does what its standard input says, one answer a line, until that ends.
func serveDisk(dir string) error {
	d := &disk{data: make([]byte, diskSize)}
	root := &fs.Inode{}
	server, err := fs.Mount(dir, root, &fs.Options{
		MountOptions: fuse.MountOptions{DirectMountStrict: true, FsName: "weir-powercut", MaxWrite: 1 << 20},
		OnAdd: func(ctx context.Context) {
			root.AddChild(diskName, root.NewPersistentInode(ctx, d, fs.StableAttr{Mode: syscall.S_IFREG}), true)
		},
	})
	if err != nil {
		return fmt.Errorf("mount a disk: %w", err)
	}
	fmt.Println("ready")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var survives string
		var seed uint64
		if _, err := fmt.Sscanf(in.Text(), "cut %s %d", &survives, &seed); err == nil {
			fmt.Println(d.cut(survives, seed))
			continue
		}
		d.mu.Lock()
		d.off = false
		d.mu.Unlock()
		fmt.Println("on")
	}
	return server.Unmount()
}
