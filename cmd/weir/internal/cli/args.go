package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weirstream/weir/conf"
	"github.com/weirstream/weir/protocol"
)

// need checks the number of arguments and names the missing one.
func need(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usagef("argument %s is missing: %s", names[len(args)], cmd.UseLine())
		case len(args) > len(names):
			return usagef("unexpected argument %q", args[len(names)])
		}
		return nil
	}
}

// atMost checks that there are no more arguments than n.
func atMost(n int) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > n {
			return usagef("unexpected argument %q", args[n])
		}
		return nil
	}
}

// basinArg reads a basin as a bare name or s2://basin.
func basinArg(s string) (protocol.BasinName, error) {
	basin, path, err := protocol.ParseBasinURI(s)
	if err != nil {
		return "", &usageError{err}
	}
	if path != "" {
		return "", usagef("%q names a stream, but only a basin is allowed here: s2://%s", s, basin)
	}
	return basin, nil
}

func streamArg(s string) (protocol.StreamRef, error) {
	ref, err := protocol.ParseStreamURI(s)
	if err != nil {
		return ref, &usageError{err}
	}
	return ref, nil
}

// optional is a flag whose absence differs from every value.
type optional[T any] struct {
	value *T
	kind  string
	parse func(string) (T, error)
	show  func(T) string
}

func (o *optional[T]) Set(s string) error {
	v, err := o.parse(s)
	if err != nil {
		return err
	}
	o.value = &v
	return nil
}

func (o *optional[T]) String() string {
	if o.value == nil {
		return ""
	}
	if o.show != nil {
		return o.show(*o.value)
	}
	return fmt.Sprint(*o.value)
}

func (o *optional[T]) Type() string { return o.kind }

func uintFlag(fs *pflag.FlagSet, name, short, help string) *optional[uint64] {
	o := &optional[uint64]{kind: "uint", parse: parseUint}
	fs.VarP(o, name, short, help)
	return o
}

// millisFlag is a timestamp of a record.
func millisFlag(fs *pflag.FlagSet, name, help string) *optional[uint64] {
	o := &optional[uint64]{kind: "uint", parse: func(s string) (uint64, error) {
		n, err := parseUint(s)
		if err != nil {
			return 0, errors.New("must be milliseconds since 1970, a whole number; --ago takes a duration like 1h")
		}
		return n, nil
	}}
	fs.Var(o, name, help)
	return o
}

func parseUint(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("must be a whole number from 0 to %d", uint64(1<<64-1))
	}
	return n, nil
}

func boolFlag(fs *pflag.FlagSet, name, help string) *optional[bool] {
	o := &optional[bool]{kind: "true|false", parse: func(s string) (bool, error) {
		switch s {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
		return false, errors.New("must be true or false")
	}}
	fs.Var(o, name, help)
	return o
}

// tokenFlag is a fencing token; "" is a token, the one of a stream that is not fenced.
func tokenFlag(fs *pflag.FlagSet, help string) *optional[string] {
	o := &optional[string]{kind: "token", parse: parseToken}
	fs.VarP(o, "fencing-token", "f", help)
	return o
}

func parseToken(s string) (string, error) {
	if err := protocol.CheckFencingToken("the token", s); err != nil {
		return "", fmt.Errorf("%s", err.Message)
	}
	return s, nil
}

// durationFlag is a duration, days included, with a default.
func durationFlag(fs *pflag.FlagSet, name, short string, def time.Duration, help string) *time.Duration {
	d := durationValue(def)
	fs.VarP(&d, name, short, help)
	return (*time.Duration)(&d)
}

type durationValue time.Duration

func (d *durationValue) Set(s string) error {
	v, err := conf.ParseDuration(s)
	*d = durationValue(v)
	return err
}

func (d *durationValue) String() string { return conf.FormatDuration(time.Duration(*d)) }

func (d *durationValue) Type() string { return "duration" }

func enumFlag[T ~string](fs *pflag.FlagSet, name, short, help string, allowed ...T) *optional[T] {
	o := &optional[T]{kind: "name", parse: func(s string) (T, error) {
		for _, a := range allowed {
			if s == string(a) {
				return a, nil
			}
		}
		return "", fmt.Errorf("allowed are %s", list(allowed, "and"))
	}}
	fs.VarP(o, name, short, help+": "+list(allowed, "or"))
	return o
}

// storageClassFlag adds the flag of a storage class, which may be any word.
func storageClassFlag(fs *pflag.FlagSet, short, help string) *optional[protocol.StorageClass] {
	o := &optional[protocol.StorageClass]{kind: "name", parse: protocol.ParseStorageClass}
	fs.VarP(o, "storage-class", short, help+": express, standard, or another word, which is stored as express")
	return o
}

// list writes names as "a, b and c", with the given conjunction.
func list[T ~string](names []T, conjunction string) string {
	var s strings.Builder
	for i, n := range names {
		switch {
		case i == 0:
		case i == len(names)-1:
			s.WriteString(" " + conjunction + " ")
		default:
			s.WriteString(", ")
		}
		s.WriteString(string(n))
	}
	return s.String()
}
