package conformance

import (
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

const (
	standard = protocol.StorageStandard
	express  = protocol.StorageExpress
)

// resolved is the configuration of a stream that sets opts in a basin without defaults.
func resolved(opts ...StreamOption) protocol.ResolvedStreamConfig {
	return layer(opts...).Resolve(protocol.StreamConfig{})
}

// everything sets every member to something other than the system's default.
var everything = []StreamOption{class(standard), retain(forever), arrival, uncapped(true), minAge(300)}

// mergeCases: control plane A.3 and A.4, the resulting configuration of a stream.
var mergeCases = []Case{
	{Row: "cp A.4/81", Name: "neither the stream nor its basin says anything", Run: func(t *testing.T, e *Env) {
		equal(t, "config", e.Stream().Config(), protocol.ResolvedStreamConfig{
			StorageClass:     express,
			RetentionPolicy:  age(7 * 24 * time.Hour),
			TimestampingMode: protocol.TimestampClientPrefer,
		})
	}},
	{Row: "cp A.4/82", Name: "the stream wins over its basin", Run: func(t *testing.T, e *Env) {
		b := e.Basin(defaulting(everything...))
		opts := []StreamOption{class(express), retain(age(time.Hour)), clientRequire, uncapped(false), minAge(60)}
		equal(t, "config", b.Stream("stream", opts...).Config(), resolved(opts...))
	}},
	{Row: "cp A.4/83", Name: "the basin fills in", Run: func(t *testing.T, e *Env) {
		equal(t, "config", e.Basin(defaulting(everything...)).Stream("stream").Config(), resolved(everything...))
	}},
	{Row: "cp A.4/84", Name: "mode from the stream, uncapped from the basin", Run: func(t *testing.T, e *Env) {
		s := e.Basin(defaulting(uncapped(true))).Stream("stream", arrival)
		equal(t, "config", s.Config(), resolved(uncapped(true), arrival))
	}},
	{Row: "cp A.4/85", Name: "an explicit age of 0 wins over the basin's 60", Run: func(t *testing.T, e *Env) {
		s := e.Basin(defaulting(minAge(60))).Stream("stream", minAge(0))
		equal(t, "config", s.Config(), resolved())
	}},
	{Row: "cp A.3/54,55,60,62,63,64", Name: "every value of every member is stored and echoed", Run: func(t *testing.T, e *Env) {
		b := e.Basin()
		for i, opt := range []StreamOption{
			retain(age(time.Second)), retain(age(24 * time.Hour)), retain(protocol.RetentionPolicy{AgeSecs: ^uint64(0)}),
			retain(forever), class(standard), class(express), class("glacier"), class("a-1"), clientPrefer, clientRequire, arrival,
			uncapped(true), uncapped(false), minAge(0), minAge(60), minAge(3600),
		} {
			s := b.Stream(protocol.StreamName([]byte{'a' + byte(i)}), opt)
			equal(t, "config", s.Config(), resolved(opt))
			s.AppendRange(0, 1, stamped(1000)) // it can be used, in any class
			d := e.Basin(defaulting(opt))
			equal(t, "basin config kept", d.Config().Equal(basinConfig(defaulting(opt))), true)
		}
	}},
	{Row: "cp A.3/67,69", Name: "a layer that sets nothing differs from one that sets a default", Run: func(t *testing.T, e *Env) {
		for _, opt := range []StreamOption{
			class(express), retain(age(7 * 24 * time.Hour)), clientPrefer, uncapped(false), minAge(0),
		} {
			b := e.Basin(defaulting(opt))
			equal(t, "explicit default kept", b.Config().Equal(basinConfig(defaulting(opt))), true)
			equal(t, "the same as nothing", b.Config().Equal(basinConfig()), false)
		}
	}},
}

// reconfigureCases: control plane A.4, changes of parts.
var reconfigureCases = []Case{
	{Row: "cp A.4/86", Name: "an empty change", Run: func(t *testing.T, e *Env) {
		b := e.Basin(createOnAppend, defaulting(everything...))
		equal(t, "same", b.Reconfigure(protocol.BasinReconfiguration{}).Equal(b.Config()), true)
		equal(t, "same", b.Config().Equal(basinConfig(createOnAppend, defaulting(everything...))), true)
		s := b.Stream("stream", class(express))
		equal(t, "config", s.Reconfigure(protocol.StreamReconfiguration{}), s.Config())
	}},
	{Row: "cp A.4/87", Name: "one member changes alone", Run: func(t *testing.T, e *Env) {
		s := e.Stream(everything...)
		want := s.Config()
		want.StorageClass = express
		equal(t, "config", s.Reconfigure(protocol.StreamReconfiguration{StorageClass: protocol.Set(express)}), want)
		equal(t, "config", s.Config(), want)
	}},
	{Row: "cp A.4/88", Name: "unset on a basin", Run: func(t *testing.T, e *Env) {
		b := e.Basin(defaulting(everything...))
		got := b.Reconfigure(protocol.BasinReconfiguration{DefaultStreamConfig: protocol.Set(protocol.StreamReconfiguration{
			StorageClass: protocol.Unset[protocol.StorageClass](),
		})})
		equal(t, "same", got.Equal(basinConfig(defaulting(everything[1:]...))), true)
		equal(t, "kept", b.Config().Equal(got), true)
	}},
	{Row: "cp A.4/89", Name: "unset on a stream takes the basin's default", Run: func(t *testing.T, e *Env) {
		s := e.Basin(defaulting(class(standard))).Stream("stream", class(express))
		got := s.Reconfigure(protocol.StreamReconfiguration{StorageClass: protocol.Unset[protocol.StorageClass]()})
		equal(t, "config", got, resolved(class(standard)))
	}},
	{Row: "cp A.4/90", Name: "unset on a stream whose basin has no default", Run: func(t *testing.T, e *Env) {
		s := e.Stream(everything...)
		equal(t, "config", s.Reconfigure(unsetAll), resolved())
	}},
	{Row: "cp A.4/91,92,93", Name: "mode and uncapped change apart", Run: func(t *testing.T, e *Env) {
		s := e.Stream(arrival, uncapped(true))
		equal(t, "config", s.Reconfigure(protocol.StreamReconfiguration{
			TimestampingMode: protocol.Unset[protocol.TimestampingMode]()}), resolved(uncapped(true)))
		s.Reconfigure(protocol.StreamReconfiguration{TimestampingMode: protocol.Set(protocol.TimestampArrival)})
		equal(t, "config", s.Reconfigure(protocol.StreamReconfiguration{Uncapped: protocol.Set(false)}), resolved(arrival))
	}},
	{Row: "cp A.4/94", Name: "a basin's whole layer is emptied", Run: func(t *testing.T, e *Env) {
		b := e.Basin(createOnRead, defaulting(everything...))
		got := b.Reconfigure(protocol.BasinReconfiguration{
			DefaultStreamConfig: protocol.Unset[protocol.StreamReconfiguration]()})
		equal(t, "same", got.Equal(basinConfig(createOnRead)), true)
	}},
	{Row: "cp A.4/96,97", Name: "a basin's flags and class are set, the rest is kept", Run: func(t *testing.T, e *Env) {
		b := e.Basin(defaulting(arrival))
		b.Reconfigure(protocol.BasinReconfiguration{
			CreateStreamOnAppend: new(true), CreateStreamOnRead: new(true),
			DefaultStreamConfig: protocol.Set(protocol.StreamReconfiguration{StorageClass: protocol.Set(standard)}),
		})
		want := basinConfig(createOnAppend, createOnRead, defaulting(arrival, class(standard)))
		equal(t, "same", b.Config().Equal(want), true)
	}},
	{Row: "cp A.4/98,99,100", Name: "retention, class and age go both ways", Run: func(t *testing.T, e *Env) {
		s := e.Stream(minAge(60))
		equal(t, "config", s.Reconfigure(protocol.StreamReconfiguration{DeleteOnEmptyMinAge: protocol.Set(uint64(0))}), resolved())
		for _, policy := range []protocol.RetentionPolicy{age(time.Hour), forever, age(time.Minute)} {
			equal(t, "config", s.Reconfigure(protocol.StreamReconfiguration{RetentionPolicy: protocol.Set(policy)}),
				resolved(retain(policy)))
		}
		for _, c := range []protocol.StorageClass{standard, express} {
			equal(t, "class", s.Reconfigure(protocol.StreamReconfiguration{StorageClass: protocol.Set(c)}).StorageClass, c)
		}
	}},
	{Row: "cp A.4/101", Name: "all members at once", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		got := s.Reconfigure(protocol.StreamReconfiguration{
			StorageClass:        protocol.Set(standard),
			RetentionPolicy:     protocol.Set(forever),
			TimestampingMode:    protocol.Set(protocol.TimestampArrival),
			Uncapped:            protocol.Set(true),
			DeleteOnEmptyMinAge: protocol.Set(uint64(300)),
		})
		equal(t, "config", got, resolved(everything...))
		equal(t, "config", s.Config(), got)
	}},
	{Row: "cp A.4/102", Name: "a basin's defaults change member by member", Run: func(t *testing.T, e *Env) {
		b := e.Basin()
		for _, change := range []protocol.StreamReconfiguration{
			{TimestampingMode: protocol.Set(protocol.TimestampArrival)}, {Uncapped: protocol.Set(true)},
			{StorageClass: protocol.Set(standard)},
		} {
			b.Reconfigure(protocol.BasinReconfiguration{DefaultStreamConfig: protocol.Set(change)})
		}
		want := basinConfig(defaulting(arrival, uncapped(true), class(standard)))
		equal(t, "same", b.Config().Equal(want), true)
	}},
	{Row: "cp 2.8", Name: "what a stream keeps stays when the basin's default changes", Run: func(t *testing.T, e *Env) {
		b := e.Basin(defaulting(class(standard)))
		s := b.Stream("stream")
		b.Ensure(basinConfig(defaulting(everything...)))
		s.Reconfigure(protocol.StreamReconfiguration{Uncapped: protocol.Set(true)})
		equal(t, "config", s.Config(), resolved(class(standard), uncapped(true)))
	}},
}

// unsetAll unsets every member.
var unsetAll = protocol.StreamReconfiguration{
	StorageClass:        protocol.Unset[protocol.StorageClass](),
	RetentionPolicy:     protocol.Unset[protocol.RetentionPolicy](),
	TimestampingMode:    protocol.Unset[protocol.TimestampingMode](),
	Uncapped:            protocol.Unset[bool](),
	DeleteOnEmptyMinAge: protocol.Unset[uint64](),
}
