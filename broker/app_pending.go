package broker

import (
	"slices"
	"sync"

	"github.com/stompbox/stompbox/broker/driver"
)

// maxPendingRequests is how many requests of one reply destination may wait at a time.
const maxPendingRequests = 1000

// pendingRequests are those that wait for an answer on this node, so that none waits for
// ever: by the reply destination, in the order in which they were sent.
type pendingRequests struct {
	mu      sync.Mutex
	waiting map[string][]pendingRequest
	// timedOut are the correlation ids of requests whose sender got that failure, by the reply
	// destination: no second failure follows.
	timedOut map[string][]string
}

type pendingRequest struct {
	message     *driver.Message
	correlation string
	deadline    int64 // clock time
}

func correlationOf(m *driver.Message) string {
	id, _ := m.Headers.Lookup(HeaderCorrelationID)
	return id
}

// add notes a request, where its sender asked for an answer. It reports false
// when too many wait already.
func (r *pendingRequests) add(m *driver.Message, until int64) bool {
	reply, ok := m.Headers.Lookup(HeaderReplyTo)
	if !ok {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting == nil {
		r.waiting = make(map[string][]pendingRequest)
	}
	if len(r.waiting[reply]) >= maxPendingRequests {
		return false
	}
	r.waiting[reply] = append(r.waiting[reply], pendingRequest{m, correlationOf(m), until})
	return true
}

// answered notes an answer, of whatever kind: the oldest request with its
// correlation id waits no longer. It reports false for the failure of a request that
// has timed out: its sender has had one.
func (r *pendingRequests) answered(m *driver.Message) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	all, id := r.waiting[m.Key], correlationOf(m)
	if i := slices.IndexFunc(all, func(w pendingRequest) bool { return w.correlation == id }); i >= 0 {
		r.keep(m.Key, slices.Delete(all, i, i+1))
		return true
	}
	if i := slices.Index(r.timedOut[m.Key], id); i >= 0 && isLateFailure(m) {
		r.timedOut[m.Key] = slices.Delete(r.timedOut[m.Key], i, i+1)
		return false
	}
	return true
}

// isLateFailure reports whether a message says that a request failed, but for those that
// say so because of the time.
func isLateFailure(m *driver.Message) bool {
	code, _ := m.Headers.Lookup(HeaderError)
	_, failed := m.Headers.Lookup(HeaderFailed)
	return failed && code != string(CodeAppTimeout)
}

func (r *pendingRequests) keep(reply string, rest []pendingRequest) {
	if len(rest) == 0 {
		delete(r.waiting, reply)
		return
	}
	r.waiting[reply] = rest
}

// forget drops what waits on a reply destination that is gone.
func (r *pendingRequests) forget(reply string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waiting, reply)
	delete(r.timedOut, reply)
}

// takeExpired takes the requests whose time is over.
func (r *pendingRequests) takeExpired(now int64) (late []*driver.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for reply, all := range r.waiting {
		n := 0 // the oldest come first
		for n < len(all) && now >= all[n].deadline {
			late = append(late, all[n].message)
			r.noteTimeoutLocked(reply, all[n].correlation)
			n++
		}
		if n > 0 {
			r.keep(reply, all[n:])
		}
	}
	return late
}

func (r *pendingRequests) noteTimeoutLocked(reply, correlation string) {
	if r.timedOut == nil {
		r.timedOut = make(map[string][]string)
	}
	all := append(r.timedOut[reply], correlation)
	r.timedOut[reply] = all[max(len(all)-maxPendingRequests, 0):]
}
