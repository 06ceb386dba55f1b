package backup

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/weirstream/weir/protocol"
)

// streamValue is the part of a stream's catalog entry that a backup knows.
type streamValue struct {
	Name protocol.StreamName `json:"name"`
	ID   string              `json:"id"`
	Log  int                 `json:"log"`
}

// entry is a catalog entry and the resource that it describes.
type entry struct {
	protocol.CatalogEntry
	basin  protocol.BasinName // of a basin or a stream; "" for everything else
	stream *streamValue       // nil if it is not a stream's
	id     id
}

func parseEntry(e protocol.CatalogEntry) (out entry, err error) {
	out.CatalogEntry = e
	kind, rest, _ := strings.Cut(e.Key, ".")
	switch kind {
	case "b":
		out.basin, err = protocol.ParseBasinName(rest)
	case "s":
		basin, _, _ := strings.Cut(rest, ".")
		if out.basin, err = protocol.ParseBasinName(basin); err != nil {
			break
		}
		out.stream = &streamValue{}
		if err = json.Unmarshal(e.Value, out.stream); err == nil {
			out.id, err = parseID(out.stream.ID)
		}
		if err == nil && !out.stream.Name.IsShadow() {
			_, err = protocol.ParseStreamName(string(out.stream.Name))
		}
	}
	if err != nil {
		return out, fmt.Errorf("entry %.100q: %w", e.Key, err)
	}
	return out, nil
}

// catalogReader reads the catalog of a backup: the entries outside of basins, then each basin with its streams behind it.
type catalogReader struct {
	*reader
	lines   *bufio.Reader
	number  int
	waiting *entry // read, and given back
}

func openCatalog(dir string, m *Manifest) (*catalogReader, error) {
	want, ok := m.catalog()
	if !ok {
		return nil, damaged(manifestName, errors.New("it names no catalog"))
	}
	r, err := open(dir, want)
	if err != nil {
		return nil, err
	}
	return &catalogReader{reader: r, lines: bufio.NewReader(r.from)}, nil
}

// next returns the next entry, and io.EOF behind the last.
func (c *catalogReader) next() (*entry, error) {
	if e := c.waiting; e != nil {
		c.waiting = nil
		return e, nil
	}
	line, err := c.lines.ReadBytes('\n')
	if errors.Is(err, io.EOF) && len(line) == 0 {
		return nil, io.EOF
	}
	c.number++
	var raw protocol.CatalogEntry
	if err == nil {
		err = json.Unmarshal(line, &raw)
	}
	var e entry
	if err == nil {
		e, err = parseEntry(raw)
	}
	if err != nil {
		return nil, damaged(c.path, fmt.Errorf("line %d: %w", c.number, err))
	}
	return &e, nil
}

// streams yields the streams behind a basin's entry.
func (c *catalogReader) streams(basin protocol.BasinName, yield func(*entry) error) error {
	for {
		e, err := c.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if e.stream == nil {
			c.waiting = e
			return nil
		}
		if e.basin != basin {
			return damaged(c.path, fmt.Errorf("line %d: a stream of basin %q stands behind basin %q", c.number, e.basin, basin))
		}
		if err := yield(e); err != nil {
			return err
		}
	}
}
