package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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

// errLate is a round that does not count: the load was not the one by the clock.
var errLate = errors.New("the load generator fell behind the clock")

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

// open dials n clients and has each subscribe. They send their heart-beats from then on; fail
// is called when one cannot.
func (b *bench) open(n int, topic func(i int) string, fail func(error)) ([]client, error) {
	return b.openWith(b.protocol, n, topic, fail)
}

func (b *bench) openWith(p protocol, n int, topic func(i int) string, fail func(error)) ([]client, error) {
	return tools.OpenAll(n, func(i int) (client, error) {
		c, err := b.dial(p)
		if err != nil {
			return c, err
		}
		if err := c.subscribe(topic(i)); err != nil {
			return c, err
		}
		return keepAlive(c, fail), nil
	}, closeClient)
}

// openPublisher dials a client that sends, and reads what it is sent itself.
func (b *bench) openPublisher(fail func(error)) (client, error) {
	c, err := b.dial(b.protocol)
	if err != nil {
		return nil, err
	}
	drain(c, fail)
	return keepAlive(c, fail), nil
}

func closeClient(c client) { _ = c.Close() }

func closeAll(all []client) { tools.CloseAll(all, closeClient) }

func toTopic(topic string) func(int) string { return func(int) string { return topic } }

// Numbers of messages that do not count. Servers that confirm no subscription have it when a
// message of the warm-up comes. After the last message comes one that ends the load, so that
// a second copy of the last is noticed.
const (
	warmUp  = 1_000_000_000
	theLast = 2_000_000_000
)

// sequence checks the messages of one subscriber: step apart, each once and in order.
type sequence struct {
	next, step, end int
	begun, ended    bool
}

// take returns whether a message counts, and an error if it should not have come.
func (s *sequence) take(got int) (counts bool, err error) {
	switch {
	case s.ended:
		return false, fmt.Errorf("message %d came after the end", got)
	case got >= theLast && s.next >= s.end:
		s.ended = true
		return false, nil
	case got >= warmUp && got < theLast && s.next < s.step:
		s.begun = true
		return false, nil
	case got != s.next:
		return false, fmt.Errorf("message %d came in place of %d: lost, repeated or out of order", got, s.next)
	}
	s.next += s.step
	return true, nil
}

// receivers read messages 0 to n-1, each once and in order, and then the one that ends.
type receivers struct {
	subscribers int64
	counts      []atomic.Int64
	wake        chan struct{}
	done        chan error     // of each subscriber, after the end or an error
	ready       sync.WaitGroup // has all received a first message, which does not count
}

func receive(all []client, messages int) *receivers {
	r := &receivers{subscribers: int64(len(all)), counts: make([]atomic.Int64, messages), wake: make(chan struct{}, 1), done: make(chan error, len(all))}
	r.ready.Add(len(all))
	for _, c := range all {
		c.busy()
		go func() { r.done <- r.read(c) }()
	}
	return r
}

func (r *receivers) read(c client) error {
	s := sequence{step: 1, end: len(r.counts)}
	begun := false
	var wrong error
	for !s.ended {
		err := c.read(func(body []byte) {
			got := digits(body)
			counts, err := s.take(got)
			if err != nil {
				wrong = errors.Join(wrong, err)
			}
			if s.begun && !begun {
				begun = true
				r.ready.Done()
			}
			if counts && r.counts[got].Add(1) == r.subscribers {
				select {
				case r.wake <- struct{}{}:
				default:
				}
			}
		})
		if err = errors.Join(err, wrong); err != nil {
			return fmt.Errorf("message %d: %w", s.next, err)
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
		case err := <-r.done:
			return err
		case <-ctx.Done():
			return fmt.Errorf("not all subscribers received anything: %w", context.Cause(ctx))
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// finish sends what ends the load, and returns when all have it, and nothing else after the
// last message.
func (r *receivers) finish(ctx context.Context, publisher client, topic string) error {
	if err := publisher.publish(topic, appendBody(nil, theLast)); err != nil {
		return err
	}
	return awaitAll(ctx, r.done, int(r.subscribers))
}

// awaitAll returns the first error of n subscribers.
func awaitAll(ctx context.Context, done <-chan error, n int) error {
	for range n {
		select {
		case err := <-done:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

var errEarly = errors.New("the end came to a subscriber too early")

// waitFor returns when message i has reached all.
func (r *receivers) waitFor(ctx context.Context, i int) error {
	for i >= 0 && r.counts[i].Load() < r.subscribers {
		select {
		case <-r.wake:
		case err := <-r.done:
			return cmp.Or(err, errEarly)
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// fanout is one publisher to many subscribers of one topic.
func (b *bench) fanout(ctx context.Context, name string, subscribers, messages, inFlight int) (figures, error) {
	return b.fanoutTo(ctx, b.protocol, name, subscribers, b.messages(messages), inFlight)
}

func (b *bench) fanoutTo(ctx context.Context, p protocol, name string, subscribers, messages, inFlight int) (figures, error) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	all, err := b.openWith(p, subscribers, toTopic(name), fail)
	if err != nil {
		return nil, err
	}
	defer closeAll(all)
	publisher, err := b.openPublisher(fail)
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
	took, used := time.Since(start), b.process.cpu()-cpu
	if err := r.finish(ctx, publisher, name); err != nil {
		return nil, err
	}
	return figures{
		name + " CPU s/M":        used.Seconds() / deliveries * 1e6,
		name + " deliveries/s":   deliveries / took.Seconds(),
		name + " ms per message": took.Seconds() * 1e3 / float64(messages),
	}, nil
}

// quoted sends bodies as JSON, where streams of events are JSON.
type quoted struct{ client }

func (q quoted) publish(topic string, body []byte) error {
	return q.client.publish(topic, append(append([]byte{'"'}, body...), '"'))
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
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	room := func(i int) string { return "room" + strconv.Itoa(i%roomCount) }
	all, err := b.open(roomCount*roomSize, room, fail)
	if err != nil {
		return nil, err
	}
	defer closeAll(all)
	publisher, err := b.openPublisher(fail)
	if err != nil {
		return nil, err
	}
	defer closeClient(publisher)
	n := rate * roomSeconds
	start := time.Now()
	warm := rate / 2 // half a second
	due := func(i int) time.Time { return start.Add(time.Duration(i+warm) * time.Second / time.Duration(rate)) }
	latencies := make([][]time.Duration, len(all))
	received, ended := make(chan error, len(all)), make(chan error, len(all))
	for i, c := range all {
		go func() {
			readRoom(c, sequence{next: i % roomCount, step: roomCount, end: n}, due, &latencies[i], received, ended)
		}()
	}
	// Those of servers that confirm no subscription are there half a second later.
	time.Sleep(time.Until(due(0)))
	cpu := b.process.cpu()
	var body []byte
	for i := range n {
		time.Sleep(time.Until(due(i)))
		if late := time.Since(due(i)); late > maxLate {
			return nil, fmt.Errorf("%w: by %s", errLate, late)
		}
		body = appendBody(body, i)
		if err := publisher.publish(room(i), body); err != nil {
			return nil, err
		}
	}
	if err := awaitAll(ctx, received, len(all)); err != nil {
		return nil, err
	}
	used := b.process.cpu() - cpu
	for i := range roomCount {
		if err := publisher.publish(room(i), appendBody(body, theLast)); err != nil {
			return nil, err
		}
	}
	if err := awaitAll(ctx, ended, len(all)); err != nil {
		return nil, err
	}
	took := slices.Concat(latencies...)
	slices.Sort(took)
	return figures{
		"rooms CPU s/M": used.Seconds() / float64(len(took)) * 1e6,
		"rooms p50 ms":  percentile(took, .5), "rooms p99 ms": percentile(took, .99),
	}, nil
}

// readRoom notes how late each message of a room is. It sends nil or an error when it has
// all of them, and again when nothing can come any more.
func readRoom(c client, s sequence, due func(int) time.Time, latencies *[]time.Duration, received, ended chan<- error) {
	all := false
	var wrong error
	for !s.ended {
		err := c.read(func(body []byte) {
			got := digits(body)
			counts, err := s.take(got)
			wrong = errors.Join(wrong, err)
			if counts {
				*latencies = append(*latencies, time.Since(due(got)))
			}
		})
		if err = errors.Join(err, wrong); err != nil {
			received <- err
			ended <- err
			return
		}
		if !all && s.next >= s.end {
			all = true
			received <- nil
		}
	}
	ended <- nil
}

// percentile is in milliseconds.
func percentile(sorted []time.Duration, p float64) float64 {
	return sorted[int(p*float64(len(sorted)-1))].Seconds() * 1e3
}

// pingpong is one message at a time.
func (b *bench) pingpong(ctx context.Context) (figures, error) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	all, err := b.open(1, toTopic("ping"), fail)
	if err != nil {
		return nil, err
	}
	defer closeAll(all)
	publisher, err := b.openPublisher(fail)
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
	if err := r.finish(ctx, publisher, "ping"); err != nil {
		return nil, err
	}
	slices.Sort(took)
	return figures{
		"pingpong p50 ms": percentile(took, .5), "pingpong p99 ms": percentile(took, .99),
		"pingpong CPU s/M": used.Seconds() / float64(n) * 1e6,
	}, nil
}

// connects opens and subscribes clients, as all do after a restart.
func (b *bench) connects(ctx context.Context) (figures, error) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	n := 3000
	if b.slow >= 20 {
		n = 1000
	}
	cpu, start := b.process.cpu(), time.Now()
	all, err := b.open(n, func(i int) string { return "own" + strconv.Itoa(i) }, fail)
	if err != nil {
		return nil, err
	}
	took, used := time.Since(start), b.process.cpu()-cpu
	closeAll(all)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return figures{"connects per s": float64(n) / took.Seconds(), "connects CPU ms": used.Seconds() * 1e3 / float64(n)}, nil
}

// idle is what connections take that have a destination of their own, and do nothing. It
// comes in a process of its own.
func (b *bench) idle(ctx context.Context) (figures, error) {
	n := 3000
	if b.slow >= 20 {
		n = 1000
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	wait(ctx, 2*time.Second)
	before := b.process.rss()
	all, err := b.open(n, func(i int) string { return "own" + strconv.Itoa(i) }, fail)
	if err != nil {
		return nil, err
	}
	defer closeAll(all)
	for _, c := range all {
		drain(c, fail)
	}
	wait(ctx, settled) // garbage of the handshakes is collected and given back
	rss, cpu := b.process.rss(), b.process.cpu()
	const idle = 25 * time.Second
	wait(ctx, idle)
	used := b.process.cpu() - cpu
	if ctx.Err() != nil {
		return nil, fmt.Errorf("an idle connection: %w", context.Cause(ctx))
	}
	return figures{
		"idle KB":        float64(rss-before) / 1024 / float64(n),
		"idle us/s":      used.Seconds() * 1e6 / idle.Seconds() / float64(n),
		"idle server MB": float64(before) / (1 << 20),
	}, nil
}

// settled is how long connections are idle before their memory counts.
const settled = 8 * time.Second

// sse is the fan-out to streams of events.
func (b *bench) sse(ctx context.Context) (figures, error) {
	before, memory, err := b.idleStreams(ctx)
	if err != nil {
		return nil, err
	}
	result, err := b.fanoutTo(ctx, *b.events, "sse", streams, 2000, 64)
	if err == nil {
		result["sse KB"] = float64(memory-before) / 1024 / streams
	}
	return result, err
}

const streams = 1000

// idleStreams returns the memory of the server without streams, and with idle ones.
func (b *bench) idleStreams(ctx context.Context) (before, with int64, err error) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	wait(ctx, 2*time.Second)
	before = b.process.rss()
	all, err := b.openWith(*b.events, streams, toTopic("quiet"), fail)
	if err != nil {
		return 0, 0, err
	}
	defer closeAll(all)
	for _, c := range all {
		drain(c, fail)
	}
	wait(ctx, settled)
	with = b.process.rss()
	if ctx.Err() != nil {
		return 0, 0, fmt.Errorf("an idle stream: %w", context.Cause(ctx))
	}
	return before, with, nil
}
