package broker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// backlogged are outboxes of one user, whose clients read nothing until the gate opens.
type backlogged struct {
	t       *testing.T
	gate    *gate
	budget  *budget
	session *Session
	boxes   []*outbox
	subs    []*subscription
	tooSlow func() (n int64)
}

func newBacklogged(t *testing.T, boxes int, policy Policy, limits ByteLimits) *backlogged {
	b := &backlogged{t: t, gate: newGate(false)}
	b.session = &Session{broker: &Broker{memory: newMemory(&Quotas{Outboxes: limits})}, user: "ann"}
	b.budget = b.session.broker.memory.outboxes
	var slow []func() int64
	for range boxes {
		o, tooSlow := newTestOutbox(b.gate, OutboxOptions{MaxBytes: 8 << 20, MaxFrames: 1000, Policy: policy})
		o.waiting.session = b.session
		o.push([]byte("x"))
		require.Eventually(t, func() bool { return o.writing.Load() != 0 }, time.Minute, time.Millisecond)
		b.boxes, b.subs, slow = append(b.boxes, o), append(b.subs, new(subscription)), append(slow, tooSlow.Load)
	}
	b.tooSlow = func() (n int64) {
		for _, count := range slow {
			n += count()
		}
		return n
	}
	return b
}

// used is what the budget has, which is the same for the user and for all.
func (b *backlogged) used() int {
	b.t.Helper()
	s := b.budget.shard("ann")
	s.mu.Lock()
	defer s.mu.Unlock()
	require.Equal(b.t, b.budget.node.Load(), s.users["ann"])
	return int(s.users["ann"])
}

// drain lets the clients read all. Nothing counts any more.
func (b *backlogged) drain() {
	close(b.gate.open)
	for _, o := range b.boxes {
		require.Eventually(b.t, o.idle, time.Minute, time.Millisecond)
	}
	require.Zero(b.t, b.used())
}

const eighth = 128 << 10 // of a MiB

func body() []byte { return []byte(strings.Repeat("x", eighth)) }

func TestABacklogThatOutboxesShareCountsOnce(t *testing.T) {
	t.Parallel()
	b := newBacklogged(t, 20, PolicyDisconnect, ByteLimits{User: 1 << 20})
	for n := range 7 {
		var shared backlogs
		data := body()
		for i, o := range b.boxes {
			require.True(t, o.pushMessage(data, b.subs[i], message("/topic/a"), 0, nil, &shared))
		}
		require.Equal(t, n*eighth, b.used(), "the first one is free")
	}
	b.boxes[0].abandon()
	require.Equal(t, 6*eighth, b.used(), "others still wait for them")
	b.drain()
	require.Zero(t, b.tooSlow())
}

// TestOutboxesOfAUserAreBoundedTogether: many connections, each with messages of its own.
func TestOutboxesOfAUserAreBoundedTogether(t *testing.T) {
	t.Parallel()
	b := newBacklogged(t, 20, PolicyDisconnect, ByteLimits{User: 1 << 20})
	queued := 0
	for range 10 {
		for i, o := range b.boxes {
			if o.pushMessage(body(), b.subs[i], message("/topic/a"), 0, nil, new(backlogs)) {
				queued += eighth
			}
		}
	}
	require.Equal(t, 20*eighth+(1<<20), queued, "one is free for each, and the rest is bounded")
	require.Equal(t, 1<<20, b.used())
	require.EqualValues(t, 20, b.tooSlow())
	require.Positive(t, b.budget.userHits.Load())
	require.True(t, b.boxes[0].overBudget)
	require.Contains(t, b.budget.excess().Message, "may take 1048576 bytes over all connections of a user")
	for _, o := range b.boxes {
		o.end(true, 0)
	}
	b.drain()
}

func TestFramesThatNoPolicyDropsAreBoundedTogether(t *testing.T) {
	t.Parallel()
	for _, policy := range []Policy{PolicyDisconnect, PolicyDropOldest, PolicyConflate} {
		b := newBacklogged(t, 4, policy, ByteLimits{User: 1 << 20})
		for range 10 {
			for _, o := range b.boxes {
				o.push(body())
			}
		}
		require.Equal(t, 1<<20, b.used(), policy)
		require.EqualValues(t, 4, b.tooSlow(), policy)
		b.drain()
	}
}

// TestPoliciesThatDropKeepTheBound: what waits is dropped, and no connection ends.
func TestPoliciesThatDropKeepTheBound(t *testing.T) {
	t.Parallel()
	for _, policy := range []Policy{PolicyDropOldest, PolicyConflate} {
		b := newBacklogged(t, 4, policy, ByteLimits{User: 1 << 20})
		for n := range 40 {
			for i, o := range b.boxes {
				data := body()
				copy(data, fmt.Sprintf("<%d of %d>", n, i))
				require.True(t, o.pushMessage(data, b.subs[i], message(fmt.Sprint("/topic/", n)), 0, nil, new(backlogs)))
			}
			require.LessOrEqual(t, b.used(), 1<<20)
		}
		require.Zero(t, b.tooSlow())
		b.drain()
		for i := range b.boxes {
			require.Contains(t, b.gate.text(), fmt.Sprintf("<39 of %d>", i), "%s: the newest comes", policy)
		}
	}
}

// TestAReplayWaitsWhereItsUserHasTooMuch, and goes on when its outbox is empty.
func TestAReplayWaitsWhereItsUserHasTooMuch(t *testing.T) {
	t.Parallel()
	b := newBacklogged(t, 2, PolicyDisconnect, ByteLimits{User: 1 << 20})
	for range 9 {
		require.True(t, b.boxes[0].pushMessage(body(), b.subs[0], message("/topic/a"), 0, nil, nil))
	}
	require.Equal(t, 1<<20, b.used())
	o, sub := b.boxes[1], b.subs[1]
	sub.replay = &replay{space: make(chan struct{}, 1)}
	require.Equal(t, pushed, o.pushReplayed(body(), sub, message("/topic/a")))
	require.Equal(t, pushFull, o.pushReplayed(body(), sub, message("/topic/a")))
	require.Len(t, o.waiters, 1)
	// Live messages that come meanwhile are read from the history later.
	require.False(t, o.pushMessage(body(), sub, message("/topic/a"), 0, nil, new(backlogs)))
	require.True(t, sub.replay.overflowed)
	b.drain()
	require.Empty(t, o.waiters)
	require.Equal(t, pushed, o.pushReplayed(body(), sub, message("/topic/a")))
}

// TestALargeFrameFitsIntoAnEmptyOutbox, until its user has twice as much as may be.
func TestALargeFrameFitsIntoAnEmptyOutbox(t *testing.T) {
	t.Parallel()
	b := newBacklogged(t, 0, PolicyDisconnect, ByteLimits{User: 1 << 20})
	large := strings.Repeat("x", 700<<10)
	var taken []bool
	for range 4 {
		o, _ := newTestOutbox(b.gate, OutboxOptions{MaxBytes: 8 << 20, MaxFrames: 1000, Policy: PolicyDisconnect})
		o.waiting.session = b.session
		b.boxes = append(b.boxes, o)
		taken = append(taken, o.pushMessage([]byte(large), new(subscription), message("/topic/a"), 0, nil, nil))
	}
	require.Equal(t, []bool{true, true, false, false}, taken)
	b.drain()
}
