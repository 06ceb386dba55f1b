package cli

import (
	"fmt"
	"strings"

	"github.com/weirstream/weir/conf"
)

// StoreState is the result of a look at the files of a store directory.
type StoreState struct {
	Streams int    // of JetStream
	Bytes   int64  // of all files of JetStream
	Mode    string // the kind of broker that the directory belongs to; "" if that is not noted
	Stopped bool   // the last broker stopped in order
	Refuses []string
	Mends   []string // by the next start
	Lost    []string
}

// versionFinding lists the versions of the binary's parts.
func (a *app) versionFinding() finding {
	parts := []string{"weir " + a.env.Version}
	b := a.env.Build
	for _, p := range []row{{"", b.Go}, {"", b.Platform}, {"nats-server ", b.NATSServer}, {"commit ", b.Commit}} {
		if p.value != "" {
			parts = append(parts, p.name+p.value)
		}
	}
	return finding{Check: "version", Level: levelOK, Text: strings.Join(parts, ", ")}
}

// storeFindings are the findings of a start in the files of the store.
func (a *app) storeFindings(cfg conf.Config, deep bool) (out []finding) {
	if cfg.StoreDir == "" || a.env.InspectStore == nil {
		return nil
	}
	s, err := a.env.InspectStore(cfg.StoreDir, cfg.SubjectPrefix, deep)
	if err != nil {
		return []finding{{Check: "files", Level: levelRefuses, Text: err.Error(), Advice: "a start needs to read all files of the store"}}
	}
	for _, text := range s.Refuses {
		out = append(out, finding{Check: "files", Level: levelRefuses, Text: text, Advice: "see docs/operations.md, and weir repair for damage"})
	}
	for _, text := range s.Lost {
		out = append(out, finding{Check: "files", Level: levelWarning, Text: "lost: " + text, Advice: "restore from a backup what is to be kept; weir repair says more"})
	}
	for _, text := range s.Mends {
		out = append(out, finding{Check: "files", Level: levelOK, Text: text, Advice: "the next start does it"})
	}
	if len(s.Refuses) > 0 {
		return out
	}
	text := "no store yet; a start makes one"
	if s.Bytes > 0 || s.Streams > 0 {
		text = fmt.Sprintf("%d JetStream streams, %d MiB", s.Streams, s.Bytes>>20)
		if s.Mode != "" {
			text += ", mode " + s.Mode
		}
		if !s.Stopped {
			text += "; the last broker was not stopped in order, so that a start looks through all files"
		}
		if !deep {
			text += "; records were not read (--deep)"
		}
	}
	return append(out, finding{Check: "files", Level: levelOK, Text: text})
}
