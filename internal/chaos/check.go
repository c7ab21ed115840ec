package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The promises that can be broken.
const (
	lost            = "a confirmed message was lost"
	unmarked        = "a message came twice without a mark"
	storedTwice     = "a message with a dedup-id was stored twice"
	storedOrder     = "the messages of one sender were stored in another order"
	deliveredOrder  = "the messages of one sender came in another order"
	repeated        = "a follower read a message twice"
	idsFell         = "the ids of a history did not rise"
	idsDiffer       = "a message of a history has two ids"
	silentGap       = "a gap of a history was not reported"
	falseGap        = "replay:incomplete though the history drops nothing"
	newEpoch        = "a history began another epoch though nothing was lost"
	tornTransaction = "a transaction took effect in part"
	droppedEffect   = "a dropped transaction took effect"
	wronglyDead     = "a message is a dead letter though consumers failed less often"
	leftBehind      = "messages were left in a queue that no consumer got"
	unanswered      = "a request had neither answer nor error"
	answeredTwice   = "a request had more than one outcome"
	madeUp          = "a message came that was never sent"
)

// violation is a broken promise and its story.
type violation struct {
	promise string
	story   string
}

const (
	dedupWindow   = 2 * time.Minute
	maxDeliveries = 5
)

// check returns all that is wrong.
func (l *ledger) check() []violation {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &checker{ledger: l}
	for _, text := range l.unknown {
		c.add(madeUp, "%s", text)
	}
	c.queues()
	c.transactions()
	c.requests()
	for _, r := range l.readers {
		switch r.kind {
		case follower:
			c.follower(r)
		case durable:
			c.durable(r)
		case listener:
			c.listener(r)
		}
	}
	return c.found
}

// checker looks for broken promises in a ledger. The caller holds its lock.
type checker struct {
	ledger *ledger
	found  []violation
}

func (c *checker) add(promise, format string, args ...any) {
	c.found = append(c.found, violation{promise, fmt.Sprintf(format, args...)})
}

// group returns the messages that a sender numbered for a destination, in its order.
func (c *checker) groups(want func(*message) bool) map[string][]*message {
	groups := make(map[string][]*message)
	for _, m := range c.ledger.order {
		if m.number > 0 && want(m) {
			key := m.sender + " " + m.destination
			groups[key] = append(groups[key], m)
		}
	}
	for _, group := range groups {
		slices.SortFunc(group, func(a, b *message) int { return a.number - b.number })
	}
	return groups
}

// storedInOrder checks that ids rise with the numbers of a sender. Those of a memory
// stream do not compare with those of another.
func (c *checker) storedInOrder(want func(*message) bool) {
	for _, group := range c.groups(want) {
		var before *message
		for _, m := range group {
			d := m.stored()
			if d == nil {
				continue
			}
			if before != nil {
				was := before.stored()
				if epoch, seq, ok := place(d.id); ok {
					if e, s, _ := place(was.id); e == epoch && s > seq {
						c.add(storedOrder, "%s\n%s", c.story(before), c.story(m))
					}
				}
			}
			before = m
		}
	}
}

// stored returns the delivery that tells where a message was stored, or nil.
func (m *message) stored() *delivery {
	for _, d := range m.deliveries {
		if d.reader.kind != deadLetter && d.reader.kind != listener {
			return d
		}
	}
	return nil
}

// place takes the message-id of a history apart: its epoch, without what was subscribed to,
// and its number.
func place(id string) (epoch string, seq uint64, ok bool) {
	i := strings.LastIndexByte(id, '-')
	if i < 0 {
		return "", 0, false
	}
	seq, err := strconv.ParseUint(id[i+1:], 10, 64)
	epoch, _, _ = strings.Cut(id[:i], ".")
	return epoch, seq, err == nil
}

func samePlace(id, other string) bool {
	epoch, seq, _ := place(id)
	otherEpoch, otherSeq, _ := place(other)
	return epoch == otherEpoch && seq == otherSeq
}

// transactions checks that they are whole.
func (c *checker) transactions() {
	for _, tx := range c.ledger.transactions {
		var seen, unseen []*message
		for _, m := range tx.messages {
			if len(m.deliveries) > 0 {
				seen = append(seen, m)
			} else {
				unseen = append(unseen, m)
			}
		}
		switch {
		case tx.dropped && len(seen) > 0:
			c.add(droppedEffect, "transaction %s\n%s", tx.name, c.story(seen[0]))
		case !tx.dropped && !tx.repeated && len(seen) > 0 && len(unseen) > 0 && c.ledger.settled:
			c.add(tornTransaction, "transaction %s: %d came, %d did not\n%s\n%s", tx.name, len(seen), len(unseen), c.story(seen[0]), c.story(unseen[0]))
		}
	}
}

// requests checks that each has one outcome. A connection that ended may have had it on
// its way.
func (c *checker) requests() {
	now := c.ledger.now()
	for _, r := range c.ledger.requests {
		end := r.ended
		if end == 0 {
			end = now
		}
		if len(r.outcomes) == 0 && end-r.at > appTimeout+appSlack+c.paused(r.at, end) {
			c.add(unanswered, "request %s at %s over node n%d; its connection lived until %s%s", r.name, clock(r.at), r.node, clock(end), c.faultsBetween(r.at, end))
		}
		answers, failures := 0, 0
		for _, outcome := range r.outcomes {
			if outcome == answer {
				answers++
			} else {
				failures++
			}
		}
		late := len(r.outcomes) == 2 && r.outcomes[1] == answer // after an error, an answer may still come
		if (answers > 1 || failures > 1 || answers+failures > 1) && !late {
			c.add(answeredTwice, "request %s at %s over node n%d: %s%s", r.name, clock(r.at), r.node, strings.Join(r.outcomes, ", "), c.faultsBetween(r.at, r.at+appTimeout))
		}
	}
}

// paused is for how long nodes stood still between two times.
func (c *checker) paused(from, to time.Duration) (sum time.Duration) {
	for _, f := range c.ledger.faults {
		if f.at < to && f.over > from {
			sum += min(f.over, to) - max(f.at, from)
		}
	}
	return sum
}
