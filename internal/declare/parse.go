package declare

import (
	"errors"
	"fmt"
	"strings"

	"github.com/weirstream/weir/internal/strictjson"
	"github.com/weirstream/weir/protocol"
)

// Resources are the basins of a spec, in the order of the file.
type Resources struct {
	Basins []Basin
}

// Basin is a basin that shall be there with this configuration, and its streams in the order of the file.
type Basin struct {
	Name   protocol.BasinName
	Config protocol.BasinConfig
	// DedicatedLogs is how many logs of its own a basin gets that is created; 0: it shares those of the account.
	DedicatedLogs int
	Streams       []Stream
}

// Stream is a stream that shall be there with this configuration; a setting that it leaves open is the basin's default.
type Stream struct {
	Name   protocol.StreamName
	Config protocol.StreamConfig
}

// Error is everything that is wrong with a spec.
type Error struct {
	// Problems are lines for people, each naming its place.
	Problems []string
}

// Error gives one problem a line.
func (e *Error) Error() string { return strings.Join(e.Problems, "\n") }

// Parse reads a spec and checks all of it (control plane 9.6). The error is an [*Error].
//
//	{"basins": [{"name": basin, "config": BasinConfig|null, "dedicated_logs": n|null, "streams": [{"name": stream, "config": StreamConfig|null}]}]}
//
// Unknown fields are refused except at the top, where "$schema" and others may stand. Within a config absent and null are
// the same. A retention below one second is refused, and a min_age between 0 and one second, which would disable the deletion
// that it asks for; fractions of a second above are dropped (D-23).
func Parse(data []byte) (Resources, error) {
	p := parser{basins: map[string]bool{}}
	problems := strictjson.ReadAll(data, "the file", func(r *strictjson.Reader) error {
		p.Reader = r
		return r.Object(func(name []byte) error {
			if string(name) != "basins" {
				return r.Skip()
			}
			return r.Array(func(int) error { return p.basin() })
		})
	})
	if len(problems) > 0 {
		lines := make([]string, 0, len(problems))
		for _, err := range problems {
			lines = append(lines, problemText(err))
		}
		return Resources{}, &Error{lines}
	}
	return p.res, nil
}

// maxDedicatedLogs is how many logs of its own a basin can have.
const maxDedicatedLogs = 64

type parser struct {
	*strictjson.Reader
	res    Resources
	basins map[string]bool // names that were met
}

// layer is a stream configuration of the file.
type layer struct {
	config protocol.StreamConfig
	// short says that its retention is under a second. It is reported once the name of its basin or stream is known.
	short bool
}

var errAge = errors.New("retention_policy: age must be greater than 0 seconds, and at least 1 second")

func (p *parser) basin() error {
	var (
		b        Basin
		name     *string
		defaults layer
		streams  []stream
	)
	err := p.object(members{
		"name": func() error {
			name = new(string)
			return p.text(func(s string) (err error) {
				name = &s
				b.Name, err = protocol.ParseBasinName(s)
				return err
			})()
		},
		"config":         p.orNull(func() error { return p.basinConfig(&b.Config, &defaults) }),
		"dedicated_logs": p.orNull(p.integer(&b.DedicatedLogs, maxDedicatedLogs)),
		"streams":        func() error { return p.Array(func(int) error { return p.stream(&streams) }) },
	})
	if err != nil {
		return err
	}
	what := p.Path()
	switch {
	case name == nil:
		p.Report(p.Bad("basin name is missing"))
	case *name != "":
		what = fmt.Sprintf("basin %q", protocol.Clip(*name))
		if p.basins[*name] {
			p.problem("duplicate basin name %q", protocol.Clip(*name))
		}
		p.basins[*name] = true
	}
	if defaults.short {
		p.problem("%s default_stream_config: %v", what, errAge)
	}
	b.Config.DefaultStreamConfig = defaults.config
	b.Streams = p.streamsOf(what, streams)
	p.res.Basins = append(p.res.Basins, b)
	return nil
}

// stream is a stream of the file, and how to name it.
type stream struct {
	Stream
	name  string // as it is spelled; "" if there is none
	place string
	short bool
}

func (p *parser) stream(all *[]stream) error {
	var (
		s     stream
		l     layer
		named bool
	)
	err := p.object(members{
		"name": func() error {
			named = true
			return p.text(func(text string) (err error) {
				s.name = text
				s.Name, err = protocol.ParseStreamName(text)
				return err
			})()
		},
		"config": p.orNull(func() error { return p.streamConfig(&l) }),
	})
	if err != nil {
		return err
	}
	if !named {
		p.Report(p.Bad("stream name is missing"))
	}
	s.place = p.Path()
	s.Config, s.short = l.config, l.short
	*all = append(*all, s)
	return nil
}

// streamsOf checks the streams of a basin together.
func (p *parser) streamsOf(basin string, all []stream) (streams []Stream) {
	met := map[string]bool{}
	for _, s := range all {
		what := s.place
		if s.name != "" {
			what = fmt.Sprintf("stream %q in %s", protocol.Clip(s.name), basin)
		}
		if s.name != "" && met[s.name] {
			p.problem("duplicate stream name %q in %s", protocol.Clip(s.name), basin)
		}
		met[s.name] = true
		if s.short {
			p.problem("%s: %v", what, errAge)
		}
		streams = append(streams, s.Stream)
	}
	return streams
}
