// Package docs runs the examples of the documentation.
//
// docs/http-api.md shows commands in blocks of sh, and their output in blocks of text behind them. The commands run in
// the order of the page against one broker, by this package's own reading of them, so that no curl is needed; where curl
// is installed they run once more in a shell, as a reader pastes them. Their output must be that of the page, but for
// times. After a change of the broker's answers,
//
//	go test ./test/docs -update
//
// writes them into the page; read the difference before it is committed.
package docs
