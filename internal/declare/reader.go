package declare

import (
	"errors"
	"fmt"

	"github.com/weirstream/weir/internal/strictjson"
	"github.com/weirstream/weir/protocol"
)

// members read the members of an object by their names.
type members map[string]func() error

// object reads an object that has no other members than these.
func (p *parser) object(known members) error {
	return p.Object(func(name []byte) error {
		if read, ok := known[string(name)]; ok {
			return read()
		}
		if err := p.Skip(); err != nil {
			return err
		}
		return p.Bad("there is no such field")
	})
}

// orNull reads null, or else calls read: where a spec allows null it means the same as absence.
func (p *parser) orNull(read func() error) func() error {
	return func() error {
		if p.Null() {
			return nil
		}
		return read()
	}
}

// text reads a string and hands it to use, whose error is a refusal of the value.
func (p *parser) text(use func(string) error) func() error {
	return func() error {
		s, err := p.Text()
		if err != nil {
			return err
		}
		if err := use(s); err != nil {
			return p.Bad("%v", err)
		}
		return nil
	}
}

// boolean reads true or false.
func (p *parser) boolean(dst *bool) func() error {
	return func() error { return strictjson.Into(p.Reader, dst, (*strictjson.Reader).Bool) }
}

// integer reads a whole number from 0 to most.
func (p *parser) integer(dst *int, most uint64) func() error {
	return func() error {
		n, err := p.UintMax(most)
		if err == nil {
			*dst = int(n)
		}
		return err
	}
}

// problem reports a fault of more than one value.
func (p *parser) problem(format string, args ...any) { p.Report(fmt.Errorf(format, args...)) }

// problemText is one problem as a line for people.
func problemText(err error) string {
	var syntax *strictjson.SyntaxError
	if errors.As(err, &syntax) && syntax.Pointer != "" {
		return fmt.Sprintf("%v (at %s)", err, protocol.Clip(syntax.Pointer))
	}
	return err.Error()
}
