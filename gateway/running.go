package gateway

import "sync"

// running counts connections that are being served. Unlike a sync.WaitGroup it may
// be waited for while the first one begins.
type running struct {
	mu    sync.Mutex
	count int
	idle  chan struct{} // closed when count is 0; nil while nobody waits
}

func (r *running) begin() {
	r.mu.Lock()
	r.count++
	r.mu.Unlock()
}

func (r *running) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count--; r.count == 0 && r.idle != nil {
		close(r.idle)
		r.idle = nil
	}
}

// Go runs serve in a goroutine that is counted.
func (r *running) Go(serve func()) {
	r.begin()
	go func() {
		defer r.end()
		serve()
	}()
}

// Wait returns when nothing is being served.
func (r *running) Wait() {
	r.mu.Lock()
	if r.count == 0 {
		r.mu.Unlock()
		return
	}
	if r.idle == nil {
		r.idle = make(chan struct{})
	}
	idle := r.idle
	r.mu.Unlock()
	<-idle
}
