package broker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pausingOutbox is an outbox of a saturated node whose connection has just been sent a burst.
// Its pauses last until the returned channel is closed.
func pausingOutbox(t *testing.T, o OutboxOptions) (*outbox, *gate, chan struct{}) {
	g := newGate(true)
	box, _ := newTestOutbox(g, o)
	release := make(chan struct{})
	box.pacing.pause = func(time.Duration) { <-release }
	later := box.clock.now() + int64(time.Hour)
	box.pacing.saturatedAt.Store(later)
	box.lastWrite.Store(later)
	box.bursts.Store(true)
	t.Cleanup(func() {
		select {
		case <-release:
		default:
			close(release)
		}
		waitUntil(t, box.idle)
	})
	return box, g, release
}

func (o *outbox) pausing() bool { o.mu.Lock(); defer o.mu.Unlock(); return o.paused }

func waitUntil(t *testing.T, done func() bool) {
	t.Helper()
	require.Eventually(t, done, 90*time.Second, time.Millisecond)
}

func TestAFlushOfASaturatedNodeTakesAlongWhatIsPushedMeanwhile(t *testing.T) {
	box, g, release := pausingOutbox(t, OutboxOptions{MaxBytes: 1 << 20, MaxFrames: 1000})
	box.push([]byte("1"))
	waitUntil(t, box.pausing)
	box.push([]byte("2"))
	box.push([]byte("3"))
	require.Zero(t, g.writes.Load())
	close(release)
	waitUntil(t, func() bool { return g.text() == "123" })
	require.EqualValues(t, 1, g.writes.Load())
}

func TestAPauseEndsBeforeAnOutboxIsFull(t *testing.T) {
	for name, o := range map[string]OutboxOptions{
		"frames": {MaxBytes: 1 << 20, MaxFrames: 80},
		"bytes":  {MaxBytes: 80 * 8, MaxFrames: 1000},
	} {
		t.Run(name, func(t *testing.T) {
			box, g, _ := pausingOutbox(t, o)
			var want strings.Builder
			push := func(i int) {
				data := fmt.Sprintf("%08d", i)
				want.WriteString(data)
				box.push([]byte(data))
			}
			push(0)
			waitUntil(t, box.pausing)
			for i := 1; i < 10; i++ {
				push(i)
			}
			require.Zero(t, g.writes.Load())
			push(10)
			waitUntil(t, func() bool { return g.text() == want.String() })
			require.EqualValues(t, 1, g.writes.Load())
		})
	}
}

func TestThePauseOfAnEndedSessionIsOver(t *testing.T) {
	box, g, _ := pausingOutbox(t, OutboxOptions{MaxBytes: 1 << 20, MaxFrames: 1000})
	box.push([]byte("1"))
	waitUntil(t, box.pausing)
	box.end(false, time.Second, []byte("2"))
	waitUntil(t, func() bool {
		select {
		case <-g.ended:
			return true
		default:
			return false
		}
	})
	require.Equal(t, "12", g.text())
}

// TestAHeartBeatThatIsDueEndsAPause: what waits is written in its place.
func TestAHeartBeatThatIsDueEndsAPause(t *testing.T) {
	b := newTestBroker(t)
	g := newGate(true)
	s := connectedOn(t, b, g)
	now := s.broker.clock.now()
	b.pacing.pause = func(time.Duration) { <-g.ended }
	b.pacing.saturatedAt.Store(now + int64(time.Hour))
	s.outbox.bursts.Store(true)
	s.outbox.lastWrite.Store(now + int64(time.Hour))
	s.outbox.push([]byte("1"))
	waitUntil(t, s.outbox.pausing)

	s.beatSend.Store(int64(time.Second))
	at := s.outbox.lastWrite.Load()
	beats := func(now int64) { s.sweep(now, time.Now(), &beatWriter{left: 1}) }
	s.lastRead.Store(at + int64(time.Minute))
	beats(at + int64(time.Second) - s.broker.sweepEvery.Load() - 1)
	require.True(t, s.outbox.pausing())
	require.Empty(t, g.text())
	beats(at + int64(time.Second))
	waitUntil(t, s.outbox.idle)
	require.Equal(t, "1", g.text())
	beats(at + int64(3*time.Second))
	waitUntil(t, func() bool { return g.text() == "1\n" })
}

func TestOnlyBurstsWait(t *testing.T) {
	box, g, _ := pausingOutbox(t, OutboxOptions{MaxBytes: 1 << 20, MaxFrames: 1000})
	box.bursts.Store(false)
	box.push([]byte("1"))
	waitUntil(t, box.idle)
	require.Equal(t, "1", g.text())
	require.False(t, box.bursts.Load(), "one frame is no burst")

	box.lastWrite.Store(box.clock.now() - int64(burstFor) - 1)
	box.bursts.Store(true)
	box.push([]byte("2"))
	waitUntil(t, func() bool { return g.text() == "12" })
}

func TestAWriteOfManyMessagesIsABurst(t *testing.T) {
	for name, c := range map[string]struct {
		push func(*outbox)
		want bool
	}{
		"messages of a topic": {func(o *outbox) { o.pushMessage([]byte("y"), new(subscription), message("/topic/a"), 0, nil, nil) }, true},
		"other frames":        {func(o *outbox) { o.push([]byte("y")) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGate(false)
			box, _ := newTestOutbox(g, OutboxOptions{MaxBytes: 1 << 20, MaxFrames: 1000})
			box.push([]byte("x"))
			waitUntil(t, func() bool { return box.writing.Load() != 0 })
			for range minBurst {
				c.push(box)
			}
			close(g.open)
			waitUntil(t, box.idle)
			require.EqualValues(t, 2, g.writes.Load())
			require.Equal(t, c.want, box.bursts.Load())
		})
	}
}

// TestAPauseIsAsLongAsAllFlushesTake, within its bounds.
func TestAPauseIsAsLongAsAllFlushesTake(t *testing.T) {
	for n, want := range map[int64]time.Duration{
		1: 25 * time.Millisecond, 1000: 25 * time.Millisecond, 2000: 50 * time.Millisecond,
		4000: 100 * time.Millisecond, 100_000: 100 * time.Millisecond,
	} {
		require.Equal(t, want, pauseFor(n), n)
	}

	box, _, release := pausingOutbox(t, OutboxOptions{MaxBytes: 1 << 20, MaxFrames: 1000})
	pauses := make(chan time.Duration, 1)
	box.pacing.pause = func(d time.Duration) {
		pauses <- d
		<-release
	}
	box.pacing.pausing.Store(1999)
	box.pacing.waiting.Store(1000)
	box.push([]byte("1"))
	require.Equal(t, 75*time.Millisecond, <-pauses)
	close(release)
	waitUntil(t, box.idle)
	require.EqualValues(t, 1999, box.pacing.pausing.Load())
}

func TestANodeIsSaturatedAWhileAfterManyFlushesHadToWait(t *testing.T) {
	p := newPacing()
	now := int64(time.Hour)
	p.note(saturatedLag-1, p.minWaiting, now)
	require.False(t, p.saturated(now), "they waited for less")
	p.note(saturatedLag, p.minWaiting-1, now)
	require.False(t, p.saturated(now), "they were few")
	p.note(saturatedLag, p.minWaiting, now)
	require.True(t, p.saturated(now+int64(saturatedFor)-1))
	require.False(t, p.saturated(now+int64(saturatedFor)))
}
