package storefiles

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/weirstream/weir/protocol/chunk"
)

// A Hole is a place where a block of a stream stops making sense: JetStream drops the rest of it.
type Hole struct {
	Stream string
	Damage *DamageError
	// Last is the sequence of the last message that can be read before it, Next that of the first one behind it; 0: none.
	Last, Next uint64
	// Ends are the subjects whose chunks stand before the hole, with the seq_num at which each ends there and the one at which it
	// goes on behind it; 0: not at all.
	Ends []End
}

// An End is where a weir stream, named by its subject, ends before a hole.
type End struct {
	Subject  string
	From, To uint64 // records from From on are lost, up to but without To; To 0: all that came
}

func (h Hole) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %v: the rest of that file is lost, behind message %d", h.Stream, h.Damage, h.Last)
	if h.Next > 0 {
		fmt.Fprintf(&b, " and before message %d", h.Next)
	}
	for _, e := range h.Ends {
		fmt.Fprintf(&b, "\n    %s loses records from seq_num %d", e.Subject, e.From)
		if e.To > 0 {
			fmt.Fprintf(&b, " to %d", e.To-1)
		} else {
			b.WriteString(" on, if there were any")
		}
	}
	return b.String()
}

// Survey reads all records of the stream in dir and returns the holes. It fails with [ErrEncrypted] for a store that the NATS
// server encrypts.
func Survey(dir string) ([]Hole, error) {
	name := filepath.Base(dir)
	blocks, err := Blocks(dir)
	if err != nil {
		return nil, err
	}
	var holes []Hole
	ends := map[string]uint64{} // by subject, as read so far
	last := uint64(0)
	for i, path := range blocks {
		block, err := ReadBlock(path)
		var damage *DamageError
		if err != nil && !errors.As(err, &damage) {
			return nil, err
		}
		if len(block) == 0 && damage == nil && i < len(blocks)-1 {
			damage = &DamageError{Path: path, Reason: "it is empty"}
		}
		for r, err := range Records(name, path, block) {
			if err != nil {
				if !errors.As(err, &damage) {
					return nil, err
				}
				break
			}
			if len(holes) > 0 && !r.Removal {
				holes[len(holes)-1].goesOn(&r)
			}
			last = max(last, r.Seq)
			if _, next, ok := chunkOf(&r); ok {
				ends[string(r.Subject)] = next
			}
		}
		if damage != nil {
			h := Hole{Stream: name, Damage: damage, Last: last}
			for subject, next := range ends {
				h.Ends = append(h.Ends, End{Subject: subject, From: next})
			}
			slices.SortFunc(h.Ends, func(a, b End) int { return strings.Compare(a.Subject, b.Subject) })
			holes = append(holes, h)
		}
	}
	for i := range holes {
		holes[i].Ends = slices.DeleteFunc(holes[i].Ends, func(e End) bool { return e.To == e.From })
	}
	return holes, nil
}

// goesOn takes note of a message behind the hole.
func (h *Hole) goesOn(r *Record) {
	if h.Next == 0 {
		h.Next = r.Seq
	}
	first, _, ok := chunkOf(r)
	if !ok {
		return
	}
	for i := range h.Ends {
		if e := &h.Ends[i]; e.Subject == string(r.Subject) && e.To == 0 {
			e.To = first
			return
		}
	}
}

// chunkOf returns the seq_nums between which the records of a chunk stand.
func chunkOf(r *Record) (first, next uint64, ok bool) {
	_, rest, found := bytes.Cut(r.Headers, []byte("\r\n"+chunk.Header+":"))
	if !found || r.Removal {
		return 0, 0, false
	}
	line, _, _ := bytes.Cut(rest, []byte("\r\n"))
	fields := map[string]uint64{}
	for f := range strings.FieldsSeq(string(line)) {
		if key, value, ok := strings.Cut(f, "="); ok && (key == "first" || key == "n") {
			n, err := strconv.ParseUint(value, 10, 64)
			if err != nil {
				return 0, 0, false
			}
			fields[key] = n
		}
	}
	return fields["first"], fields["first"] + fields["n"], true
}
