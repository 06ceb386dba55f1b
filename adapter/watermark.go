package adapter

import (
	"context"
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

	"github.com/nats-io/nats.go/jetstream"
)

// marksFile, in the store directory, says how far each log was when the last sync ended. JetStream cuts a damaged end of
// its newest file off at the start and goes on from there; this is what gives it away (docs/durability.md).
//
// It is made of slots of markSize bytes, all numbers little-endian; an unused slot holds zeros:
//
//	0   4  CRC-32C of the bytes behind it
//	4   8  the JetStream sequence that was stored last
//	12  1  length of the name
//	13     name of the JetStream stream, padded with zeros
//
// A slot is written in place, after the sync that it tells of. The file is not synced for itself: the next sync covers
// it, so after a power cut it may say less than was there, never more.
const (
	marksFile   = "weir.marks"
	markSize    = 128
	maxMarkName = markSize - 13
)

var markSums = crc32.MakeTable(crc32.Castagnoli)

// marks is the open file. A nil *marks does nothing.
type marks struct {
	logger *slog.Logger

	mu    sync.Mutex
	file  *os.File
	slots map[string]*slot
	free  []int64 // offsets of unused slots
	end   int64
	buf   [markSize]byte
	gone  bool // a write failed, and was reported
}

// slot is one slot.
type slot struct {
	at   int64
	seq  jsSeq
	live bool // the log is open, and its mark may move
}

// openMarks reads the file, or makes it. A slot that is damaged is left out, with a warning: the log that it told of goes
// without until it is written again.
func openMarks(dir string, logger *slog.Logger) (*marks, error) {
	f, err := os.OpenFile(filepath.Join(dir, marksFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the marks of the store: %w", err)
	}
	m := &marks{logger: logger, file: f, slots: map[string]*slot{}}
	for ; ; m.end += markSize {
		_, err := f.ReadAt(m.buf[:], m.end)
		if errors.Is(err, io.EOF) {
			return m, nil // a torn slot at the end is written over
		}
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("read the marks of the store: %w", err)
		}
		name, seq, err := decodeMark(&m.buf)
		if err != nil {
			logger.Warn("a mark of the store is damaged and left out", slog.Int64("offset", m.end), slog.Any("error", err))
		}
		if err != nil || name == "" {
			m.free = append(m.free, m.end)
			continue
		}
		m.slots[name] = &slot{at: m.end, seq: seq}
	}
}

func encodeMark(buf *[markSize]byte, name string, seq jsSeq) {
	clear(buf[:])
	if name == "" {
		return
	}
	binary.LittleEndian.PutUint64(buf[4:], uint64(seq))
	buf[12] = byte(len(name))
	copy(buf[13:], name)
	binary.LittleEndian.PutUint32(buf[:], crc32.Checksum(buf[4:], markSums))
}

func decodeMark(buf *[markSize]byte) (name string, seq jsSeq, err error) {
	if *buf == ([markSize]byte{}) {
		return "", 0, nil
	}
	if n := buf[12]; binary.LittleEndian.Uint32(buf[:]) == crc32.Checksum(buf[4:], markSums) && n > 0 && n <= maxMarkName {
		return string(buf[13 : 13+n]), jsSeq(binary.LittleEndian.Uint64(buf[4:])), nil
	}
	return "", 0, errors.New("the checksum does not hold")
}

// begin lets a log's mark move.
func (m *marks) begin(name string) {
	if m == nil || len(name) > maxMarkName {
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
			m.end += markSize
		}
		m.slots[name] = k
	}
	k.live = true
}

// set notes that a log is on disk up to seq. It costs one small write to the page cache.
func (m *marks) set(name string, seq jsSeq) {
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

// lower makes a mark say what is there now, after a loss was accepted.
func (m *marks) lower(name string, seq jsSeq) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.slots[name]; k != nil {
		k.seq = seq
		m.writeLocked(name, k)
	}
}

// remove forgets a log before it is deleted.
func (m *marks) remove(name string) {
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

// writeLocked writes a slot. A failure is no reason to stop: the mark then says less than it could.
func (m *marks) writeLocked(name string, k *slot) {
	encodeMark(&m.buf, name, k.seq)
	if _, err := m.file.WriteAt(m.buf[:], k.at); err != nil && !m.gone {
		m.gone = true
		m.logger.Error("the marks of the store cannot be written; a loss of records might go unnoticed at the next start", slog.Any("error", err))
	}
}

// all returns the marks.
func (m *marks) all() map[string]jsSeq {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make(map[string]jsSeq, len(m.slots))
	for name, k := range m.slots {
		out[name] = k.seq
	}
	return out
}

func (m *marks) close() {
	if m != nil {
		m.file.Close()
	}
}

// openMarks opens the marks if any log is synced. Otherwise it removes what another durability has left, which would
// grow stale.
func (a *Adapter) openMarks() (err error) {
	switch {
	case a.opts.Memory || a.opts.StoreDir == "":
		return nil
	case a.opts.syncs():
		a.marks, err = openMarks(a.opts.StoreDir, a.logger)
		return err
	}
	if err := os.Remove(filepath.Join(a.opts.StoreDir, marksFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the marks of the store: %w", err)
	}
	return nil
}

// checkMarks compares the marks with the logs. What is missing refuses the start, unless the operator has accepted
// exactly that. It is called once, when the catalog is loaded and no log is open.
func (a *Adapter) checkMarks(ctx context.Context) error {
	if a.marks == nil {
		return nil
	}
	stored, err := a.lastSeqs(ctx)
	if err != nil {
		return err
	}
	var lost losses
	var unneeded []string // marks of logs that are going with their basin, or went when a crash came
	for name, mark := range a.marks.all() {
		last := stored[name] // 0 if it is not there
		switch {
		case last >= mark:
		case name != a.opts.catalogStream() && !a.needs(name):
			unneeded = append(unneeded, name)
		default:
			lost = append(lost, loss{name, last, mark})
		}
	}
	lost.sort()
	if len(lost) > 0 && a.opts.AcceptLoss != lost.code() {
		return lost // with the marks as they are, for the next start
	}
	for _, name := range unneeded {
		a.marks.remove(name)
	}
	for _, l := range lost {
		a.logger.Warn("going on without acknowledged records that are lost, as accept_loss says",
			slog.String("log", l.log), slog.Uint64("from", uint64(l.last)+1), slog.Uint64("to", uint64(l.mark)))
		a.marks.lower(l.log, l.last)
	}
	return nil
}

// lastSeqs returns the last sequence of the catalog and of every log.
func (a *Adapter) lastSeqs(ctx context.Context) (map[string]jsSeq, error) {
	last := map[string]jsSeq{}
	for _, subject := range StorageSubjects(a.opts.Prefix) {
		list := a.js.ListStreams(ctx, jetstream.WithStreamListSubject(subject))
		for s := range list.Info() {
			last[s.Config.Name] = jsSeq(s.State.LastSeq)
		}
		if err := list.Err(); err != nil {
			return nil, fmt.Errorf("list the logs: %w", err)
		}
	}
	return last, nil
}
