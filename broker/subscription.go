package broker

import (
	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/frames"
)

// ackMode is the ack header of a SUBSCRIBE.
type ackMode uint8

const (
	ackAuto ackMode = iota
	ackClient
	ackIndividual
)

// subscription is one SUBSCRIBE of a session.
type subscription struct {
	session *Session
	id      string // as the client named it; "" in 1.0 without id
	named   bool   // the client gave an id, so MESSAGE carries it
	shown   string // the destination as the client wrote it
	pattern auth.Pattern
	ack     ackMode

	place  int  // in its group, under the group's lock
	closed bool // under the outbox's lock: nothing is pushed any more

	unacked unacked // of ackClient and ackIndividual, under the session's lock
}

// encoding is what makes the octets of one message differ between subscribers.
type encoding struct {
	framing Framing
	id      string
	version frames.Version
	named   bool
	ack     bool
}

// unacked remembers which messages of a subscription were not acknowledged. The
// oldest are forgotten beyond the limit, since nothing is lost with them: a
// topic does not deliver again.
type unacked struct {
	order  []string
	open   map[string]struct{}
	forgot bool
}

func (u *unacked) add(id string, limit int) {
	if u.open == nil {
		u.open = make(map[string]struct{})
	}
	u.order = append(u.order, id)
	u.open[id] = struct{}{}
	for len(u.open) > limit {
		delete(u.open, u.order[0])
		u.order = u.order[1:]
		u.forgot = true
	}
	for len(u.order) > 2*len(u.open)+16 {
		u.compact()
	}
}

// compact drops what was acknowledged from the order.
func (u *unacked) compact() {
	kept := make([]string, 0, len(u.open))
	for _, id := range u.order {
		if _, ok := u.open[id]; ok {
			kept = append(kept, id)
		}
	}
	u.order = kept
}

// ack acknowledges id, and all before it when cumulative. It reports whether id
// was open.
func (u *unacked) ack(id string, cumulative bool) bool {
	if _, ok := u.open[id]; !ok {
		return false
	}
	if !cumulative {
		delete(u.open, id)
		return true
	}
	for i, one := range u.order {
		delete(u.open, one)
		if one == id {
			u.order = u.order[i+1:]
			break
		}
	}
	return true
}
