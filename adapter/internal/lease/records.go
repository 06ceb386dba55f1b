package lease

import (
	"encoding/hex"
	"encoding/json"
	"strings"
)

// Info is what a node's record shows to people.
type Info struct {
	Addresses map[string]string `json:"addresses,omitempty"` // by kind, such as "http" and "nats"
	Version   string            `json:"version,omitempty"`
}

// State is the state of a node's record.
type State string

// The states of a node's record.
const (
	Joining State = "joining" // waits until the lease of an older process of its name has surely ended
	Live    State = "live"
	Dead    State = "dead" // another node has declared it dead
	Left    State = "left" // it has stopped in order
)

func (s State) ended() bool { return s == Dead || s == Left }

// nodeRecord is the value of n.<node>, in JSON.
type nodeRecord struct {
	Incarnation string `json:"incarnation"` // random
	State       State  `json:"state"`
	Beat        uint64 `json:"beat,omitempty"` // grows with each renewal, so that its writer recognizes each of them
	Draining    bool   `json:"draining,omitempty"`
	By          string `json:"by,omitempty"` // the node that declared it dead
	Info
}

// claimRecord is the value of o.<log>, in JSON.
type claimRecord struct {
	Node        string `json:"node"`
	Incarnation string `json:"incarnation"`
	Epoch       uint64 `json:"epoch"`
}

// wishRecord is the value of w.<node>, in JSON: what an operator asks of a node, for as long as the incarnation lasts.
type wishRecord struct {
	Incarnation string `json:"incarnation"`
	Draining    bool   `json:"draining"`
}

const (
	nodeKeys  = "n."
	claimKeys = "o."
	wishKeys  = "w."
	// balanceKey is written to ask all nodes to give the logs away that others should own.
	balanceKey = "balance"
)

func wishKey(node string) string { return wishKeys + escape(node) }

func nodeKey(node string) string { return nodeKeys + escape(node) }
func claimKey(log string) string { return claimKeys + escape(log) }

// escape makes a name a token of a key: bytes other than letters, digits, '-' and '_' become '=' and two hexadecimal digits.
func escape(name string) string {
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		if c == '-' || c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' {
			b.WriteByte(c)
		} else {
			b.WriteByte('=')
			b.WriteString(hex.EncodeToString([]byte{c}))
		}
	}
	return b.String()
}

// unescape is the inverse of escape.
func unescape(token string) (name string, ok bool) {
	var b strings.Builder
	for rest := token; rest != ""; {
		if rest[0] != '=' {
			b.WriteByte(rest[0])
			rest = rest[1:]
			continue
		}
		if len(rest) < 3 {
			return "", false
		}
		c, err := hex.DecodeString(rest[1:3])
		if err != nil {
			return "", false
		}
		b.Write(c)
		rest = rest[3:]
	}
	name = b.String()
	return name, escape(name) == token
}

// encode is the stored form of a record.
func encode(record any) []byte {
	text, err := json.Marshal(record)
	if err != nil {
		panic(err) //nolint:forbidigo // a record has strings and numbers alone, and cannot fail
	}
	return text
}
