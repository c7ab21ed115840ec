package broker

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker/driver"
)

// nowGate is a gate that takes some bytes at once, whether it is open or not.
type nowGate struct {
	*gate
	room atomic.Int64
	now  atomic.Int64 // calls of WriteNow
}

func (g *nowGate) WritesNow() bool { return true }

func (g *nowGate) WriteNow(buffers [][]byte) (n int) {
	g.now.Add(1)
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, b := range buffers {
		k := min(len(b), int(g.room.Load()))
		g.written.Write(b[:k])
		g.room.Add(-int64(k))
		if n += k; k < len(b) {
			break
		}
	}
	return n
}

func newNowBox(open bool, room int) (*nowGate, *outbox) {
	g := &nowGate{gate: newGate(open)}
	g.room.Store(int64(room))
	o, _ := newTestOutbox(g.gate, OutboxOptions{MaxBytes: 1 << 20, MaxFrames: 1000, Policy: PolicyDisconnect})
	o.transport, o.immediate = g, true
	return g, o
}

// TestWhatAConnectionTakesAtOnceIsWrittenAtTheEndOfARead, by the reader, in one write.
func TestWhatAConnectionTakesAtOnceIsWrittenAtTheEndOfARead(t *testing.T) {
	t.Parallel()
	g, o := newNowBox(false, 100)
	var l flushList
	o.pushHeld([]byte("a"), &l)
	o.pushHeld([]byte("b"), &l)
	o.push([]byte("c")) // of another goroutine, while the list has the outbox
	require.Empty(t, g.text())
	l.flush()
	require.Equal(t, "abc", g.text(), "and the gate is shut: nothing blocked")
	require.EqualValues(t, 1, g.now.Load())
	require.True(t, o.idle())
	require.Zero(t, o.bytes)
	o.pushHeld([]byte("d"), &l)
	l.flush()
	require.Equal(t, "abcd", g.text())
	require.Empty(t, l.outboxes)
}

// TestWhatAConnectionDoesNotTakeAtOnceFollows in order, whatever was pushed meanwhile.
func TestWhatAConnectionDoesNotTakeAtOnceFollows(t *testing.T) {
	t.Parallel()
	for room := range 10 {
		g, o := newNowBox(false, room)
		var l flushList
		for _, text := range []string{"abc", "d", "efg"} {
			o.pushHeld([]byte(text), &l)
		}
		l.flush()
		require.Equal(t, "abcdefg"[:min(room, 7)], g.text())
		o.pushHeld([]byte("h"), &l)
		l.flush()
		close(g.open)
		require.Eventually(t, o.idle, time.Minute, time.Millisecond)
		require.Equal(t, "abcdefgh", g.text())
		require.Zero(t, o.bytes)
		require.Zero(t, o.frames)
	}
}

// TestManyOutboxesAreFlushedByGoroutines, and so is what a reader may not wait for.
func TestManyOutboxesAreFlushedByGoroutines(t *testing.T) {
	t.Parallel()
	var l flushList
	gates := make([]*nowGate, 2*maxImmediate+1)
	boxes := make([]*outbox, len(gates))
	for i := range gates {
		gates[i], boxes[i] = newNowBox(true, 100)
		boxes[i].pushHeld([]byte("x"), &l)
	}
	l.flush()
	g, o := newNowBox(true, 100)
	o.pushHeld([]byte("x"), &l)
	l.start()
	for i, g := range append(gates, g) {
		require.Eventually(t, append(boxes, o)[i].idle, time.Minute, time.Millisecond)
		require.EqualValues(t, 1, g.now.Load(), "in a group")
		require.Zero(t, g.writes.Load())
		require.Equal(t, "x", g.text())
	}
	g, o = newNowBox(true, 100)
	o.pushHeld([]byte("last"), &l)
	o.end(false, time.Second)
	l.flush()
	<-g.ended
	require.Equal(t, "last", g.text())
	require.Zero(t, g.now.Load(), "the end may block")
}

// TestAGroupWaitsForNoConnection: those that take nothing at once, that cannot be asked
// to, or that are sent bursts have goroutines of their own.
func TestAGroupWaitsForNoConnection(t *testing.T) {
	t.Parallel()
	var l flushList
	full, fullBox := newNowBox(false, 0)
	blocking, blockingBox := newNowBox(false, 100)
	blockingBox.immediate = false
	bursts, burstsBox := newNowBox(true, 100)
	burstsBox.bursts.Store(true)
	ready, readyBox := newNowBox(true, 100)
	for _, o := range []*outbox{fullBox, blockingBox, burstsBox, readyBox} {
		o.pushHeld([]byte("x"), &l)
	}
	l.start()
	require.Empty(t, l.outboxes)
	for _, o := range []*outbox{burstsBox, readyBox} {
		require.Eventually(t, o.idle, time.Minute, time.Millisecond)
	}
	require.Equal(t, "x", ready.text())
	require.EqualValues(t, 1, ready.now.Load())
	require.Equal(t, "x", bursts.text())
	require.Zero(t, bursts.now.Load())
	fullBox.push([]byte("y"))
	for _, g := range []*nowGate{full, blocking} {
		require.Empty(t, g.text())
		close(g.open)
	}
	for _, o := range []*outbox{fullBox, blockingBox} {
		require.Eventually(t, o.idle, time.Minute, time.Millisecond)
	}
	require.Equal(t, "xy", full.text())
	require.Equal(t, "x", blocking.text())
	require.Zero(t, blocking.now.Load())
}

// TestAGroupWaitsForNoQueue: to tell a queue that its messages are written, or that there is
// room for more, may have it ask a store, which may not answer.
func TestAGroupWaitsForNoQueue(t *testing.T) {
	t.Parallel()
	var l flushList
	answered := make(chan struct{})
	_, ackedBox := newNowBox(true, 100)
	ackedBox.onWritten = func([]*delivery) { <-answered }
	_, roomBox := newNowBox(true, 100)
	roomBox.waiters = []waiter{waiterFunc(func() { <-answered })}
	ready, readyBox := newNowBox(true, 100)
	for _, o := range []*outbox{ackedBox, roomBox, readyBox} {
		o.pushHeld([]byte("x"), &l)
	}
	require.Equal(t, pushed, ackedBox.pushDelivery([]byte("m"), &delivery{Delivery: driver.Delivery{Message: message("/queue/a")}, sub: new(subscription)}))
	flushed := make(chan struct{})
	go func() {
		l.flush() // as a group does
		close(flushed)
	}()
	require.Eventually(t, readyBox.idle, time.Minute, time.Millisecond)
	<-flushed
	require.Equal(t, "x", ready.text())
	require.False(t, ackedBox.idle())
	require.False(t, roomBox.idle())
	close(answered)
	for _, o := range []*outbox{ackedBox, roomBox} {
		require.Eventually(t, o.idle, time.Minute, time.Millisecond)
		require.Zero(t, o.frames)
	}
	require.Equal(t, "xm", ackedBox.transport.(*nowGate).text())
}

type waiterFunc func()

func (f waiterFunc) spaceFreed() { f() }

// TestAReadThatMayWaitHoldsNothingBack: what is behind a SEND in one read may wait, and
// the SEND's subscribers have it already.
func TestAReadThatMayWaitHoldsNothingBack(t *testing.T) {
	t.Parallel()
	b := newTestBroker(t)
	waiting := make(chan struct{})
	interceptors := newInterceptorChain([]Interceptor{{Send: func(next ActionFunc) ActionFunc {
		return func(ctx context.Context, a *Action) error {
			a.Permitted = true
			if a.Destination == "/topic/slow" {
				<-waiting
			}
			return next(ctx, a)
		}
	}}})
	b.interceptors = interceptors
	subscribers(t, b, 1)
	var subscriber *gate
	b.registry.each(func(s *Session) { subscriber = s.transport.(*gate) })
	s := connectedOn(t, b, newGate(true))
	s.setPrincipal(&auth.Principal{})
	done := make(chan error, 1)
	go func() {
		done <- s.Receive([]byte("SEND\ndestination:/topic/a\n\nbody\x00SEND\ndestination:/topic/slow\n\nbody\x00"))
	}()
	require.Eventually(t, func() bool { return strings.HasSuffix(subscriber.text(), "body\x00") }, time.Minute, time.Millisecond)
	close(waiting)
	require.NoError(t, <-done)
}

// TestWhatPartsOfAReadHaveForOthersIsWrittenAtItsEnd, in one write, or where a read has much.
func TestWhatPartsOfAReadHaveForOthersIsWrittenAtItsEnd(t *testing.T) {
	t.Parallel()
	b := newTestBroker(t)
	b.interceptors = newInterceptorChain([]Interceptor{{Send: func(next ActionFunc) ActionFunc {
		return func(ctx context.Context, a *Action) error {
			a.Permitted = true
			return next(ctx, a)
		}
	}}})
	b.interceptors.custom = false // this one does not wait
	g := &nowGate{gate: newGate(true)}
	g.room.Store(1 << 20)
	subscriberOn(t, b, g)
	s := connectedOn(t, b, newGate(true))
	s.setPrincipal(&auth.Principal{})
	part := func(body string) {
		t.Helper()
		require.NoError(t, s.ReceivePart([]byte("SEND\ndestination:/topic/a\n\n"+body+"\x00")))
	}
	bodies := func() (all []string) {
		for frame := range strings.SplitSeq(g.text(), "\x00") {
			if _, body, ok := strings.Cut(frame, "\n\n"); ok {
				all = append(all, body)
			}
		}
		return all
	}
	part("1")
	part("2")
	part("3")
	require.Empty(t, g.text())
	s.EndRead()
	require.Equal(t, []string{"1", "2", "3"}, bodies())
	require.EqualValues(t, 1, g.now.Load())
	s.EndRead()
	require.EqualValues(t, 1, g.now.Load())

	part(strings.Repeat("x", maxReadBytes))
	require.Len(t, bodies(), 4)
	require.EqualValues(t, 2, g.now.Load())

	part("5")
	require.Len(t, bodies(), 4)
	s.Leave(nil)
	require.Equal(t, "5", bodies()[4])
}

// TestPushesOfManyReadersKeepTheirOrder on one outbox, each of which flushes at the end
// of its read, or starts a group.
func TestPushesOfManyReadersKeepTheirOrder(t *testing.T) {
	t.Parallel()
	for name, flush := range map[string]func(*flushList){"flush": (*flushList).flush, "start": (*flushList).start} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pushFromReaders(t, flush)
		})
	}
}

func pushFromReaders(t *testing.T, flush func(*flushList)) {
	g, o := newNowBox(true, 1<<20)
	var readers sync.WaitGroup
	for r := range 4 {
		readers.Go(func() {
			var l flushList
			for i := range 200 {
				o.pushHeld([]byte(fmt.Sprintf("%d:%d ", r, i)), &l)
				if i%3 == 0 {
					g.room.Store(int64(i % 7)) // so that some of it is left
					flush(&l)
				}
			}
			flush(&l)
		})
	}
	readers.Wait()
	require.Eventually(t, o.idle, time.Minute, time.Millisecond)
	next := map[int]int{}
	for _, word := range strings.Fields(g.text()) {
		var r, i int
		_, err := fmt.Sscanf(word, "%d:%d", &r, &i)
		require.NoError(t, err, word)
		require.Equal(t, next[r], i)
		next[r]++
	}
	require.Equal(t, map[int]int{0: 200, 1: 200, 2: 200, 3: 200}, next)
}
