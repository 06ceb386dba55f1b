// Package declare reads resource specs: JSON files that say which basins and streams shall be there, and with which
// configuration (control plane 9.6). `weir apply` and the init file of a broker take them; S2's own tools take the same.
//
//	res, err := declare.Parse(data)            // reports all faults at once
//	steps, err := declare.Plan(ctx, svc, res)  // the steps that Apply would take
//	err = declare.Apply(ctx, svc, res, done)   // basins and streams in file order, each ensured
//
// A spec is not the JSON of the API: durations are written for people ("7days", "1h 30m"), unknown fields are refused so
// that a typing error does not reset a setting, and nothing that a spec leaves out is ever deleted.
//
// The package does no I/O but the calls of the service that it is given.
package declare
