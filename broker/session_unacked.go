package broker

import (
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/frames"
)

// ackMode is the ack header of a SUBSCRIBE.
type ackMode uint8

const (
	ackAuto ackMode = iota
	ackClient
	ackIndividual
)

func (a ackMode) String() string {
	return [...]string{"auto", "client", "client-individual"}[a]
}

// subscription is one SUBSCRIBE of a session. What is small is together, since there
// are many of them.
type subscription struct {
	session              *Session
	id                   string // as the client named it; "" in 1.0 without id
	requestedDestination string // the destination as the client wrote it
	destination          string // the same, or what an interceptor made of it
	pattern              destination.Pattern

	eventIDIndex int     // which of a stream's destinations it is
	index        int     // in its group, under the group's lock
	named        bool    // the client gave an id, so MESSAGE carries it
	ack          ackMode // as the client wants to acknowledge
	isReply      bool    // made by a reply-to header, or by a request
	isRequest    bool    // a SUBSCRIBE that is one request
	closed       bool    // under the outbox's lock: nothing is pushed any more

	consumer *consumer // of queues and durable subscriptions alone
	replay   *replay   // where the SUBSCRIBE asked for the past

	unacked unacked // of ackClient and ackIndividual, under the session's lock
}

// encoding is what makes the octets of one message differ between subscribers.
type encoding struct {
	framing Framing
	id      string
	version frames.Version
	named   bool
	ack     bool
	// unmarked leaves a stream's mark out, which differs between its clients.
	withoutEventID bool
}

// unacked remembers which messages of a subscription were not acknowledged, in
// the order in which they went out. Of topics' messages it knows the id alone,
// and forgets the oldest beyond a limit, since nothing is lost with them: a
// topic does not deliver again.
type unacked struct {
	order     []string
	open      map[string]*delivery // nil for topics' messages
	forgotten bool
}

// add notes a topic's message.
func (u *unacked) add(id string, limit int) {
	u.put(id, nil)
	for len(u.open) > limit {
		delete(u.open, u.order[0])
		u.order = u.order[1:]
		u.forgotten = true
	}
}

// hold notes a queue's message, and reports whether it was there already.
func (u *unacked) addDelivery(d *delivery) (again bool) {
	if _, again = u.open[d.Message.ID]; again {
		u.open[d.Message.ID] = d
		return true
	}
	u.put(d.Message.ID, d)
	return false
}

func (u *unacked) put(id string, d *delivery) {
	if u.open == nil {
		u.open = make(map[string]*delivery)
	}
	u.order = append(u.order, id)
	u.open[id] = d
	if len(u.order) > 2*len(u.open)+16 {
		u.compact()
	}
}

// compact drops what was acknowledged from the order.
func (u *unacked) compact() {
	kept := u.order[:0]
	for _, id := range u.order {
		if _, ok := u.open[id]; ok {
			kept = append(kept, id)
		}
	}
	clear(u.order[len(kept):])
	u.order = kept
}

// take removes one message, and reports whether it was there.
func (u *unacked) take(id string) (*delivery, bool) {
	d, ok := u.open[id]
	delete(u.open, id)
	return d, ok
}

// takeUpTo removes the message and all before it, and returns those of queues,
// or reports that it is not there.
func (u *unacked) takeUpTo(id string) ([]*delivery, bool) {
	if _, ok := u.open[id]; !ok {
		return nil, false
	}
	var taken []*delivery
	for i, one := range u.order {
		if d, _ := u.take(one); d != nil {
			taken = append(taken, d)
		}
		if one == id {
			u.order = u.order[i+1:]
			break
		}
	}
	return taken, true
}

// takeAll removes all messages, and returns those of queues.
func (u *unacked) takeAll() []*delivery {
	var taken []*delivery
	for _, id := range u.order {
		if d, _ := u.take(id); d != nil {
			taken = append(taken, d)
		}
	}
	u.order = nil
	return taken
}
