package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	tools "github.com/stompbox/stompbox/internal/bench"
)

// figures are what one round measured of one peer, by the name of the load and of what is
// measured. None has NaN.
type figures map[string]float64

// load is one kind of work.
type load struct {
	name string
	// needs reports whether a peer can do it; nil: all can.
	needs func(peer) bool
	// alone has it run with a server of its own.
	alone bool
	run   func(b *bench, ctx context.Context) (figures, error)
}

var loads = []load{
	{"fanout", nil, false, func(b *bench, ctx context.Context) (figures, error) { return b.fanout(ctx, "fanout", 1000, 3000, 64) }},
	{"fanout-1", nil, false, func(b *bench, ctx context.Context) (figures, error) {
		return b.fanout(ctx, "fanout-1", 1000, 200, 1)
	}},
	{"fanout-5000", func(p peer) bool { return p.slow < 20 }, false, func(b *bench, ctx context.Context) (figures, error) {
		return b.fanout(ctx, "fanout-5000", 5000, 600, 64)
	}},
	{"rooms", nil, false, (*bench).rooms},
	{"pingpong", nil, false, (*bench).pingpong},
	{"connects", nil, false, (*bench).connects},
	{"queue", func(p peer) bool { return p.queues }, false, (*bench).queue},
	{"idle", nil, true, (*bench).idle},
	{"sse", func(p peer) bool { return p.events != nil }, true, (*bench).sse},
}

// bench is one peer that runs, and the clients' tokens.
type bench struct {
	peer
	process *process
	dir     string
	token   string
}

func (b *bench) dial(p protocol) (client, error) { return p.dial(b.process.address, b.token) }

// messages is how many messages of a load this peer is sent.
func (b *bench) messages(n int) int { return max(n/b.slow, 20) }

const bodySize = 128

// appendBody makes the body of message i.
func appendBody(dst []byte, i int) []byte {
	dst = strconv.AppendInt(dst[:0], int64(i), 10)
	dst = append(dst, ' ')
	for len(dst) < bodySize {
		dst = append(dst, 'x')
	}
	return dst
}

// open dials n clients and has each subscribe.
func (b *bench) open(n int, topic func(i int) string) ([]client, error) {
	return b.openWith(b.protocol, n, topic)
}

func (b *bench) openWith(p protocol, n int, topic func(i int) string) ([]client, error) {
	return tools.OpenAll(n, func(i int) (client, error) {
		c, err := b.dial(p)
		if err != nil {
			return nil, err
		}
		return c, c.subscribe(topic(i))
	}, closeClient)
}

// openPublisher dials a client that sends, and reads what it is sent itself.
func (b *bench) openPublisher() (client, error) {
	c, err := b.dial(b.protocol)
	if err == nil {
		drain(c)
	}
	return c, err
}

func closeClient(c client) { _ = c.Close() }

func closeAll(all []client) { tools.CloseAll(all, closeClient) }

func toTopic(topic string) func(int) string { return func(int) string { return topic } }

// receivers read messages 0 to n-1, each once and in order.
type receivers struct {
	subscribers int64
	counts      []atomic.Int64
	wake        chan struct{}
	failed      chan error
	ready       sync.WaitGroup // has all received a first message, which does not count
}

func receive(all []client, messages int) *receivers {
	r := &receivers{subscribers: int64(len(all)), counts: make([]atomic.Int64, messages), wake: make(chan struct{}, 1), failed: make(chan error, len(all))}
	r.ready.Add(len(all))
	for _, c := range all {
		c.busy()
		go func() { r.failed <- r.read(c) }()
	}
	return r
}

// warmUp is the number of messages that do not count. Servers that confirm no subscription
// have it when one comes.
const warmUp = 1_000_000_000

func (r *receivers) read(c client) error {
	next, begun := 0, false
	var wrong error
	for next < len(r.counts) {
		err := c.read(func(body []byte) {
			got := digits(body)
			if got >= warmUp {
				if !begun {
					begun = true
					r.ready.Done()
				}
				return
			}
			if got != next {
				wrong = fmt.Errorf("message %d came in place of %d: lost, repeated or out of order", got, next)
				return
			}
			next++
			if r.counts[got].Add(1) == r.subscribers {
				select {
				case r.wake <- struct{}{}:
				default:
				}
			}
		})
		if err = errors.Join(err, wrong); err != nil {
			return fmt.Errorf("message %d: %w", next, err)
		}
	}
	return nil
}

// begin sends until all have received something.
func (r *receivers) begin(ctx context.Context, publisher client, topic string) error {
	ready := make(chan struct{})
	go func() { r.ready.Wait(); close(ready) }()
	for i := 0; ; i++ {
		if err := publisher.publish(topic, appendBody(nil, warmUp+i)); err != nil {
			return err
		}
		select {
		case <-ready:
			time.Sleep(200 * time.Millisecond) // what else was on its way
			return nil
		case err := <-r.failed:
			return err
		case <-ctx.Done():
			return fmt.Errorf("not all subscribers received anything: %w", ctx.Err())
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// waitFor returns when message i has reached all.
func (r *receivers) waitFor(ctx context.Context, i int) error {
	for i >= 0 && r.counts[i].Load() < r.subscribers {
		select {
		case <-r.wake:
		case err := <-r.failed:
			if err != nil {
				return err
			}
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// fanout is one publisher to many subscribers of one topic.
func (b *bench) fanout(ctx context.Context, name string, subscribers, messages, inFlight int) (figures, error) {
	return b.fanoutTo(ctx, b.protocol, name, subscribers, b.messages(messages), inFlight)
}

func (b *bench) fanoutTo(ctx context.Context, p protocol, name string, subscribers, messages, inFlight int) (figures, error) {
	all, err := b.openWith(p, subscribers, toTopic(name))
	if err != nil {
		return nil, err
	}
	defer closeAll(all)
	publisher, err := b.openPublisher()
	if err != nil {
		return nil, err
	}
	defer closeClient(publisher)
	if e, ok := p.(events); ok && e.json {
		publisher = quoted{publisher}
	}
	r := receive(all, messages)
	if err := r.begin(ctx, publisher, name); err != nil {
		return nil, err
	}
	cpu, start := b.process.cpu(), time.Now()
	var body []byte
	for i := range messages {
		if err := r.waitFor(ctx, i-inFlight); err != nil {
			return nil, err
		}
		body = appendBody(body, i)
		if err := publisher.publish(name, body); err != nil {
			return nil, err
		}
	}
	if err := r.waitFor(ctx, messages-1); err != nil {
		return nil, err
	}
	deliveries := float64(messages * subscribers)
	took := time.Since(start)
	return figures{
		name + " CPU s/M":        (b.process.cpu() - cpu).Seconds() / deliveries * 1e6,
		name + " deliveries/s":   deliveries / took.Seconds(),
		name + " ms per message": took.Seconds() * 1e3 / float64(messages),
	}, nil
}

// quoted sends bodies as JSON, where streams of events are JSON.
type quoted struct{ client }

func (q quoted) publish(topic string, body []byte) error {
	return q.client.publish(topic, append(append([]byte{'"'}, body...), '"'))
}

// drain reads what a publisher is sent, such as confirmations and pings.
func drain(c client) {
	go func() {
		var err error
		for err == nil {
			err = c.read(func([]byte) {})
		}
		if !errors.Is(err, net.ErrClosed) {
			fmt.Println("a publisher or idle client:", err)
		}
	}()
}

const (
	roomCount, roomSize = 50, 10
	roomSeconds         = 5
	// maxLate is how far behind the clock a message may be sent.
	maxLate = 250 * time.Millisecond
)

// rooms is a chat: messages by the clock, each to the ten members of a room. Latency is
// from when a message was due.
func (b *bench) rooms(ctx context.Context) (figures, error) {
	rate := 2000
	if b.slow >= 20 {
		rate = 500
	}
	all, err := b.open(roomCount*roomSize, func(i int) string { return "room" + strconv.Itoa(i%roomCount) })
	if err != nil {
		return nil, err
	}
	defer closeAll(all)
	publisher, err := b.openPublisher()
	if err != nil {
		return nil, err
	}
	defer closeClient(publisher)
	n := rate * roomSeconds
	start := time.Now()
	warm := rate / 2 // half a second
	due := func(i int) time.Time { return start.Add(time.Duration(i+warm) * time.Second / time.Duration(rate)) }
	latencies := make([][]time.Duration, len(all))
	left := make(chan error, len(all))
	for i, c := range all {
		go func() { left <- readRoom(c, i%roomCount, n, due, &latencies[i]) }()
	}
	// Those of servers that confirm no subscription are there half a second later.
	time.Sleep(time.Until(due(0)))
	cpu := b.process.cpu()
	var body []byte
	for i := range n {
		time.Sleep(time.Until(due(i)))
		if late := time.Since(due(i)); late > maxLate {
			return nil, fmt.Errorf("the load generator is %s late, so this is no load by the clock", late)
		}
		body = appendBody(body, i)
		if err := publisher.publish("room"+strconv.Itoa(i%roomCount), body); err != nil {
			return nil, err
		}
	}
	for range all {
		select {
		case err := <-left:
			if err != nil {
				return nil, err
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	used := b.process.cpu() - cpu
	took := slices.Concat(latencies...)
	slices.Sort(took)
	return figures{
		"rooms CPU s/M": used.Seconds() / float64(len(took)) * 1e6,
		"rooms p50 ms":  percentile(took, .5), "rooms p99 ms": percentile(took, .99),
	}, nil
}

func readRoom(c client, room, n int, due func(int) time.Time, latencies *[]time.Duration) error {
	next := room
	var wrong error
	for next < n {
		err := c.read(func(body []byte) {
			got := digits(body)
			if got != next {
				wrong = fmt.Errorf("message %d came in place of %d: lost, repeated or out of order", got, next)
			}
			*latencies = append(*latencies, time.Since(due(got)))
			next += roomCount
		})
		if err = errors.Join(err, wrong); err != nil {
			return err
		}
	}
	return nil
}

// percentile is in milliseconds.
func percentile(sorted []time.Duration, p float64) float64 {
	return sorted[int(p*float64(len(sorted)-1))].Seconds() * 1e3
}

// pingpong is one message at a time.
func (b *bench) pingpong(ctx context.Context) (figures, error) {
	all, err := b.open(1, toTopic("ping"))
	if err != nil {
		return nil, err
	}
	defer closeAll(all)
	publisher, err := b.openPublisher()
	if err != nil {
		return nil, err
	}
	defer closeClient(publisher)
	n := b.messages(10_000)
	n = max(n, 1000)
	r := receive(all, n)
	if err := r.begin(ctx, publisher, "ping"); err != nil {
		return nil, err
	}
	took := make([]time.Duration, 0, n)
	cpu := b.process.cpu()
	var body []byte
	for i := range n {
		start := time.Now()
		body = appendBody(body, i)
		if err := publisher.publish("ping", body); err != nil {
			return nil, err
		}
		if err := r.waitFor(ctx, i); err != nil {
			return nil, err
		}
		took = append(took, time.Since(start))
	}
	used := b.process.cpu() - cpu
	slices.Sort(took)
	return figures{
		"pingpong p50 ms": percentile(took, .5), "pingpong p99 ms": percentile(took, .99),
		"pingpong CPU s/M": used.Seconds() / float64(n) * 1e6,
	}, nil
}

// connects opens and subscribes clients, as all do after a restart.
func (b *bench) connects(context.Context) (figures, error) {
	n := 3000
	if b.slow >= 20 {
		n = 1000
	}
	cpu, start := b.process.cpu(), time.Now()
	all, err := b.open(n, func(i int) string { return "own" + strconv.Itoa(i) })
	if err != nil {
		return nil, err
	}
	took, used := time.Since(start), b.process.cpu()-cpu
	closeAll(all)
	return figures{"connects per s": float64(n) / took.Seconds(), "connects CPU ms": used.Seconds() * 1e3 / float64(n)}, nil
}

// idle is what connections take that have a destination of their own, and do nothing. It
// comes in a process of its own.
func (b *bench) idle(ctx context.Context) (figures, error) {
	n := 3000
	if b.slow >= 20 {
		n = 1000
	}
	time.Sleep(2 * time.Second)
	before := b.process.rss()
	all, err := b.open(n, func(i int) string { return "own" + strconv.Itoa(i) })
	if err != nil {
		return nil, err
	}
	defer closeAll(all)
	for _, c := range all {
		drain(c)
	}
	settle(ctx, all, 8*time.Second) // garbage of the handshakes is collected and given back
	rss, cpu := b.process.rss(), b.process.cpu()
	const idle = 25 * time.Second
	settle(ctx, all, idle)
	used := b.process.cpu() - cpu
	return figures{
		"idle KB":        float64(rss-before) / 1024 / float64(n),
		"idle us/s":      used.Seconds() * 1e6 / idle.Seconds() / float64(n),
		"idle server MB": float64(before) / (1 << 20),
	}, nil
}

// settle waits, while all clients send their heart-beats once in ten seconds.
func settle(ctx context.Context, all []client, wait time.Duration) {
	const parts = 100
	tick := time.NewTicker(wait / parts)
	defer tick.Stop()
	for part := range parts {
		for i := part; i < len(all); i += parts {
			_ = all[i].beat()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// sse is the fan-out to streams of events.
func (b *bench) sse(ctx context.Context) (figures, error) {
	time.Sleep(2 * time.Second)
	before := b.process.rss()
	const n = 1000
	all, err := b.openWith(*b.events, n, toTopic("quiet"))
	if err != nil {
		return nil, err
	}
	time.Sleep(8 * time.Second)
	memory := float64(b.process.rss()-before) / 1024 / n
	closeAll(all)
	result, err := b.fanoutTo(ctx, *b.events, "sse", n, 2000, 64)
	if err == nil {
		result["sse KB"] = memory
	}
	return result, err
}
