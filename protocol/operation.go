package protocol

import (
	"iter"
	"math/bits"
)

// Operation is one thing that an access token may allow. The numbers are those of control plane 5.4 and fix the order
// in which operations are listed.
type Operation uint8

// The operations (control plane 5.4).
const (
	OpListBasins Operation = 1 + iota
	OpCreateBasin
	OpDeleteBasin
	OpReconfigureBasin
	OpGetBasinConfig
	OpIssueAccessToken
	OpRevokeAccessToken
	OpListAccessTokens
	OpListStreams
	OpCreateStream
	OpDeleteStream
	OpGetStreamConfig
	OpReconfigureStream
	OpCheckTail
	OpAppend
	OpRead
	OpTrim
	OpFence
	OpAccountMetrics
	OpBasinMetrics
	OpStreamMetrics
	OpListLocations
	OpGetDefaultLocation
	OpSetDefaultLocation

	lastOperation = OpSetDefaultLocation
)

// operationNames are the names on the wire, by number.
var operationNames = [lastOperation + 1]string{
	OpListBasins:         "list-basins",
	OpCreateBasin:        "create-basin",
	OpDeleteBasin:        "delete-basin",
	OpReconfigureBasin:   "reconfigure-basin",
	OpGetBasinConfig:     "get-basin-config",
	OpIssueAccessToken:   "issue-access-token",
	OpRevokeAccessToken:  "revoke-access-token",
	OpListAccessTokens:   "list-access-tokens",
	OpListStreams:        "list-streams",
	OpCreateStream:       "create-stream",
	OpDeleteStream:       "delete-stream",
	OpGetStreamConfig:    "get-stream-config",
	OpReconfigureStream:  "reconfigure-stream",
	OpCheckTail:          "check-tail",
	OpAppend:             "append",
	OpRead:               "read",
	OpTrim:               "trim",
	OpFence:              "fence",
	OpAccountMetrics:     "account-metrics",
	OpBasinMetrics:       "basin-metrics",
	OpStreamMetrics:      "stream-metrics",
	OpListLocations:      "list-locations",
	OpGetDefaultLocation: "get-default-location",
	OpSetDefaultLocation: "set-default-location",
}

// String is the operation's name on the wire.
func (o Operation) String() string {
	if o == 0 || o > lastOperation {
		return "unknown operation"
	}
	return operationNames[o]
}

// ParseOperation is the inverse of String.
func ParseOperation(name string) (Operation, bool) {
	for o := OpListBasins; o <= lastOperation; o++ {
		if operationNames[o] == name {
			return o, true
		}
	}
	return 0, false
}

// OperationSet is a set of operations; the zero value is empty.
type OperationSet uint32

// Operations makes a set.
func Operations(ops ...Operation) (s OperationSet) {
	for _, o := range ops {
		s |= 1 << o
	}
	return s
}

// AllOperations holds every operation.
const AllOperations OperationSet = 1<<(lastOperation+1) - 2

// Has reports whether all of ops are in the set.
func (s OperationSet) Has(ops ...Operation) bool { return s.Contains(Operations(ops...)) }

// Contains reports whether o is a subset of s.
func (s OperationSet) Contains(o OperationSet) bool { return s&o == o }

// All yields the operations in their order.
func (s OperationSet) All() iter.Seq[Operation] {
	return func(yield func(Operation) bool) {
		for rest := uint32(s); rest != 0; rest &= rest - 1 {
			if !yield(Operation(bits.TrailingZeros32(rest))) {
				return
			}
		}
	}
}

// ReadWrite are the two halves of an operation group.
type ReadWrite struct {
	Read  bool // operations that look
	Write bool // operations that change
}

// OperationGroups allow whole groups of operations (control plane 5.4, D-17).
type OperationGroups struct {
	Account ReadWrite // on basins, access tokens, locations and the account's metrics
	Basin   ReadWrite // on streams of a basin, its configuration and its metrics
	Stream  ReadWrite // on records, the stream's configuration and its metrics
}

// Operations is the set that the groups stand for.
func (g OperationGroups) Operations() (s OperationSet) {
	add := func(on bool, ops ...Operation) {
		if on {
			s |= Operations(ops...)
		}
	}
	add(g.Account.Read, OpListBasins, OpListAccessTokens, OpAccountMetrics, OpListLocations, OpGetDefaultLocation)
	add(g.Account.Write, OpCreateBasin, OpDeleteBasin, OpReconfigureBasin, OpIssueAccessToken, OpRevokeAccessToken,
		OpSetDefaultLocation)
	add(g.Basin.Read, OpGetBasinConfig, OpListStreams, OpBasinMetrics)
	add(g.Basin.Write, OpCreateStream, OpDeleteStream, OpReconfigureStream)
	add(g.Stream.Read, OpGetStreamConfig, OpCheckTail, OpRead, OpStreamMetrics)
	add(g.Stream.Write, OpAppend, OpTrim, OpFence)
	return s
}
