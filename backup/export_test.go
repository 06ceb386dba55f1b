package backup

import "time"

// SetCallTimeout changes how long a call may go without an answer, and returns what sets it back.
func SetCallTimeout(d time.Duration) (restore func()) {
	old := callTimeout
	callTimeout = d
	return func() { callTimeout = old }
}
