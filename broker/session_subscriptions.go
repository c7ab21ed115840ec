package broker

import "iter"

// subscriptions are those of a session, by the names that [subscriptionName] makes. Most
// sessions have one, which needs no map. The zero value is empty.
type subscriptions struct {
	name string // of the first
	sub  *subscription
	more map[string]*subscription // the others
}

func (s *subscriptions) len() int {
	if s.sub == nil {
		return len(s.more)
	}
	return 1 + len(s.more)
}

// get returns the subscription of a name, or nil.
func (s *subscriptions) get(name string) *subscription {
	if s.sub != nil && s.name == name {
		return s.sub
	}
	return s.more[name]
}

// set adds a subscription. There is none of the name.
func (s *subscriptions) set(name string, sub *subscription) {
	if s.sub == nil {
		s.name, s.sub = name, sub
		return
	}
	if s.more == nil {
		s.more = make(map[string]*subscription)
	}
	s.more[name] = sub
}

func (s *subscriptions) remove(name string) {
	if s.sub != nil && s.name == name {
		s.name, s.sub = "", nil
		return
	}
	delete(s.more, name)
}

// all yields the subscriptions in no order. The one that was yielded may be removed.
func (s *subscriptions) all() iter.Seq2[string, *subscription] {
	return func(yield func(string, *subscription) bool) {
		if s.sub != nil && !yield(s.name, s.sub) {
			return
		}
		for name, sub := range s.more {
			if !yield(name, sub) {
				return
			}
		}
	}
}

// holders yields the subscriptions that can hold messages to acknowledge. The caller
// holds the session's lock.
func (s *Session) holders() iter.Seq[*subscription] {
	return func(yield func(*subscription) bool) {
		for _, sub := range s.subs.all() {
			if !yield(sub) {
				return
			}
		}
		for _, sub := range s.retired {
			if !yield(sub) {
				return
			}
		}
	}
}
