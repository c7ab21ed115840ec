package broker

// unacked remembers which deliveries of a subscription were not acknowledged, in the
// order in which they went out. Each has a number, which no other delivery of the
// session has, so that a message that comes again is not taken for its first delivery.
// Of topics' messages it knows the id alone, and forgets the oldest beyond a limit,
// since nothing is lost with them: a topic does not deliver again.
type unacked struct {
	held   *held // of the session; nil counts nothing
	order  []uint64
	open   map[uint64]openDelivery
	latest map[string]uint64 // by message id: the last delivery of it that is open
	// reached is the highest number that the client has acknowledged, or refused.
	reached uint64
}

type openDelivery struct {
	messageID string
	delivery  *delivery // nil for topics' messages
}

// held is what a session holds of all its subscriptions.
type held struct {
	bytes   int      // of messages of queues
	ids     account  // of the ids of topics' messages
	waiters []waiter // consumers for which it holds too much
}

// idOverhead is what the id of a message takes in addition to its text, about.
const idOverhead = 192

func (d openDelivery) bytes() int {
	if d.delivery == nil {
		return 0
	}
	return d.delivery.bytes
}

func (h *held) add(d openDelivery) {
	if h != nil {
		h.bytes += d.bytes()
	}
}

func (h *held) sub(d openDelivery) {
	switch {
	case h == nil:
	case d.delivery == nil:
		h.ids.sub(len(d.messageID) + idOverhead)
	default:
		h.bytes -= d.delivery.bytes
	}
}

// makeRoom forgets the oldest ids of topics' messages until there is room for one more,
// and reports whether there is.
func (u *unacked) makeRoom(messageID string) bool {
	if u.held == nil {
		return true
	}
	for u.held.ids.add(len(messageID)+idOverhead) != nil {
		if len(u.order) == 0 {
			return false
		}
		u.take(u.order[0])
		u.order = u.order[1:]
	}
	return true
}

// add notes a topic's message.
func (u *unacked) add(number uint64, messageID string, limit int) {
	if !u.makeRoom(messageID) {
		return
	}
	u.put(number, openDelivery{messageID: messageID})
	for len(u.open) > limit {
		u.take(u.order[0])
		u.order = u.order[1:]
	}
}

// addDelivery notes a queue's message. Where it was there already, as the store gave up
// on it and delivers it again, its number stays what it was, and superseded is how many
// deliveries the store has counted since.
func (u *unacked) addDelivery(number uint64, d *delivery) (superseded int) {
	if open, ok := u.latest[d.Message.ID]; ok && u.open[open].delivery.Count < d.Count {
		d.number = open
		superseded = d.Count - u.open[open].delivery.Count
		u.held.sub(u.open[open])
		u.open[open].delivery.settle()
		u.open[open] = openDelivery{d.Message.ID, d}
		u.held.add(u.open[open])
		return superseded
	}
	d.number = number
	u.put(number, openDelivery{d.Message.ID, d})
	return 0
}

func (u *unacked) put(number uint64, d openDelivery) {
	if u.open == nil {
		u.open = make(map[uint64]openDelivery)
		u.latest = make(map[string]uint64)
	}
	u.order = append(u.order, number)
	u.open[number] = d
	u.held.add(d)
	u.latest[d.messageID] = number
	if len(u.order) > 2*len(u.open)+16 {
		u.compact()
	}
}

// compact drops what was acknowledged from the order.
func (u *unacked) compact() {
	kept := u.order[:0]
	for _, number := range u.order {
		if _, ok := u.open[number]; ok {
			kept = append(kept, number)
		}
	}
	clear(u.order[len(kept):])
	u.order = kept
}

// take removes one delivery, and reports whether it was there.
func (u *unacked) take(number uint64) (*delivery, bool) {
	d, ok := u.open[number]
	if !ok {
		return nil, false
	}
	delete(u.open, number)
	u.held.sub(d)
	if u.latest[d.messageID] == number {
		delete(u.latest, d.messageID)
	}
	return d.delivery, true
}

// takeUpTo removes a delivery and all before it, and returns those of queues. It
// removes nothing where the delivery is not there.
func (u *unacked) takeUpTo(number uint64) (taken []*delivery) {
	if _, ok := u.open[number]; !ok {
		return nil
	}
	for i, earlier := range u.order {
		if d, _ := u.take(earlier); d != nil {
			taken = append(taken, d)
		}
		if earlier == number {
			u.order = u.order[i+1:]
			break
		}
	}
	return taken
}

// takeAll removes all deliveries, and returns those of queues. It marks those that the
// client did not come to work on: what it was sent after the last one that it has dealt
// with, except one, which it may have failed with.
func (u *unacked) takeAll() (taken []*delivery) {
	failed := false
	for _, number := range u.order {
		d, _ := u.take(number)
		if d == nil {
			continue
		}
		if number > u.reached && !d.untouched { // some were not written
			d.untouched, failed = failed, true
		}
		taken = append(taken, d)
	}
	u.order = nil
	return taken
}
