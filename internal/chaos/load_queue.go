package main

import (
	"context"
	"strconv"
	"time"

	"github.com/stompbox/stompbox/frames"
)

// The queues and histories of the load. What comes to the first of chainQueues is moved to
// the second, each in a transaction.
var (
	workQueues  = []string{"/queue/work.0", "/queue/work.1", "/queue/bounded.0"}
	txQueues    = []string{"/queue/work.0", "/queue/work.1"}
	chainQueues = []string{"/queue/chain.in", "/queue/chain.out"}
	keptTopics  = []string{"/topic/kept.a", "/topic/kept.b", "/topic/kept.c"}
)

const shortTopic = "/topic/short.a"

const senderPause = 40 * time.Millisecond

// produce sends numbered messages to a destination, each until it is confirmed, and now
// and then one again that was.
func (c *client) produce(dest string, repeats bool, begun func()) {
	var l *link
	for n := 1; c.loading.Err() == nil; n++ {
		m := c.ledger.send(c.name, dest, n, nil)
		l = c.sendUntilConfirmed(l, m)
		if m.confirmed == 0 {
			break
		}
		begun()
		if repeats && c.chance(3) && l != nil {
			_ = c.sendOnce(l, m)
		}
		if c.chance(1) && l != nil {
			l.close()
			l = nil
		}
		sleep(c.loading, c.upTo(2*senderPause))
	}
	if l != nil {
		l.close()
	}
}

// sendUntilConfirmed sends a message over a link, and over others where that fails.
func (c *client) sendUntilConfirmed(l *link, m *message) *link {
	for c.settling.Err() == nil {
		if l == nil {
			if l = c.elsewhere(c.settling); l == nil {
				return nil
			}
		}
		if c.sendOnce(l, m) == nil {
			return l
		}
		l.close()
		l = nil
		sleep(c.settling, c.upTo(300*time.Millisecond))
	}
	return l
}

func (c *client) sendOnce(l *link, m *message) error {
	receipt := strconv.Itoa(c.random.Int())
	ended := c.ledger.try(l.node, m)
	err := l.send(frames.SEND, "destination", m.destination, "receipt", receipt, "dedup-id", m.body, m.body)
	if err == nil {
		err = l.receipt(receipt, nil)
	}
	if err != nil {
		ended(false, err.Error())
		return err
	}
	ended(true, "RECEIPT")
	return nil
}

// consume takes what a queue has, over one connection after the other.
func (c *client) consume(queue, mode string) {
	r := c.ledger.newReader(c.name, consumer, queue)
	for c.reading.Err() == nil {
		l := c.elsewhere(c.reading)
		if l == nil {
			return
		}
		c.ledger.connected(r, l.node)
		err := c.consumeOn(l, r, queue, mode)
		why := "it left"
		if err != nil {
			why = err.Error()
		}
		c.ledger.disconnected(r, why)
		l.close()
		sleep(c.reading, c.upTo(500*time.Millisecond))
	}
}

// consumption is what a consumer does on one connection.
type consumption struct {
	*client
	link     *link
	reader   *reader
	mode     string
	held     []*delivery
	handles  []string               // of held
	awaiting map[string][]*delivery // ACKs with a receipt
}

func (c *client) consumeOn(l *link, r *reader, queue, mode string) error {
	until, cancel := context.WithTimeout(c.reading, 5*time.Second+c.upTo(40*time.Second))
	defer cancel()
	stop := context.AfterFunc(until, func() { _ = l.conn.SetDeadline(time.Now()); l.close() })
	defer stop()
	if err := l.send(frames.SUBSCRIBE, "id", "s", "destination", queue, "ack", mode, "receipt", "subscribed", "prefetch-count", strconv.Itoa(1+c.random.IntN(40))); err != nil {
		return err
	}
	s := &consumption{client: c, link: l, reader: r, mode: mode, awaiting: make(map[string][]*delivery)}
	for {
		f, err := l.next()
		if until.Err() != nil {
			return nil
		}
		if err == nil {
			err = s.handle(f)
		}
		if err != nil {
			return err
		}
	}
}

func (s *consumption) handle(f *frames.Frame) error {
	switch f.Command {
	case frames.ERROR:
		return errorFrame(f)
	case frames.RECEIPT:
		if id := f.Get("receipt-id"); id == "subscribed" {
			s.ledger.subscribed(s.reader)
		} else {
			s.ledger.edit(func() {
				for _, d := range s.awaiting[id] {
					d.acked = s.ledger.now()
				}
			})
			delete(s.awaiting, id)
		}
	case frames.MESSAGE:
		d := s.ledger.deliver(s.reader, string(f.Body), f.Get("message-id"), f.Get("redelivered") == "true", false)
		if d == nil {
			return nil
		}
		s.held, s.handles = append(s.held, d), append(s.handles, f.Get("ack"))
		return s.answer()
	}
	return nil
}

// answer acknowledges what is held, or fails one now and then.
func (s *consumption) answer() error {
	last := len(s.held) - 1
	if s.mode == "client" && last < s.random.IntN(8) {
		return nil
	}
	command, pairs := frames.ACK, []string{"id", s.handles[last]}
	switch {
	case s.mode == "client-individual" && s.chance(1):
		command = frames.NACK
	case s.chance(20):
		id := strconv.Itoa(s.random.Int())
		s.awaiting[id] = s.held
		pairs = append(pairs, "receipt", id)
	}
	s.held, s.handles = nil, nil
	return s.link.send(command, pairs...)
}

// chain moves each message of a queue to the next one: the ACK and the SEND are one
// transaction.
func (c *client) chain(queue string) {
	r := c.ledger.newReader(c.name, consumer, queue)
	for c.reading.Err() == nil {
		l := c.elsewhere(c.reading)
		if l == nil {
			return
		}
		c.ledger.connected(r, l.node)
		err := c.chainOn(l, r, queue)
		c.ledger.disconnected(r, errorText(err))
		l.close()
		sleep(c.reading, c.upTo(500*time.Millisecond))
	}
}

func (c *client) chainOn(l *link, r *reader, queue string) error {
	until, cancel := context.WithTimeout(c.reading, 5*time.Second+c.upTo(30*time.Second))
	defer cancel()
	stop := context.AfterFunc(until, func() { l.close() })
	defer stop()
	if err := l.send(frames.SUBSCRIBE, "id", "s", "destination", queue, "ack", "client-individual", "prefetch-count", "5"); err != nil {
		return err
	}
	var waiting []*frames.Frame
	take := func(f *frames.Frame) { waiting = append(waiting, f) }
	for n := 0; ; n++ {
		if len(waiting) == 0 {
			f, err := l.next()
			if err != nil {
				return err
			}
			take(f)
		}
		f := waiting[0]
		waiting = waiting[1:]
		if f.Command == frames.ERROR {
			return errorFrame(f)
		}
		d := c.ledger.deliver(r, string(f.Body), f.Get("message-id"), f.Get("redelivered") == "true", false)
		if d == nil {
			continue
		}
		if err := c.moveOn(l, d, f.Get("ack"), strconv.Itoa(n), take); err != nil {
			return err
		}
	}
}

// moveOn carries out one transaction of a chain.
func (c *client) moveOn(l *link, d *delivery, handle, tx string, take func(*frames.Frame)) error {
	moved := c.movedOf(d.message)
	ended := c.ledger.try(l.node, moved)
	err := l.send(frames.BEGIN, "transaction", tx)
	if err == nil {
		err = l.send(frames.ACK, "id", handle, "transaction", tx)
	}
	if err == nil {
		err = l.send(frames.SEND, "destination", moved.destination, "transaction", tx, "dedup-id", moved.body, moved.body)
	}
	if err == nil {
		err = l.send(frames.COMMIT, "transaction", tx, "receipt", "commit "+tx)
	}
	if err == nil {
		err = l.receipt("commit "+tx, take)
	}
	ended(err == nil, errorText(err))
	if err == nil {
		c.ledger.edit(func() { d.acked = c.ledger.now() })
	}
	return err
}

// movedOf returns the message that a chain makes of another, which is the same each time.
func (c *client) movedOf(m *message) (moved *message) {
	body := "moved " + m.body
	c.ledger.mu.Lock()
	moved = c.ledger.messages[body]
	c.ledger.mu.Unlock()
	if moved != nil {
		return moved
	}
	moved = &message{body: body, sender: m.sender, destination: chainQueues[1], dedup: true}
	c.ledger.mu.Lock()
	defer c.ledger.mu.Unlock()
	if other := c.ledger.messages[body]; other != nil {
		return other
	}
	c.ledger.messages[body] = moved
	c.ledger.order = append(c.ledger.order, moved)
	return moved
}
