package main

import "fmt"

// follower checks what is promised to who follows a history with last-event-id: all that
// was confirmed, once, in the order of the ids; a gap is reported.
func (c *checker) follower(r *reader) {
	c.ids(r)
	seen := make(map[*message]int, len(r.deliveries)) // to its index
	for i, d := range r.deliveries {
		if before, twice := seen[d.message]; twice {
			c.add(repeated, "%s, on its connections %d and %d\n%s", r.name, r.deliveries[before].connection, d.connection, c.story(d.message))
			continue
		}
		seen[d.message] = i
		if d.incomplete && !r.trimmed {
			c.add(falseGap, "%s\n%s", r.name, c.story(d.message))
		}
	}
	c.senderOrder(r)
	if c.ledger.settled {
		c.gaps(r, seen)
	}
}

// ids checks that those of each epoch rise, and are the same for all readers.
func (c *checker) ids(r *reader) {
	var epoch string
	var highest uint64
	for i, d := range r.deliveries {
		if other := d.message.stored(); other != nil && !samePlace(other.id, d.id) {
			c.add(idsDiffer, "%s has %s of %s, %s has %s\n%s", r.name, d.id, d.message.body, other.reader.name, other.id, c.story(d.message))
		}
		e, seq, ok := place(d.id)
		switch {
		case !ok:
			c.add(idsFell, "%s read the id %q", r.name, d.id)
			continue
		case e != epoch && i > 0:
			c.add(newEpoch, "%s read %s after %s-%d; reported: %t\n%s", r.name, d.id, epoch, highest, d.incomplete, c.story(d.message))
			highest = 0
		case seq <= highest && r.kind == follower:
			was := r.deliveries[i-1]
			c.add(idsFell, "%s read %s after %s\n%s\n%s", r.name, d.id, was.id, c.story(was.message), c.story(d.message))
		}
		epoch, highest = e, max(highest, seq)
	}
}

// gaps checks for each message that is owed and did not come that the next one of its
// sender says so.
func (c *checker) gaps(r *reader, seen map[*message]int) {
	reported := make([]int, len(r.deliveries)+1) // how many of those before an index are incomplete
	for i, d := range r.deliveries {
		reported[i+1] = reported[i]
		if d.incomplete {
			reported[i+1]++
		}
	}
	for _, group := range c.groups(r.owed) {
		before := -1 // the index of the newest of the group that came
		var missing *message
		for _, m := range group {
			i, came := seen[m]
			if !came {
				if missing == nil {
					missing = m
				}
				continue
			}
			if missing != nil && (!r.trimmed || reported[i+1] == reported[before+1]) {
				c.missed(r, missing, fmt.Sprintf("the next that it read is\n%s", c.story(m)))
			}
			before, missing = i, nil
		}
		if missing != nil {
			c.missed(r, missing, "nothing of its sender came after it")
		}
	}
}

func (c *checker) missed(r *reader, m *message, then string) {
	promise := lost
	if r.trimmed {
		promise = silentGap
	}
	c.add(promise, "%s did not read\n%s\n%s%s", r.name, c.story(m), then, c.connectionsAt(r, m))
}

// senderOrder checks that the messages of each sender come in its order.
func (c *checker) senderOrder(r *reader) {
	last := make(map[string]*delivery)
	for _, d := range r.deliveries {
		if d.message.number == 0 {
			continue
		}
		key := d.message.sender + " " + d.message.destination
		if was := last[key]; was != nil && was.message.number > d.message.number {
			c.add(deliveredOrder, "%s\n%s\n%s", r.name, c.story(was.message), c.story(d.message))
		}
		last[key] = d
	}
}

// durable checks what is promised to a durable subscription: all that was confirmed, and
// what comes again is marked.
func (c *checker) durable(r *reader) {
	news := make(map[*message]bool)
	for _, d := range r.deliveries {
		if !d.redelivered && news[d.message] {
			c.add(unmarked, "%s\n%s", r.name, c.story(d.message))
		}
		news[d.message] = news[d.message] || !d.redelivered
	}
	if !c.ledger.settled {
		return
	}
	for _, m := range c.ledger.order {
		if r.owed(m) && r.first(m) == nil {
			c.missed(r, m, "")
		}
	}
}

// listener checks a topic that nothing keeps: at most once, in the order of each sender,
// and nothing missing of a sender on the same node.
func (c *checker) listener(r *reader) {
	groups := c.groups(func(m *message) bool { return r.pattern.Match(m.destination) })
	last := make(map[string]*delivery)
	for _, d := range r.deliveries {
		key := d.message.sender + " " + d.message.destination
		was := last[key]
		last[key] = d
		if was == nil {
			continue
		}
		switch n := d.message.number - was.message.number; {
		case n == 0:
			c.add(repeated, "%s\n%s", r.name, c.story(d.message))
		case n < 0:
			c.add(deliveredOrder, "%s\n%s\n%s", r.name, c.story(was.message), c.story(d.message))
		case was.connection == d.connection:
			for _, m := range groups[key] {
				passed := m.number > was.message.number && m.number < d.message.number
				if passed && m.confirmed > 0 && m.tries[0].node == d.node {
					c.add(lost, "%s is on the node of its sender, and read\n%s\nand next\n%s\nand not\n%s", r.name, c.story(was.message), c.story(d.message), c.story(m))
				}
			}
		}
	}
}
