package main

import (
	"errors"
	"net"
	"sync"
	"time"
)

// alive is a client that sends its heart-beats until it is closed.
type alive struct {
	client
	every time.Duration
	fail  func(error)

	mu     sync.Mutex
	next   time.Time
	timer  *time.Timer
	closed bool
}

// keepAlive has a client send heart-beats as it agreed with its server, from now on. Fail is
// called once when that does not work any more.
func keepAlive(c client, fail func(error)) client {
	every := c.beatEvery()
	if every <= 0 {
		return c // the server asks, and the reader answers
	}
	a := &alive{client: c, every: every, fail: fail, next: time.Now().Add(every)}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.timer = time.AfterFunc(every, a.tick)
	return a
}

func (a *alive) tick() {
	err := a.beat()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	if err != nil {
		a.fail(err)
		return
	}
	a.next = a.next.Add(a.every)
	a.timer.Reset(time.Until(a.next))
}

func (a *alive) Close() error {
	a.mu.Lock()
	a.closed = true
	a.timer.Stop()
	a.mu.Unlock()
	return a.client.Close()
}

// drain reads what a publisher or an idle client is sent, such as confirmations and pings.
// Fail is called when the connection ends before it is closed here.
func drain(c client, fail func(error)) {
	go func() {
		var err error
		for err == nil {
			err = c.read(func([]byte) {})
		}
		if !errors.Is(err, net.ErrClosed) {
			fail(err)
		}
	}()
}
