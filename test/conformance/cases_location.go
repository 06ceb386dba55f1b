package conformance

import (
	"testing"

	"github.com/weirstream/weir/protocol"
)

// nowhere is a location that no door has.
const nowhere protocol.LocationName = "nowhere:At-all.1"

// locations returns the names of all locations.
func (e *Env) locations() (names []protocol.LocationName) {
	e.t.Helper()
	all, err := e.Service.ListLocations(e.ctx)
	e.must(err, "list locations")
	for _, l := range all {
		names = append(names, l.Name)
	}
	if len(names) == 0 {
		e.t.Fatal("there is no location")
	}
	return names
}

// defaultLocation returns the name of the default location.
func (e *Env) defaultLocation() protocol.LocationName {
	e.t.Helper()
	info, err := e.Service.DefaultLocation(e.ctx)
	e.must(err, "get the default location")
	return info.Name
}

// setDefaultLocation sets the default location. Only cases with a broker of their own may make it another.
func (e *Env) setDefaultLocation(name protocol.LocationName) {
	e.t.Helper()
	info, err := e.Service.SetDefaultLocation(e.ctx, name)
	e.must(err, "set the default location")
	equal(e.t, "the default location set", info.Name, name)
	equal(e.t, "the default location", e.defaultLocation(), name)
}

// createAt asks for the basin to be created in a location.
func (b *Basin) createAt(location protocol.LocationName, token string) (protocol.BasinInfo, protocol.ProvisionResult, error) {
	req := protocol.CreateBasinRequest{Basin: b.Name, Location: location}
	if token != none {
		req.RequestToken = &token
	}
	return b.e.Service.CreateBasin(b.e.ctx, req)
}

// ensureAt asks for the basin to be in a location.
func (b *Basin) ensureAt(location protocol.LocationName) (protocol.BasinInfo, protocol.ProvisionResult, error) {
	return b.e.Service.EnsureBasin(b.e.ctx, b.Name, protocol.EnsureBasinRequest{Location: location})
}

// livesIn checks the location of the basin as it is listed.
func (b *Basin) livesIn(want protocol.LocationName) {
	b.e.t.Helper()
	info, ok := b.listed()
	equal(b.e.t, "listed", ok, true)
	equal(b.e.t, "location as listed", info.Location, want)
}

// locationCases: control plane A.22, and the rules of A.5 and A.6 about locations.
var locationCases = []Case{
	{Row: "cp A.22/404,405", Name: "the default location is among the locations", Run: func(t *testing.T, e *Env) {
		found := 0
		for _, name := range e.locations() {
			if _, err := protocol.ParseLocationName(string(name)); err != nil {
				t.Fatal(err)
			}
			if name == e.defaultLocation() {
				found++
			}
		}
		equal(t, "locations that are the default", found, 1)
	}},
	{Row: "cp A.22/406", Name: "the default can be any location, itself too", Timed: true, Run: func(t *testing.T, e *Env) {
		e.setDefaultLocation(e.defaultLocation())
		for _, name := range e.locations() {
			e.setDefaultLocation(name)
			e.setDefaultLocation(name)
		}
	}},
	{Row: "cp A.22/408", Name: "the default cannot be an unknown location", Run: func(t *testing.T, e *Env) {
		before := e.defaultLocation()
		_, err := e.Service.SetDefaultLocation(e.ctx, nowhere)
		e.fails(err, protocol.CodeInvalid)
		equal(t, "the default location", e.defaultLocation(), before)
	}},
	{Row: "cp A.22/410,411", Name: "a new default moves no basin", Timed: true, Run: func(t *testing.T, e *Env) {
		made := map[protocol.LocationName]*Basin{}
		for _, name := range e.locations() {
			e.setDefaultLocation(name)
			made[name] = e.NoBasin()
			equal(t, "location", made[name].created(none).Location, name)
			info, _ := e.NoBasin().Ensure(basinConfig())
			equal(t, "location of an ensured basin", info.Location, name)
		}
		for name, b := range made {
			b.livesIn(name)
			info, _ := b.Ensure(basinConfig(createOnRead))
			equal(t, "location after an ensure without one", info.Location, name)
		}
	}},
	{Row: "cp A.5/125", Name: "create a basin in each location", Run: func(t *testing.T, e *Env) {
		for _, name := range e.locations() {
			b := e.NoBasin()
			info, _, err := b.createAt(name, none)
			e.must(err, "create basin")
			equal(t, "location", info.Location, name)
			b.livesIn(name)
			b.Reconfigure(protocol.BasinReconfiguration{StreamCipher: protocol.Set(protocol.CipherAEGIS256)})
			b.livesIn(name)
		}
	}},
	{Row: "cp A.5/126", Name: "create a basin without a location", Run: func(t *testing.T, e *Env) {
		b := e.NoBasin()
		equal(t, "location", b.created(none).Location, e.defaultLocation())
		b.livesIn(e.defaultLocation())
	}},
	{Row: "cp A.5/127", Name: "create a basin in an unknown location", Run: func(t *testing.T, e *Env) {
		b := e.NoBasin()
		_, _, err := b.createAt(nowhere, "token")
		e.fails(err, protocol.CodeInvalid)
		_, _, err = b.ensureAt(nowhere)
		e.fails(err, protocol.CodeInvalid)
		_, ok := b.listed()
		equal(t, "created", ok, false)
	}},
	{Row: "cp 11", Name: "D-1, the location as requested is part of what a repeat must equal", Run: func(t *testing.T, e *Env) {
		here := e.defaultLocation()
		b := e.NoBasin()
		first, _, err := b.createAt(here, "token")
		e.must(err, "create basin")
		again, result, err := b.createAt(here, "token")
		e.must(err, "repeat")
		equal(t, "result", result, protocol.ProvisionNoop)
		equal(t, "location", again.Location, here)
		equal(t, "created_at", again.CreatedAt.Equal(first.CreatedAt), true)
		b.clashes(taken, "token") // without a location
		for _, other := range e.locations() {
			if other != here {
				_, _, err := b.createAt(other, "token")
				e.fails(err, taken)
			}
		}
		b = e.NoBasin()
		b.replayed(b.created("token"), "token")
		_, _, err = b.createAt(here, "token")
		e.fails(err, taken)
	}},
	{Row: "cp A.6/145", Name: "an ensure moves no basin", Run: func(t *testing.T, e *Env) {
		b := e.Basin(createOnRead)
		here := e.defaultLocation()
		for _, other := range append(e.locations(), nowhere) {
			if other == here {
				continue
			}
			_, _, err := b.ensureAt(other)
			e.fails(err, protocol.CodeInvalid)
			equal(t, "config kept", b.Config().Equal(basinConfig(createOnRead)), true)
		}
		info, result, err := b.ensureAt(here)
		e.must(err, "ensure basin")
		equal(t, "result", result, protocol.ProvisionUpdated)
		equal(t, "location", info.Location, here)
	}},
	{Row: "cp A.6/146", Name: "an ensure makes a basin in each location", Run: func(t *testing.T, e *Env) {
		for _, name := range e.locations() {
			b := e.NoBasin()
			info, result, err := b.ensureAt(name)
			e.must(err, "ensure basin")
			equal(t, "result", result, protocol.ProvisionCreated)
			equal(t, "location", info.Location, name)
			b.livesIn(name)
		}
	}},
}
