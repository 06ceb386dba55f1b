package s2s

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/weirstream/weir/protocol"
)

// Compression is a way to shrink bytes on the wire. The values are those of an s2s frame's flag (data plane 8.9).
type Compression uint8

const (
	// NoCompression leaves the bytes as they are.
	NoCompression Compression = iota
	// Zstd is Zstandard, RFC 8878.
	Zstd
	// Gzip is RFC 1952.
	Gzip
)

// CompressionThreshold is the least size, in bytes, at which an s2s payload or a unary response body is worth compressing
// (data plane section 1).
const CompressionThreshold = 1024

// String is the name that HTTP has for the compression.
func (c Compression) String() string {
	//exhaustive:enforce
	switch c {
	case NoCompression:
		return "identity"
	case Zstd:
		return "zstd"
	case Gzip:
		return "gzip"
	}
	return "unknown"
}

// ParseContentEncoding reads the value of a Content-Encoding header: gzip, zstd, identity or nothing. ok is false for
// everything else, lists included.
func ParseContentEncoding(v string) (c Compression, ok bool) {
	switch strings.ToLower(strings.TrimSpace(v)) {
	case "", "identity":
		return NoCompression, true
	case "zstd":
		return Zstd, true
	case "gzip", "x-gzip":
		return Gzip, true
	}
	return NoCompression, false
}

// ErrDecompressedTooLarge is the failure to decompress something that is larger than allowed.
var ErrDecompressedTooLarge = errors.New("larger than allowed after decompression")

// ErrWindowTooLarge is the failure to decompress a zstd frame for which a decoder would need more memory than
// allowed, regardless of its content.
var ErrWindowTooLarge = fmt.Errorf("the zstd frame announces a window of more than %d bytes: compress with a smaller window", maxZstdWindow)

const (
	// maxDecompressed bounds every decompression, regardless of the caller's limit.
	maxDecompressed = protocol.MaxRequestBytes
	// maxZstdWindow is the largest window that a zstd frame may announce. Every decoder should take 8 MiB (RFC 8878,
	// 3.1.1.1.2); it bounds the bytes that are decoded before the limit is checked.
	maxZstdWindow = 8 << 20
)

// The codecs are made with the program, because they hold channels: one that was made inside a synctest bubble could not
// be used outside. Until they are used they cost address space only.
var (
	zstdDecoder = must(zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(maxZstdWindow)))
	zstdEncoder = func() *zstd.Encoder {
		e := must(zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false),
			zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(1<<20)))
		e.EncodeAll(nil, nil) // allocates the buffers of the first use
		return e
	}()
	gzipReaders = sync.Pool{New: func() any { return new(gzip.Reader) }}
	gzipWriters = sync.Pool{New: func() any { return must(gzip.NewWriterLevel(nil, gzip.BestSpeed)) }}
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) //nolint:forbidigo // the options are constants
	}
	return v
}

// Append appends the compressed form of src to dst.
func (c Compression) Append(dst, src []byte) []byte {
	//exhaustive:enforce
	switch c {
	case Zstd:
		return zstdEncoder.EncodeAll(src, dst)
	case Gzip:
		out := bytes.NewBuffer(dst)
		w := gzipWriters.Get().(*gzip.Writer) //nolint:forcetypeassert // the pool holds nothing else
		defer gzipWriters.Put(w)
		w.Reset(out)
		_, _ = w.Write(src) // a bytes.Buffer takes everything
		_ = w.Close()
		w.Reset(nil) // keeps nothing of the caller's
		return out.Bytes()
	case NoCompression:
	}
	return append(dst, src...)
}

// Decode returns the decompressed src, at most limit bytes (and never more than 2 MiB); without compression that is
// src itself. The error is [ErrDecompressedTooLarge] or [ErrWindowTooLarge], or says how src is damaged.
func (c Compression) Decode(src []byte, limit int) (out []byte, err error) {
	limit = min(limit, maxDecompressed)
	//exhaustive:enforce
	switch c {
	case Zstd:
		var head zstd.Header
		switch known := head.Decode(src) == nil; {
		case known && head.HasFCS && head.FrameContentSize > uint64(limit):
			return nil, ErrDecompressedTooLarge // before that much is allocated
		case known && head.WindowSize > maxZstdWindow:
			return nil, ErrWindowTooLarge
		}
		out, err = zstdDecoder.DecodeAll(src, nil)
		switch {
		case errors.Is(err, zstd.ErrDecoderSizeExceeded):
			return nil, ErrDecompressedTooLarge
		case errors.Is(err, zstd.ErrWindowSizeExceeded): // of a later frame
			return nil, ErrWindowTooLarge
		}
	case Gzip:
		out, err = gunzip(src, limit)
	case NoCompression:
		fallthrough
	default:
		out = src
	}
	switch {
	case err != nil:
		return nil, err
	case len(out) > limit:
		return nil, ErrDecompressedTooLarge
	}
	return out, nil
}

func gunzip(src []byte, limit int) ([]byte, error) {
	r := gzipReaders.Get().(*gzip.Reader) //nolint:forcetypeassert // the pool holds nothing else
	defer gzipReaders.Put(r)
	if err := r.Reset(bytes.NewReader(src)); err != nil {
		return nil, err
	}
	out := bytes.NewBuffer(make([]byte, 0, min(3*len(src)+64, limit+1)))
	if _, err := out.ReadFrom(io.LimitReader(r, int64(limit)+1)); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
