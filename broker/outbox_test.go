package broker

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unique"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/histogram"
	"github.com/stompbox/stompbox/internal/test/local"
)

func TestMain(m *testing.M) { local.CheckLeaks(m) }

// gate is a transport that writes only while it is open.
type gate struct {
	mu      sync.Mutex
	open    chan struct{}
	written strings.Builder
	writes  atomic.Int64
	ended   chan struct{}
	once    sync.Once
}

func newGate(open bool) *gate {
	g := &gate{open: make(chan struct{}), ended: make(chan struct{})}
	if open {
		close(g.open)
	}
	return g
}

type bare struct{}

func (bare) Frame(dst, stomp []byte, _ bool) []byte { return append(dst, stomp...) }
func (bare) HeartBeat() []byte                      { return []byte("\n") }
func (bare) Ping() []byte                           { return nil }
func (bare) Close(CloseCode, string) []byte         { return nil }

func (g *gate) Framing() Framing { return bare{} }

func (g *gate) Write(buffers [][]byte) error {
	<-g.open
	g.writes.Add(1)
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, b := range buffers {
		g.written.Write(b)
	}
	return nil
}

func (g *gate) Finish(time.Duration) { g.once.Do(func() { close(g.ended) }) }
func (g *gate) Close() error         { g.once.Do(func() { close(g.ended) }); return nil }
func (g *gate) RemoteAddr() string   { return "test" }
func (g *gate) Name() string         { return "test" }
func (g *gate) text() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.written.String()
}

func newTestOutbox(g *gate, o OutboxOptions) (*outbox, *atomic.Int64) {
	tooSlow := new(atomic.Int64)
	box := &outbox{transport: g, options: &o, clock: newClock(), dropped: new(atomic.Int64), traffic: new(transportStats), latency: new(histogram.Histogram), pacing: newPacing(), onError: func(error) {}, onFull: func() { tooSlow.Add(1) }}
	box.startFlush = box.flush
	return box, tooSlow
}

func message(destination string) *driver.Message { return &driver.Message{Destination: destination} }

func (o *outbox) idle() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.running
}

// TestAnEndWaitsForWhatIsAcknowledgedByItsWriting: the client may leave for the message before
// the write that brought it has returned.
func TestAnEndWaitsForWhatIsAcknowledgedByItsWriting(t *testing.T) {
	t.Parallel()
	g := newGate(false)
	o, _ := newTestOutbox(g, OutboxOptions{MaxBytes: 1 << 20, MaxFrames: 1000, Policy: PolicyDisconnect})
	var acknowledged atomic.Bool
	o.onWritten = func(all []*delivery) {
		runtime.Gosched()
		acknowledged.Store(len(all) == 1)
	}
	require.Equal(t, pushed, o.pushDelivery([]byte("m"), &delivery{Delivery: driver.Delivery{Message: message("/queue/a")}, sub: new(subscription)}))
	require.Eventually(t, func() bool { return o.acknowledging.Load() == 1 }, 5*time.Second, time.Millisecond)
	ended := make(chan bool)
	go func() {
		awaitAcknowledged(o)
		ended <- acknowledged.Load()
	}()
	close(g.open)
	require.True(t, <-ended)
	awaitAcknowledged(o) // nothing is under way
}

func TestOutboxKeepsOrderAndBatches(t *testing.T) {
	t.Parallel()
	g := newGate(false)
	o, _ := newTestOutbox(g, OutboxOptions{MaxBytes: 1 << 20, MaxFrames: 1000, Policy: PolicyDisconnect})
	sub := new(subscription)
	var want strings.Builder
	for i := range 500 {
		text := fmt.Sprintf("%d ", i)
		want.WriteString(text)
		if i%3 == 0 {
			o.push([]byte(text))
		} else {
			require.True(t, o.pushMessage([]byte(text), sub, message("/topic/a"), 0, nil, nil))
		}
	}
	close(g.open)
	require.Eventually(t, o.idle, 5*time.Second, time.Millisecond)
	require.Equal(t, want.String(), g.text())
	require.LessOrEqual(t, g.writes.Load(), int64(3), "what is queued goes out in one write")
	require.Zero(t, o.bytes)
	require.Zero(t, o.frames)
	o.closeSubscription(sub)
	require.False(t, o.pushMessage([]byte("late"), sub, message("/topic/a"), 0, nil, nil))
}

func TestSlowConsumerPolicies(t *testing.T) {
	t.Parallel()
	run := func(policy Policy, destinations int) (text string, accepted int, tooSlow, dropped int64) {
		g := newGate(false)
		o, slow := newTestOutbox(g, OutboxOptions{MaxBytes: 1 << 20, MaxFrames: 20, Policy: policy})
		sub := new(subscription)
		o.push([]byte("R "))
		require.Eventually(t, func() bool { return o.writing.Load() != 0 }, 5*time.Second, time.Millisecond)
		for i := range 100 {
			if o.pushMessage([]byte(fmt.Sprintf("%d ", i)), sub, message(fmt.Sprint(i%destinations)), 0, nil, nil) {
				accepted++
			}
			require.LessOrEqual(t, o.frames, 21)
		}
		close(g.open)
		require.Eventually(t, o.idle, 5*time.Second, time.Millisecond)
		return g.text(), accepted, slow.Load(), o.dropped.Load()
	}
	text, accepted, tooSlow, dropped := run(PolicyDisconnect, 1)
	require.Equal(t, 19, accepted)
	require.EqualValues(t, 1, tooSlow, "once")
	require.EqualValues(t, 81, dropped)
	require.True(t, strings.HasSuffix(text, " 17 18 "))

	text, accepted, tooSlow, dropped = run(PolicyDropOldest, 1)
	require.Equal(t, 100, accepted)
	require.Zero(t, tooSlow)
	require.Positive(t, dropped)
	require.True(t, strings.HasPrefix(text, "R ") && strings.HasSuffix(text, " 98 99 "), text)

	text, accepted, tooSlow, _ = run(PolicyConflate, 5)
	require.Equal(t, 100, accepted)
	require.Zero(t, tooSlow)
	require.Equal(t, "R 95 96 97 98 99 ", text, "the newest of each destination")

	_, _, tooSlow, _ = run(PolicyConflate, 50)
	require.EqualValues(t, 1, tooSlow, "more destinations than fit")
}

// TestReceiptsThatAreNotReadAreBounded: not only messages fill an outbox.
func TestReceiptsThatAreNotReadAreBounded(t *testing.T) {
	t.Parallel()
	for _, policy := range []Policy{PolicyDisconnect, PolicyDropOldest, PolicyConflate} {
		g := newGate(false)
		o, tooSlow := newTestOutbox(g, OutboxOptions{MaxBytes: 1 << 20, MaxFrames: 20, Policy: policy})
		for range 100 {
			o.push([]byte("RECEIPT"))
			require.LessOrEqual(t, o.frames, 20)
		}
		require.EqualValues(t, 1, tooSlow.Load())
		close(g.open)
		require.Eventually(t, o.idle, 5*time.Second, time.Millisecond)
	}
}

func newTestBroker(t testing.TB) *Broker {
	b, err := New(Options{Authenticator: &auth.Authenticator{}, Driver: driver.Driver{Bus: &lonely{interests: map[string]int{}}}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Shutdown(t.Context())) })
	return b
}

// connectedOn opens a session whose client is connected.
func connectedOn(t testing.TB, b *Broker, transport Transport) *Session {
	t.Helper()
	s, err := b.Open(transport)
	require.NoError(t, err)
	t.Cleanup(func() { s.Detach(nil) })
	s.setVersion(frames.V12)
	s.state.Store(int32(stateConnected))
	return s
}

// subscribers opens sessions that are all subscribed to one topic as sub-0.
func subscribers(t testing.TB, b *Broker, n int) {
	for range n {
		subscriberOn(t, b, newGate(true))
	}
}

// subscriberOn opens one of them on a transport.
func subscriberOn(t testing.TB, b *Broker, transport Transport) {
	s, err := b.Open(transport)
	require.NoError(t, err)
	s.negotiated.Store(uint32(frames.V12))
	s.state.Store(int32(stateConnected))
	sub := testSubscription(t, "/topic/a")
	sub.session, sub.id, sub.named = s, "sub-0", true
	sub.form = unique.Make(sub.encoding())
	s.subs.set("#sub-0", sub)
	b.counters.subscriptions.Add(1)
	_, err = b.router.add(sub)
	require.NoError(t, err)
	t.Cleanup(func() { s.Detach(nil) })
}

// TestFanoutAllocatesNothingPerSubscriber compares few subscribers with many.
func TestFanoutAllocatesNothingPerSubscriber(t *testing.T) {
	allocs := func(n int) float64 {
		b, err := New(Options{Authenticator: &auth.Authenticator{}, Driver: driver.Driver{Bus: &lonely{interests: map[string]int{}}}})
		require.NoError(t, err)
		defer func() { require.NoError(t, b.Shutdown(t.Context())) }()
		shut := newGate(false)
		var sessions []*Session
		for range n {
			s, err := b.Open(shut)
			require.NoError(t, err)
			s.negotiated.Store(uint32(frames.V12))
			sub := testSubscription(t, "/topic/a")
			sub.session, sub.id, sub.named = s, "sub-0", true
			sub.form = unique.Make(sub.encoding())
			s.outbox.running = true // nothing is written: the queues only grow
			s.outbox.queue = make([]item, 0, 1000)
			_, err = b.router.add(sub)
			require.NoError(t, err)
			sessions = append(sessions, s)
		}
		m := &driver.Message{ID: "1", Destination: "/topic/a", Key: "/topic/a", Body: []byte("x")}
		got := testing.AllocsPerRun(100, func() { b.topics.publish(m, nil) })
		for _, s := range sessions {
			s.Detach(nil)
		}
		return got
	}
	few, many := allocs(1), allocs(500)
	require.LessOrEqual(t, many-few, 2.0, "%v allocations for 1 subscriber, %v for 500", few, many)
}

func BenchmarkFanout(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			br := newTestBroker(b)
			subscribers(b, br, n)
			m := &driver.Message{ID: "1", Destination: "/topic/a", Key: "/topic/a", Body: make([]byte, 128)}
			b.ReportAllocs()
			for b.Loop() {
				br.topics.publish(m, nil)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/delivery")
		})
	}
}

// TestAWriteIsBounded: what waits behind it can still be replaced by what is newer, and
// its room is free again when it is done.
func TestAWriteIsBounded(t *testing.T) {
	t.Parallel()
	g := newGate(false)
	o, tooSlow := newTestOutbox(g, OutboxOptions{MaxBytes: 12 * maxWriteBytes, MaxFrames: 1000, Policy: PolicyConflate})
	sub := new(subscription)
	body := strings.Repeat("x", maxWriteBytes/4)
	send := func(i int) {
		require.True(t, o.pushMessage([]byte(fmt.Sprintf("%d%s ", i, body)), sub, message(fmt.Sprint(i%5)), 0, nil, nil))
	}
	o.push([]byte("R "))
	require.Eventually(t, func() bool { return o.writing.Load() != 0 }, 5*time.Second, time.Millisecond)
	large := strings.Repeat("L", 2*maxWriteBytes)
	o.push([]byte(large + " "))
	for i := range 200 {
		send(i)
	}
	require.Zero(t, tooSlow.Load())
	taken := func(frames int) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.inFlight.frames, o.inFlight.bytes = 0, 0
		before := o.bytes
		items := o.takeLocked()
		require.Len(t, items, frames)
		o.frames -= len(items)
		for _, it := range items {
			o.bytes -= len(it.data)
			g.written.Write(it.data)
		}
		require.Equal(t, before-o.inFlight.bytes, o.bytes)
	}
	o.mu.Lock()
	o.frames, o.bytes = o.frames-1, o.bytes-2 // as if the first write were done
	o.mu.Unlock()
	taken(1) // a frame that is larger than a write goes alone
	taken(3)
	send(200) // whose destination has left the queue
	send(201)
	send(204) // replaces 199
	taken(3)
	taken(1)
	require.Empty(t, o.queue)
	require.Zero(t, o.bytes)
	var got []string
	for _, text := range strings.Fields(g.text()) {
		got = append(got, strings.Trim(text, "xL"))
	}
	require.Equal(t, []string{"", "195", "196", "197", "198", "204", "200", "201"}, got)
	o.mu.Lock()
	o.frames, o.bytes = 1, 2 // which the write under way gives back
	o.mu.Unlock()
	close(g.open)
	require.Eventually(t, o.idle, 5*time.Second, time.Millisecond)
}

// TestAPartOfAQueueIsNotKeptForReuse: a pool would hold the memory of the whole for it.
func TestAPartOfAQueueIsNotKeptForReuse(t *testing.T) {
	t.Parallel()
	g := newGate(false)
	o, _ := newTestOutbox(g, OutboxOptions{MaxBytes: 16 * maxWriteBytes, MaxFrames: 1000, Policy: PolicyDisconnect})
	const frames = 64
	frame := make([]byte, maxWriteBytes/12)
	o.running = true // nothing is written
	o.queue = make([]item, 0, frames)
	for range frames {
		o.push(frame)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	memory := o.queue[:frames:frames]
	var taken []int
	for o.frames > 0 {
		items := o.takeLocked()
		taken = append(taken, len(items))
		for i := range memory {
			require.False(t, &items[0] == &memory[i], "write %d", len(taken))
		}
		o.frames -= len(items)
		o.bytes -= len(items) * len(frame)
	}
	require.Equal(t, []int{12, 12, 12, 12, 12, fewItems}, taken)
	require.Nil(t, o.queue)
	o.addLocked(item{data: frame})
	queue := o.takeLocked()
	require.Equal(t, fewItems, cap(queue), "a new queue is taken as it is")
}

// TestLargeMessagesForManyIDsStayWithinTheOutbox: each subscription has an id of its own, so
// each has bytes of its own, and the session that has them all is soon too slow.
func TestLargeMessagesForManyIDsStayWithinTheOutbox(t *testing.T) {
	b := newTestBroker(t)
	g := newGate(false)
	s, err := b.Open(g)
	require.NoError(t, err)
	t.Cleanup(func() { close(g.open); s.Detach(nil) })
	s.setVersion(frames.V12)
	s.state.Store(int32(stateConnected))
	for i := range 500 {
		sub := testSubscription(t, "/topic/a")
		sub.session, sub.id, sub.named = s, fmt.Sprint(i), true
		sub.form = unique.Make(sub.encoding())
		_, err = b.router.add(sub)
		require.NoError(t, err)
		t.Cleanup(func() { b.router.remove(sub) })
	}
	m := &driver.Message{ID: "1", Destination: "/topic/a", Key: "/topic/a", Body: make([]byte, 1<<20)}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b.topics.publish(m, nil)
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<20))
}

// TestAGapIsReportedToWhoDoesNotGetTheFirstMessageAfterIt: the next one that it gets says so.
func TestAGapIsReportedToWhoDoesNotGetTheFirstMessageAfterIt(t *testing.T) {
	b := newTestBroker(t)
	g := newGate(true)
	s := connectedOn(t, b, g)
	sub := testSubscription(t, "/topic/a")
	sub.session, sub.id, sub.named = s, "sub-0", true
	sub.form = unique.Make(sub.encoding())
	_, err := b.router.add(sub)
	require.NoError(t, err)
	t.Cleanup(func() { b.router.remove(sub) })
	send := func(m driver.Message) string {
		before := len(g.text())
		m.Destination, m.Key = "/topic/a", "/topic/a"
		b.topics.publish(&m, nil)
		require.Eventually(t, s.outbox.idle, 5*time.Second, time.Millisecond)
		return g.text()[before:]
	}
	require.Empty(t, send(driver.Message{ID: "1", Gap: true, NoEcho: true, Session: s.id}))
	require.Contains(t, send(driver.Message{ID: "2"}), "replay:incomplete")
	after := send(driver.Message{ID: "3"})
	require.Contains(t, after, "message-id:3")
	require.NotContains(t, after, "replay")
	require.Empty(t, send(driver.Message{ID: "4", Gap: true, ToSession: "another"}))
	require.Contains(t, send(driver.Message{ID: "5"}), "replay:incomplete")
}
