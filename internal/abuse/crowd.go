package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/frames"
)

const (
	crowdSize = 200
	roomSize  = 20 // clients that share a topic
	every     = 500 * time.Millisecond
)

// crowd is clients that behave. Each sends to its room twice a second and reads what the
// others send; one of each room also stores in a queue.
type crowd struct {
	began   time.Time
	clients []*member
	done    sync.WaitGroup
	silent  atomic.Bool // nothing more is sent
	closed  atomic.Bool

	mu        sync.Mutex // guards the following
	latencies []latency  // of the phase
	phase     time.Duration
	faults    []string
}

// latency is how long a frame took, and when it came.
type latency struct{ took, at time.Duration }

// window is what a phase is divided into: its p99 is the median of those of its windows, so
// that a second in which the machine was not ours does not count.
const window = time.Second

type member struct {
	crowd    *crowd
	link     *link
	name     string
	room     string
	sent     atomic.Int64
	received atomic.Int64
}

// measure is what clients have seen in one phase, and the most memory that the node had.
type measure struct {
	p50, p99 time.Duration
	memory   int64
}

func startCrowd(ctx context.Context, n *node) (*crowd, error) {
	c := &crowd{began: time.Now()}
	t := &target{HTTP: n.http, STOMP: n.stomp}
	for i := range crowdSize {
		m := &member{crowd: c, name: fmt.Sprintf("user-%d", i), room: fmt.Sprintf("/topic/rooms.%d", i/roomSize)}
		token, err := n.token(m.name, auth.AllGrants())
		if err != nil {
			return nil, err
		}
		if m.link, err = t.dialWebSocket(ctx); err == nil {
			err = m.link.connect(token)
		}
		if err == nil {
			err = m.link.send(frames.SUBSCRIBE, "id", "0", "destination", m.room, "receipt", "subscribed")
		}
		if err == nil {
			err = m.link.receipt("subscribed")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		c.clients = append(c.clients, m)
	}
	for i, m := range c.clients {
		c.done.Go(m.read)
		c.done.Go(func() { m.write(ctx, i) })
	}
	return c, nil
}

// now is the time since the crowd began, as bodies have it.
func (c *crowd) now() time.Duration { return time.Since(c.began) }

// read reads until the crowd is closed: that its connection ends before is a fault.
func (m *member) read() {
	for {
		f, err := m.link.next()
		switch {
		case m.crowd.closed.Load():
			return
		case err != nil:
			m.fault("cut: %v", err)
			return
		case f.Command == frames.ERROR:
			m.fault("ERROR: %s", f.Get("message"))
			return
		case f.Command == frames.MESSAGE:
			m.received.Add(1)
			m.since(string(f.Body))
		case f.Command == frames.RECEIPT:
			m.since(f.Get("receipt-id"))
		}
	}
}

// since notes how long ago a time was that a client wrote down.
func (m *member) since(at string) {
	sent, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		m.fault("got %q", at)
		return
	}
	c := m.crowd
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	c.latencies = append(c.latencies, latency{now - time.Duration(sent), now})
}

func (m *member) fault(format string, args ...any) {
	m.crowd.mu.Lock()
	defer m.crowd.mu.Unlock()
	m.crowd.faults = append(m.crowd.faults, m.name+": "+fmt.Sprintf(format, args...))
}

func (m *member) write(ctx context.Context, i int) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	sleep(ctx, time.Duration(i)*every/crowdSize)
	for !m.crowd.silent.Load() {
		at := strconv.FormatInt(int64(m.crowd.now()), 10)
		if m.link.send(frames.SEND, "destination", m.room, at) == nil {
			m.sent.Add(1)
		}
		if i%roomSize == 0 {
			_ = m.link.send(frames.SEND, "destination", "/queue/orders."+m.name, "receipt", at, "expires", strconv.FormatInt(time.Now().Add(time.Minute).UnixMilli(), 10), "an order")
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// begin begins a phase.
func (c *crowd) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.latencies, c.phase = c.latencies[:0], c.now()
}

// end ends it.
func (c *crowd) end() (m measure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.latencies) == 0 {
		c.faults = append(c.faults, "no message came in a whole phase")
		return measure{p50: time.Hour, p99: time.Hour}
	}
	windows := make(map[time.Duration][]time.Duration)
	var all, p99s []time.Duration
	for _, l := range c.latencies {
		w := (l.at - c.phase) / window
		windows[w] = append(windows[w], l.took)
		all = append(all, l.took)
	}
	for _, took := range windows {
		p99s = append(p99s, percentile(took, 99))
	}
	return measure{p50: percentile(all, 50), p99: percentile(p99s, 50)}
}

func percentile(all []time.Duration, percent int) time.Duration {
	slices.Sort(all)
	return all[len(all)*percent/100]
}

// settle stops the sending, waits for what is on its way, and returns what clients have
// noticed: that they were cut, or that a message is missing.
func (c *crowd) settle(ctx context.Context) (faults []string) {
	c.silent.Store(true)
	sleep(ctx, 2*every)
	rooms := make(map[string]int64)
	for _, m := range c.clients {
		rooms[m.room] += m.sent.Load()
	}
	late := time.Now().Add(patience)
	for _, m := range c.clients {
		waiting := true
		for waiting && m.received.Load() < rooms[m.room] && time.Now().Before(late) {
			waiting = sleep(ctx, 10*time.Millisecond)
		}
		if got := m.received.Load(); got != rooms[m.room] {
			faults = append(faults, fmt.Sprintf("%s has %d of %d messages", m.name, got, rooms[m.room]))
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return append(faults, c.faults...)
}

// close ends the connections.
func (c *crowd) close() {
	c.silent.Store(true)
	c.closed.Store(true)
	for _, m := range c.clients {
		m.link.close()
	}
	c.done.Wait()
}
