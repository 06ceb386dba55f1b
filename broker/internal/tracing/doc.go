// Package tracing makes OpenTelemetry spans of what a broker does: of the requests at its doors, the phases of appends, reads of
// the storage and writes of the catalog. docs/tracing.md lists them with their attributes.
//
// It knows the API of OpenTelemetry only. What records and exports spans is the embedding program's provider, or that of the
// command. All methods work on a nil [*Tracer], which traces nothing: without a provider nothing is wrapped and nothing allocated.
package tracing
