package broker

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/frames"
)

// maxPendingRequests is how many requests of one reply destination may wait at a time.
const maxPendingRequests = 1000

// pendingRequests are those that wait for an answer on this node, so that none waits
// forever: by the reply destination, in the order in which they were sent.
type pendingRequests struct {
	budget *budget // of what waits

	mu      sync.Mutex // guards the following
	waiting map[string][]pendingRequest
	// timedOut are hashes of the correlation ids of requests whose sender got that failure,
	// by the reply destination: no second failure follows.
	timedOut map[string][]uint64
	seed     maphash.Seed
}

// pendingRequest is what is kept of a request until it is answered.
type pendingRequest struct {
	message     *driver.Message // as much of it as a failure needs
	correlation string
	deadline    int64 // clock time
	bytes       int
}

func correlationOf(m *driver.Message) string {
	id, _ := m.Headers.Lookup(HeaderCorrelationID)
	return id
}

// newPendingRequest keeps what a failure of the request would need of it. It copies, so
// that the frame does not stay in memory with it.
func newPendingRequest(m *driver.Message, reply string, until int64) pendingRequest {
	kept := &driver.Message{Key: strings.Clone(m.Key), User: m.User, Session: m.Session, Headers: frames.Headers{{Name: HeaderReplyTo, Value: strings.Clone(reply)}}}
	id, ok := m.Headers.Lookup(HeaderCorrelationID)
	if ok {
		id = strings.Clone(id)
		kept.Headers = kept.Headers.With(HeaderCorrelationID, id)
	}
	return pendingRequest{kept, id, until, messageBytes(kept)}
}

// add notes a request, where its sender asked for an answer. It returns why not where
// too many wait already.
func (r *pendingRequests) add(m *driver.Message, until int64) *Error {
	reply, ok := m.Headers.Lookup(HeaderReplyTo)
	if !ok {
		return nil
	}
	pending := newPendingRequest(m, reply, until)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting == nil {
		r.waiting = make(map[string][]pendingRequest)
	}
	if len(r.waiting[reply]) >= maxPendingRequests {
		return errorf(CodeAppBusy, "%d requests wait for an answer there, which is the limit", maxPendingRequests)
	}
	if err := r.budget.take(m.User, pending.bytes); err != nil {
		return err
	}
	r.waiting[pending.reply()] = append(r.waiting[reply], pending)
	return nil
}

func (p *pendingRequest) reply() string { return p.message.Headers[0].Value }

func (r *pendingRequests) settle(p *pendingRequest) { r.budget.give(p.message.User, p.bytes) }

// answered notes an answer, of whatever kind: the oldest request with its
// correlation id waits no longer. It reports false for a failure where no request waits:
// the sender has had an answer, or has heard that there is none.
func (r *pendingRequests) answered(m *driver.Message) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	all, id := r.waiting[m.Key], correlationOf(m)
	if i := slices.IndexFunc(all, func(w pendingRequest) bool { return w.correlation == id }); i >= 0 {
		r.settle(&all[i])
		r.keep(m.Key, slices.Delete(all, i, i+1))
		return true
	}
	code, _ := m.Headers.Lookup(HeaderError)
	if _, failed := m.Headers.Lookup(HeaderFailed); !failed || code == string(CodeAppTimeout) {
		return true
	}
	if len(r.timedOut[m.Key]) > 0 {
		if i := slices.Index(r.timedOut[m.Key], r.hashLocked(id)); i >= 0 {
			r.timedOut[m.Key] = slices.Delete(r.timedOut[m.Key], i, i+1)
			return false
		}
	}
	return code == string(CodeAppBusy) // a request that was refused, as too many wait, does not wait
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
	for i := range r.waiting[reply] {
		r.settle(&r.waiting[reply][i])
	}
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
			r.settle(&all[n])
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
		r.timedOut, r.seed = make(map[string][]uint64), maphash.MakeSeed()
	}
	all := append(r.timedOut[reply], r.hashLocked(correlation))
	r.timedOut[reply] = all[max(len(all)-maxPendingRequests, 0):]
}

func (r *pendingRequests) hashLocked(correlation string) uint64 {
	return maphash.String(r.seed, correlation)
}
