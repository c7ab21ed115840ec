package main

import (
	"errors"
	"strconv"
	"time"

	"github.com/stompbox/stompbox/frames"
)

func errorFrame(f *frames.Frame) error { return errors.New(said(f)) }

func errorText(err error) string {
	if err == nil {
		return "RECEIPT"
	}
	return err.Error()
}

// transact sends transactions to queues: some are aborted, some are left open by a
// connection that ends, and of those that fail some are repeated.
func (c *client) transact(begun func()) {
	var l *link
	numbers := make(map[string]int)
	for n := 1; c.loading.Err() == nil; n++ {
		if l == nil {
			if l = c.elsewhere(c.settling); l == nil {
				return
			}
		}
		tx := c.ledger.begin(c.name + " " + strconv.Itoa(n))
		for range 2 + c.random.IntN(5) {
			queue := txQueues[c.random.IntN(len(txQueues))]
			numbers[queue]++
			// What is dropped or may be stored late has no place in the order.
			m := &message{sender: c.name, destination: queue, transaction: tx, dedup: true}
			m.body = "transacted " + c.name + " " + strconv.Itoa(numbers[queue]) + " " + queue
			c.ledger.note(m)
		}
		l = c.endTransaction(l, tx)
		begun()
		sleep(c.loading, c.upTo(4*senderPause))
	}
	if l != nil {
		l.close()
	}
}

// endTransaction carries a transaction out or drops it, and returns the link where it is
// still there.
func (c *client) endTransaction(l *link, tx *transaction) *link {
	switch n := c.random.IntN(10); {
	case n == 0:
		tx.dropped = true
		err := c.sendParts(l, tx)
		if err == nil {
			err = l.send(frames.ABORT, "transaction", "t", "receipt", "aborted")
		}
		if err == nil {
			err = l.receipt("aborted", nil)
		}
		if err == nil {
			return l
		}
	case n == 1:
		tx.dropped = true
		_ = c.sendParts(l, tx)
	default:
		if c.commit(l, tx) == nil {
			return l
		}
		if c.chance(50) {
			return c.commitAgain(l, tx)
		}
	}
	l.close()
	return nil
}

func (c *client) sendParts(l *link, tx *transaction) error {
	err := l.send(frames.BEGIN, "transaction", "t")
	for _, m := range tx.messages {
		if len(m.tries) == 0 {
			c.ledger.try(l.node, m)(false, "in a transaction")
		}
		if err == nil {
			err = l.send(frames.SEND, "destination", m.destination, "transaction", "t", "dedup-id", m.body, m.body)
		}
	}
	return err
}

func (c *client) commit(l *link, tx *transaction) error {
	ended := c.ledger.try(l.node, tx.messages...)
	err := c.sendParts(l, tx)
	if err == nil {
		err = l.send(frames.COMMIT, "transaction", "t", "receipt", "committed")
	}
	if err == nil {
		err = l.receipt("committed", nil)
	}
	ended(err == nil, errorText(err))
	if err == nil {
		c.ledger.edit(func() { tx.confirmed = true })
	}
	return err
}

// commitAgain repeats a transaction until it is confirmed.
func (c *client) commitAgain(l *link, tx *transaction) *link {
	c.ledger.edit(func() { tx.repeated = true })
	for c.settling.Err() == nil {
		l.close()
		sleep(c.settling, c.upTo(300*time.Millisecond))
		if l = c.elsewhere(c.settling); l == nil {
			return nil
		}
		if c.commit(l, tx) == nil {
			return l
		}
	}
	l.close()
	return nil
}
