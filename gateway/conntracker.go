package gateway

import "sync"

// connTracker counts connections that are being served. Unlike a sync.WaitGroup it may
// be waited for while the first connection begins.
type connTracker struct {
	mu    sync.Mutex
	count int
	idle  chan struct{} // closed when count is 0; nil while nothing waits
}

func (t *connTracker) begin() {
	t.mu.Lock()
	t.count++
	t.mu.Unlock()
}

func (t *connTracker) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count--; t.count == 0 && t.idle != nil {
		close(t.idle)
		t.idle = nil
	}
}

// Go runs serve in a goroutine that is counted.
func (t *connTracker) Go(serve func()) {
	t.begin()
	go func() {
		defer t.end()
		serve()
	}()
}

// Wait returns when nothing is being served.
func (t *connTracker) Wait() {
	t.mu.Lock()
	if t.count == 0 {
		t.mu.Unlock()
		return
	}
	if t.idle == nil {
		t.idle = make(chan struct{})
	}
	idle := t.idle
	t.mu.Unlock()
	<-idle
}
