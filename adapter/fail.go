package adapter

// Fail tells the adapter that the store does not work any more, although it still answers reads: every append that waits
// is answered with code storage, as unknown, and so is every one that comes. Without it they would wait for a JetStream
// that never answers. It is final, and may be called at any time and more than once.
func (a *Adapter) Fail(err error) {
	a.mu.Lock()
	if a.failed == nil {
		a.failed = err
	}
	a.mu.Unlock()
	for _, l := range a.openLogs() {
		l.seq.Failed(err)
	}
}

// inherit hands a failure of the store to a log that was opened while it happened.
func (a *Adapter) inherit(l *log) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failed != nil {
		l.seq.Failed(a.failed)
	}
}
