package broker

import (
	"slices"
	"sync"

	"github.com/stompbox/stompbox/broker/driver"
)

// mostRequests is how many requests of one reply destination may wait at a time.
const mostRequests = 1000

// requests are those that wait for an answer on this node, so that none waits for
// ever: by the reply destination, in the order in which they were sent.
type requests struct {
	mu      sync.Mutex
	waiting map[string][]waitingRequest
}

type waitingRequest struct {
	message     *driver.Message
	correlation string
	until       int64 // clock time
}

func correlationOf(m *driver.Message) string {
	id, _ := m.Headers.Lookup(HeaderCorrelationID)
	return id
}

// expect notes a request, where its sender asked for an answer. It reports false
// when too many wait already.
func (r *requests) expect(m *driver.Message, until int64) bool {
	reply, ok := m.Headers.Lookup(HeaderReplyTo)
	if !ok {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting == nil {
		r.waiting = make(map[string][]waitingRequest)
	}
	if len(r.waiting[reply]) >= mostRequests {
		return false
	}
	r.waiting[reply] = append(r.waiting[reply], waitingRequest{m, correlationOf(m), until})
	return true
}

// answered notes an answer, of whatever kind: the oldest request with its
// correlation id waits no longer.
func (r *requests) answered(m *driver.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all, id := r.waiting[m.Key], correlationOf(m)
	if i := slices.IndexFunc(all, func(w waitingRequest) bool { return w.correlation == id }); i >= 0 {
		r.keep(m.Key, slices.Delete(all, i, i+1))
	}
}

func (r *requests) keep(reply string, rest []waitingRequest) {
	if len(rest) == 0 {
		delete(r.waiting, reply)
		return
	}
	r.waiting[reply] = rest
}

// forget drops what waits on a reply destination that is gone.
func (r *requests) forget(reply string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waiting, reply)
}

// late takes the requests whose time is over.
func (r *requests) late(now int64) (late []*driver.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for reply, all := range r.waiting {
		n := 0 // the oldest come first
		for n < len(all) && now >= all[n].until {
			late = append(late, all[n].message)
			n++
		}
		if n > 0 {
			r.keep(reply, all[n:])
		}
	}
	return late
}
