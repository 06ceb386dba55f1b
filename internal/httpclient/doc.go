// Package httpclient implements [protocol.Service] over S2's v1 HTTP API, so that the suites of test/ and weir bench can ask a
// broker through its HTTP door. It is strict where the specification leaves no choice (statuses, content types,
// provision results, frames) and reports every deviation as a failure of code other.
//
// It is written from the specification alone and shares no HTTP code with the broker: frames are put together and
// taken apart here, by hand.
package httpclient
