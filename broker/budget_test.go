package broker

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/frames"
)

type wakes chan struct{}

func (w wakes) spaceFreed() { w <- struct{}{} }

func TestBudgetBoundsEachUserAndTheNode(t *testing.T) {
	t.Parallel()
	b := newBudget("waiting_bytes", "messages", CodeQueueFull, ByteLimits{User: 100, Node: 150})
	require.Nil(t, b.take("ann", 100))
	err := b.take("ann", 1)
	require.Equal(t, CodeQueueFull, err.Code)
	require.Equal(t, "your messages may take 100 bytes on this node; try again later, or raise limits.user_waiting_bytes", err.Message)
	require.Positive(t, err.RetryAfter())
	require.Nil(t, b.take("bob", 50))
	err = b.take("bob", 1)
	require.Equal(t, "the messages of all users together may take 150 bytes on this node; try again later, or raise limits.node_waiting_bytes", err.Message)
	require.EqualValues(t, 150, b.node.Load(), "what is refused is not counted")

	waiter := make(wakes, 1)
	b.wait("ann", waiter)
	b.give("ann", 40)
	require.Empty(t, waiter, "more than half of it is taken")
	require.Nil(t, b.take("bob", 40), "what one gives back another has")
	b.give("ann", 10)
	<-waiter
	b.wait("ann", waiter)
	b.wakeAll()
	<-waiter
	b.give("ann", 50)
	b.give("bob", 90)
	require.Zero(t, b.node.Load())
	for i := range b.shards {
		require.Empty(t, b.shards[i].users)
	}
	require.EqualValues(t, []int64{1, 1}, []int64{b.userHits.Load(), b.nodeHits.Load()})

	open := newBudget("waiting_bytes", "messages", CodeQueueFull, ByteLimits{User: -1, Node: -1})
	require.Nil(t, open.take("ann", 1<<40), "a negative limit is none")
}

func TestAccountTakesInSteps(t *testing.T) {
	t.Parallel()
	b := newBudget("x_bytes", "things", CodeQueueFull, ByteLimits{User: 2 * accountStep})
	a := account{budget: b, user: "ann", free: 1000}
	for range 10 {
		require.Nil(t, a.add(100))
	}
	require.Zero(t, b.node.Load(), "the first are free")
	require.Nil(t, a.add(1))
	require.EqualValues(t, accountStep, b.node.Load())
	require.Nil(t, a.add(accountStep))
	require.EqualValues(t, 2*accountStep, b.node.Load())
	require.NotNil(t, a.add(accountStep))
	require.Equal(t, 1001+accountStep, a.used)
	a.sub(1001)
	require.EqualValues(t, 2*accountStep, b.node.Load(), "it does not go back and forth")
	a.sub(accountStep - 1)
	require.EqualValues(t, accountStep, b.node.Load())
	a.sub(1)
	require.Zero(t, b.node.Load())
}

func TestMessagesCountTheirHeaders(t *testing.T) {
	t.Parallel()
	m := &driver.Message{Body: make([]byte, 100), Headers: frames.Headers{{Name: "ab", Value: "cde"}}}
	require.Equal(t, driver.MessageOverhead+105, messageBytes(m))
}
