package durable

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/weirstream/weir/adapter/internal/js"
)

// FileName is the file in the store directory that says how far each log was when the last sync ended. JetStream cuts a
// damaged end of its newest file off at the start and goes on from there; this file reveals the loss (docs/durability.md).
//
// It is made of slots of slotSize bytes, all numbers little-endian; an unused slot holds zeros:
//
//	0   4  CRC-32C of the bytes behind it
//	4   8  the JetStream sequence that was stored last
//	12  1  length of the name
//	13     name of the JetStream stream, padded with zeros
//
// A slot is written in place, after the sync that it describes. The file is not synced for itself: the next sync covers
// it, so after a power cut it may say less than was there, never more.
const FileName = "weir.marks"

const (
	slotSize    = 128
	maxSlotName = slotSize - 13
)

var slotSums = crc32.MakeTable(crc32.Castagnoli)

// Watermarks is the open file. A nil *Watermarks does nothing.
type Watermarks struct {
	logger *slog.Logger

	mu     sync.Mutex
	file   *os.File
	slots  map[string]*slot
	free   []int64 // offsets of unused slots
	end    int64
	buf    [slotSize]byte
	failed bool // a write failed, and was reported
}

// slot is one slot.
type slot struct {
	at   int64
	seq  js.Seq
	live bool // the log is open, and its watermark may rise
	held int  // how often it is suspended
}

// OpenWatermarks reads the file, or makes it. A slot that is damaged is left out, with a warning: its log has no watermark
// until it is written again.
func OpenWatermarks(dir string, logger *slog.Logger) (*Watermarks, error) {
	f, err := os.OpenFile(filepath.Join(dir, FileName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the watermarks of the store: %w", err)
	}
	m := &Watermarks{logger: logger, file: f, slots: map[string]*slot{}}
	for ; ; m.end += slotSize {
		_, err := f.ReadAt(m.buf[:], m.end)
		if errors.Is(err, io.EOF) {
			return m, nil // a torn slot at the end is written over
		}
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("read the watermarks of the store: %w", err)
		}
		name, seq, err := decodeSlot(&m.buf)
		if err != nil {
			logger.Warn("a watermark of the store is damaged and left out", slog.Int64("offset", m.end), slog.Any("error", err))
		}
		if err != nil || name == "" {
			m.free = append(m.free, m.end)
			continue
		}
		m.slots[name] = &slot{at: m.end, seq: seq}
	}
}

func encodeSlot(buf *[slotSize]byte, name string, seq js.Seq) {
	clear(buf[:])
	if name == "" {
		return
	}
	binary.LittleEndian.PutUint64(buf[4:], uint64(seq))
	buf[12] = byte(len(name))
	copy(buf[13:], name)
	binary.LittleEndian.PutUint32(buf[:], crc32.Checksum(buf[4:], slotSums))
}

func decodeSlot(buf *[slotSize]byte) (name string, seq js.Seq, err error) {
	if *buf == ([slotSize]byte{}) {
		return "", 0, nil
	}
	if n := buf[12]; binary.LittleEndian.Uint32(buf[:]) == crc32.Checksum(buf[4:], slotSums) && n > 0 && n <= maxSlotName {
		return string(buf[13 : 13+n]), js.Seq(binary.LittleEndian.Uint64(buf[4:])), nil
	}
	return "", 0, errors.New("the checksum does not hold")
}

// Begin lets a log's watermark rise. The log is on disk up to last.
func (m *Watermarks) Begin(name string, last js.Seq) {
	if m == nil || len(name) > maxSlotName {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.slots[name]
	if !ok {
		k = &slot{at: m.end}
		if n := len(m.free); n > 0 {
			k.at, m.free = m.free[n-1], m.free[:n-1]
		} else {
			m.end += slotSize
		}
		m.slots[name] = k
	}
	k.live = true
	if last > k.seq {
		k.seq = last
		m.writeLocked(name, k)
	}
}

// Set notes that a log is on disk up to seq. It costs one small write to the page cache.
func (m *Watermarks) Set(name string, seq js.Seq) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.slots[name]; k != nil && k.live && seq > k.seq {
		k.seq = seq
		m.writeLocked(name, k)
	}
}

// Suspend makes a log's watermark say nothing, once the next sync has ended, until Resume is called as often. It is for the
// time in which JetStream may forget how far the log was without anything being lost.
func (m *Watermarks) Suspend(name string) { m.hold(name, 1) }

// Resume ends the pause that Suspend has begun, when everything is on disk or the attempt has failed.
func (m *Watermarks) Resume(name string) { m.hold(name, -1) }

func (m *Watermarks) hold(name string, by int) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.slots[name]; k != nil && k.held+by >= 0 {
		k.held += by
		m.writeLocked(name, k)
	}
}

// Lower sets a watermark to the present end of the log, after a loss was accepted.
func (m *Watermarks) Lower(name string, seq js.Seq) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.slots[name]; k != nil {
		k.seq = seq
		m.writeLocked(name, k)
	}
}

// Remove forgets a log that is deleted, or that is made anew.
func (m *Watermarks) Remove(name string) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.slots[name]; k != nil {
		delete(m.slots, name)
		m.free = append(m.free, k.at)
		m.writeLocked("", k)
	}
}

// writeLocked writes a slot. A failure is no reason to stop: the watermark then says less than it could.
func (m *Watermarks) writeLocked(name string, k *slot) {
	seq := k.seq
	if k.held > 0 {
		seq = 0
	}
	encodeSlot(&m.buf, name, seq)
	if _, err := m.file.WriteAt(m.buf[:], k.at); err != nil && !m.failed {
		m.failed = true
		m.logger.Error("the watermarks of the store cannot be written; a loss of records might go unnoticed at the next start", slog.Any("error", err))
	}
}

// All returns the watermarks.
func (m *Watermarks) All() map[string]js.Seq {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make(map[string]js.Seq, len(m.slots))
	for name, k := range m.slots {
		out[name] = k.seq
	}
	return out
}

// Close closes the file.
func (m *Watermarks) Close() {
	if m != nil {
		m.file.Close()
	}
}

// RemoveWatermarks removes the file that another durability has left, which would grow stale.
func RemoveWatermarks(dir string) error {
	if err := os.Remove(filepath.Join(dir, FileName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the watermarks of the store: %w", err)
	}
	return nil
}

// Check compares the watermarks with the last sequences that are stored, by name; one that is missing stands for 0. It
// fails with [Losses] when records are missing, unless accept is the code of exactly these losses. A log that needed does
// not hold for is forgotten if it is behind its watermark. Check is called once, before any log is open.
func (m *Watermarks) Check(stored map[string]js.Seq, needed func(name string) bool, accept string) error {
	var lost Losses
	var unneeded []string
	for name, mark := range m.All() {
		last := stored[name]
		switch {
		case last >= mark:
		case !needed(name):
			unneeded = append(unneeded, name)
		default:
			lost = append(lost, Loss{Log: name, Last: last, Mark: mark})
		}
	}
	lost.sort()
	if len(lost) > 0 && accept != lost.Code() {
		return lost // with the watermarks as they are, for the next start
	}
	for _, name := range unneeded {
		m.Remove(name)
	}
	for _, l := range lost {
		m.logger.Warn("going on without acknowledged records that are lost, as accept_loss says",
			slog.String("log", l.Log), slog.Uint64("from", uint64(l.Last)+1), slog.Uint64("to", uint64(l.Mark)))
		m.Lower(l.Log, l.Last)
	}
	return nil
}
