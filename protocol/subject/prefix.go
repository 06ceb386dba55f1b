package subject

import "github.com/weirstream/weir/protocol"

// DefaultPrefix is the default first token of the service's subjects.
const DefaultPrefix = "s2"

// Prefix makes the subjects of the service. Its value is the part before "v1" in each of them: one or more tokens;
// "" means [DefaultPrefix]. docs/nats-api.md lists the subjects.
type Prefix string

// Root returns the tokens that every subject of the service begins with, without a dot at the end.
func (p Prefix) Root() string {
	if p == "" {
		p = DefaultPrefix
	}
	return string(p) + ".v1"
}

// Basin returns the subject of a basin verb; basin "" leaves the name out.
func (p Prefix) Basin(verb string, basin protocol.BasinName) string {
	if basin == "" {
		return p.Root() + ".basin." + verb
	}
	return p.Root() + ".basin." + verb + "." + string(basin)
}

// Stream returns the subject of a stream verb; stream "" leaves the name out.
func (p Prefix) Stream(verb string, basin protocol.BasinName, stream protocol.StreamName) string {
	subject := p.Root() + ".stream." + verb + "." + string(basin)
	if stream == "" {
		return subject
	}
	return subject + "." + Encode(stream)
}

// Records returns the subject of append, read or tail.
func (p Prefix) Records(verb string, ref protocol.StreamRef) string {
	return p.Root() + "." + verb + "." + string(ref.Basin) + "." + Encode(ref.Stream)
}

// Token returns the subject of a token verb; id "" leaves the id out.
func (p Prefix) Token(verb string, id protocol.AccessTokenID) string {
	subject := p.Root() + ".token." + verb
	if id == "" {
		return subject
	}
	return subject + "." + Encode(protocol.StreamName(id))
}

// Session returns the subject under which one door takes the messages of its session id.
func (p Prefix) Session(door, id string) string {
	return p.Root() + ".session." + door + "." + id
}

// Location returns the subject of a location verb: list, default.get or default.set.
func (p Prefix) Location(verb string) string { return p.Root() + ".location." + verb }

// Metrics returns the subject of a query of usage metrics: of the account if basin is "", of a basin if stream is "",
// or of a stream.
func (p Prefix) Metrics(basin protocol.BasinName, stream protocol.StreamName) string {
	root := p.Root() + ".metrics."
	switch {
	case basin == "":
		return root + "account"
	case stream == "":
		return root + "basin." + string(basin)
	}
	return root + "stream." + string(basin) + "." + Encode(stream)
}

// Live returns the subject on which the records of a stream are published as they become durable.
func (p Prefix) Live(ref protocol.StreamRef) string {
	if p == "" {
		p = DefaultPrefix
	}
	return string(p) + ".live." + string(ref.Basin) + "." + Encode(ref.Stream)
}

// Backup returns the subject of a verb of backups and restores, such as "backup.chunks".
func (p Prefix) Backup(verb string) string { return p.Root() + "." + verb }
