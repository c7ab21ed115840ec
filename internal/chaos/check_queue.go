package main

import (
	"strings"
	"time"
)

// queues checks what is promised of queues.
func (c *checker) queues() {
	c.storedInOrder(func(m *message) bool { return isQueue(m.destination) })
	churn := c.churn()
	for _, m := range c.ledger.order {
		if !isQueue(m.destination) {
			continue
		}
		if m.confirmed > 0 && len(m.deliveries) == 0 && c.ledger.settled {
			c.add(lost, "%s", c.story(m))
		}
		c.queueMarks(m)
		c.deadLetters(m, churn[m.destination])
	}
	for queue, n := range c.ledger.left {
		c.add(leftBehind, "%d in %s", n, queue)
	}
	for _, r := range c.ledger.readers {
		if r.kind == consumer {
			c.consumerOrder(r, churn[r.pattern.String()])
		}
	}
}

// queueMarks checks that a message comes as new once, and was stored once.
func (c *checker) queueMarks(m *message) {
	var first *delivery
	news := 0
	for _, d := range m.deliveries {
		if d.reader.kind != consumer {
			continue
		}
		if !d.redelivered {
			news++
		}
		if first == nil {
			first = d
		}
		if d.id != first.id && m.dedup && m.triedFor() < dedupWindow {
			c.add(storedTwice, "as %s and %s\n%s", first.id, d.id, c.story(m))
			return
		}
	}
	if news > 1 {
		c.add(unmarked, "%s", c.story(m))
	}
}

// triedFor is how long a message was sent again.
func (m *message) triedFor() time.Duration { return m.tries[len(m.tries)-1].at - m.tries[0].at }

// churn returns when consumers of each queue came and went.
func (c *checker) churn() map[string][]time.Duration {
	all := make(map[string][]time.Duration)
	for _, r := range c.ledger.readers {
		if r.kind != consumer {
			continue
		}
		for _, conn := range r.connections {
			all[r.pattern.String()] = append(all[r.pattern.String()], conn.at, conn.ended)
		}
	}
	return all
}

func between(times []time.Duration, from, to time.Duration) (n int) {
	for _, at := range times {
		if at >= from && at <= to {
			n++
		}
	}
	return n
}

// deadLetters checks that a dead letter was given to consumers as often as it has to be.
// A consumer that went may have been given it without reading it.
func (c *checker) deadLetters(m *message, churn []time.Duration) {
	given := 0
	for _, d := range m.deliveries {
		if d.reader.kind == consumer {
			given++
			continue
		}
		unread := between(churn, m.tries[0].at, d.at)
		if d.reader.kind == deadLetter && given+unread < maxDeliveries {
			c.add(wronglyDead, "consumers had it %d times\n%s", given, c.story(m))
		}
	}
}

// settleTime is how long before a delivery no consumer may have come or gone, so that it
// has to be in order.
const settleTime = 10 * time.Second

// consumerOrder checks the order in which one connection read what is new, while no
// consumer came or went and nothing happened to a node.
func (c *checker) consumerOrder(r *reader, churn []time.Duration) {
	last := make(map[string]*delivery)
	for _, d := range r.deliveries {
		if d.redelivered || d.message.number == 0 {
			continue
		}
		key := d.message.sender
		was := last[key]
		last[key] = d
		if was == nil || was.connection != d.connection || d.message.number >= was.message.number {
			continue
		}
		from := min(d.message.tries[0].at, was.message.tries[0].at) - settleTime
		if between(churn, from, d.at) == 0 && !c.faultBetween(from, d.at) {
			c.add(deliveredOrder, "%s\n%s", c.story(was.message), c.story(d.message))
		}
	}
}

func (c *checker) faultBetween(from, to time.Duration) bool {
	for _, f := range c.ledger.faults {
		if f.at <= to && f.over+faultEcho >= from {
			return true
		}
	}
	return false
}

// faultEcho is how long a fault is felt after its end.
const faultEcho = 15 * time.Second

func deadLettersOf(queue string) string { return "/queue/DLQ." + strings.TrimPrefix(queue, "/queue/") }
