package metering

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// bucket holds the data of a period of many minutes: the counts of its minutes, and sizes that were observed in it.
//
// Stored form, all numbers unsigned varints:
//
//	version 1
//	number of minutes, and for each, in rising order:
//	    minute from the beginning of the period
//	    number of counters that are not zero, and for each: counter, value
//	number of sizes of the whole, and for each, in rising order:
//	    second from the beginning of the period, bytes
//	and if there are sizes of parts, their number, and for each, in rising order:
//	    second from the beginning of the period, part, bytes
type bucket struct {
	minutes map[uint32]*values
	sizes   []size // in rising order, of each part at most one at a second
}

// size is how much was stored at a time. Where several processes share a store, each observes a part of a basin: the size of the basin is the sum of
// the newest sizes of its parts.
type size struct {
	second uint32 // from the beginning of the period
	part   uint16 // 0: the whole
	bytes  uint64
}

// before orders sizes by time and part.
func (s size) before(o size) int {
	return cmp.Or(cmp.Compare(s.second, o.second), cmp.Compare(s.part, o.part))
}

const (
	bucketVersion = 1
	maxParts      = 1 << 10 // more than a basin has logs
	dayMinutes    = 24 * 60
	daySeconds    = dayMinutes * 60
)

// minute returns the counts of a minute of the period.
func (b *bucket) minute(n uint32) *values {
	if b.minutes == nil {
		b.minutes = map[uint32]*values{}
	}
	v := b.minutes[n]
	if v == nil {
		v = &values{}
		b.minutes[n] = v
	}
	return v
}

// observe records a size; of a part at the same second the later call counts.
func (b *bucket) observe(s size) {
	i, found := slices.BinarySearchFunc(b.sizes, s, size.before)
	if found {
		b.sizes[i] = s
	} else {
		b.sizes = slices.Insert(b.sizes, i, s)
	}
}

// merge adds a bucket whose period begins so many minutes into b's.
func (b *bucket) merge(o *bucket, minutes uint32) {
	for n, v := range o.minutes {
		b.minute(minutes + n).add(v)
	}
	for _, s := range o.sizes {
		b.observe(size{minutes*60 + s.second, s.part, s.bytes})
	}
}

func (b *bucket) encode() []byte {
	out := binary.AppendUvarint(nil, bucketVersion)
	out = binary.AppendUvarint(out, uint64(len(b.minutes)))
	for _, n := range slices.Sorted(maps.Keys(b.minutes)) {
		v := b.minutes[n]
		count := 0
		for _, x := range v {
			if x != 0 {
				count++
			}
		}
		out = binary.AppendUvarint(binary.AppendUvarint(out, uint64(n)), uint64(count))
		for c, x := range v {
			if x != 0 {
				out = binary.AppendUvarint(binary.AppendUvarint(out, uint64(c)), x)
			}
		}
	}
	return appendSizes(out, b.sizes)
}

func appendSizes(out []byte, sizes []size) []byte {
	parts := 0
	for _, s := range sizes {
		if s.part != 0 {
			parts++
		}
	}
	out = binary.AppendUvarint(out, uint64(len(sizes)-parts))
	for _, s := range sizes {
		if s.part == 0 {
			out = binary.AppendUvarint(binary.AppendUvarint(out, uint64(s.second)), s.bytes)
		}
	}
	if parts == 0 {
		return out
	}
	out = binary.AppendUvarint(out, uint64(parts))
	for _, s := range sizes {
		if s.part != 0 {
			out = binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(out, uint64(s.second)), uint64(s.part)), s.bytes)
		}
	}
	return out
}

var errBucket = errors.New("a stored bucket of usage is damaged")

// uvarints reads one number after the other; the first that is not there makes all that follow zero and bad true.
type uvarints struct {
	rest []byte
	bad  bool
}

func (u *uvarints) next(limit uint64) uint64 {
	v, n := binary.Uvarint(u.rest)
	if n <= 0 || v > limit {
		u.bad, u.rest = true, nil
		return 0
	}
	u.rest = u.rest[n:]
	return v
}

// decodeBucket is the inverse of encode for periods of at most a day. Counters that are not known, of a newer version of
// weir, are ignored.
func decodeBucket(data []byte) (b bucket, err error) {
	u := uvarints{rest: data}
	if v := u.next(^uint64(0)); v != bucketVersion && !u.bad {
		return b, fmt.Errorf("a stored bucket of usage has the unknown version %d", v)
	}
	last := -1
	for range u.next(dayMinutes) {
		n := int(u.next(dayMinutes - 1)) // bounded
		if u.bad || n <= last {
			return bucket{}, errBucket
		}
		last = n
		v := b.minute(uint32(n))
		for range u.next(1 << 8) {
			c, x := u.next(1<<8), u.next(^uint64(0))
			if c < counters {
				v[c] = x
			}
		}
	}
	b.sizes, err = u.sizes()
	if err == nil && len(u.rest) > 0 {
		err = errBucket
	}
	if err != nil {
		return bucket{}, err
	}
	return b, nil
}

func (u *uvarints) sizes() (sizes []size, err error) {
	last := -1
	for range u.next(daySeconds) {
		s := size{second: uint32(u.next(daySeconds - 1)), bytes: u.next(^uint64(0))} // bounded
		if u.bad || int(s.second) <= last {
			return nil, errBucket
		}
		last = int(s.second)
		sizes = append(sizes, s)
	}
	if len(u.rest) == 0 && !u.bad {
		return sizes, nil
	}
	whole := len(sizes)
	for range u.next(daySeconds * maxParts) {
		s := size{uint32(u.next(daySeconds - 1)), uint16(u.next(maxParts)), u.next(^uint64(0))} // bounded
		if u.bad || s.part == 0 || len(sizes) > whole && s.before(sizes[len(sizes)-1]) <= 0 {
			return nil, errBucket
		}
		sizes = append(sizes, s)
	}
	if u.bad {
		return nil, errBucket
	}
	slices.SortFunc(sizes, size.before)
	return sizes, nil
}
