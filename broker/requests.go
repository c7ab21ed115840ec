package broker

import "sync"

// requests are those that wait for an answer on this node, so that none waits for
// ever: by the reply destination and the correlation id, in the order in which they
// were sent.
type requests struct {
	mu      sync.Mutex
	waiting map[requestKey][]waitingRequest
}

type requestKey struct{ reply, correlation string }

type waitingRequest struct {
	message *Message
	until   int64 // clock time
}

func keyOf(reply string, m *Message) requestKey {
	correlation, _ := m.Headers.Lookup(HeaderCorrelationID)
	return requestKey{reply, correlation}
}

// expect notes a request, where its sender asked for an answer.
func (r *requests) expect(m *Message, until int64) {
	reply, ok := m.Headers.Lookup(HeaderReplyTo)
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting == nil {
		r.waiting = make(map[requestKey][]waitingRequest)
	}
	key := keyOf(reply, m)
	r.waiting[key] = append(r.waiting[key], waitingRequest{m, until})
}

// answered notes an answer, of whatever kind.
func (r *requests) answered(m *Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := keyOf(m.Key, m)
	if rest := r.waiting[key]; len(rest) > 1 {
		r.waiting[key] = rest[1:]
	} else {
		delete(r.waiting, key)
	}
}

// forget drops what waits on a reply destination that is gone.
func (r *requests) forget(reply string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key := range r.waiting {
		if key.reply == reply {
			delete(r.waiting, key)
		}
	}
}

// late takes the requests whose time is over.
func (r *requests) late(now int64) (late []*Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, all := range r.waiting {
		n := 0 // the oldest come first
		for n < len(all) && now >= all[n].until {
			late = append(late, all[n].message)
			n++
		}
		if n == len(all) {
			delete(r.waiting, key)
		} else if n > 0 {
			r.waiting[key] = all[n:]
		}
	}
	return late
}
