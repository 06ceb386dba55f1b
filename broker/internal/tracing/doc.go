// Package tracing makes OpenTelemetry spans of the work of a broker: of the requests at its doors, the phases of appends,
// reads of the storage and writes of the catalog. docs/tracing.md lists them with their attributes.
//
// It knows the API of OpenTelemetry only. The provider of the embedding program, or that of the command, records and exports
// the spans. All methods work on a nil [*Tracer], which traces nothing: without a provider nothing is wrapped and nothing
// allocated.
package tracing
