package broker

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
)

// broadcasts counts what a node says to others.
type broadcasts struct {
	driver.Cluster
	n int
}

func (b *broadcasts) Broadcast(string, []byte) error {
	b.n++
	return nil
}

// TestWhoComesAndGoesFastIsSaidOnceAPause holds that watchers and other nodes hear no more
// of a user who joins and leaves without end, and hear in the end how things are.
func TestWhoComesAndGoesFastIsSaidOnceAPause(t *testing.T) {
	t.Parallel()
	b := newTestBroker(t)
	others := new(broadcasts)
	b.cluster = others
	p := newPresence(b, nil)
	p.pause = time.Hour // sayDue is called by hand
	for range 1000 {
		p.count("/topic/a", "ann", 1)
		p.count("/topic/a", "ann", -1)
	}
	require.Equal(t, 1, others.n, "the first join is said at once, and nothing after it")
	p.count("/topic/a", "bob", 1)
	p.count("/topic/b", "ann", 1)
	require.Equal(t, 3, others.n, "it is of one user and one destination")
	require.Equal(t, map[string]int{"ann": 1, "bob": 1}, p.global["/topic/a"])

	over := func() {
		p.mu.Lock()
		for i := range p.dueSaid {
			p.dueSaid[i].at = 0
		}
		p.mu.Unlock()
		p.sayDue()
	}
	over()
	require.Equal(t, 4, others.n, "that she left is said after the pause")
	require.Equal(t, map[string]int{"bob": 1}, p.global["/topic/a"])
	require.Equal(t, map[presentUser]bool{{"/topic/a", "ann"}: false}, p.said)
	p.count("/topic/a", "ann", 1)
	p.count("/topic/a", "ann", -1)
	over()
	require.Equal(t, 4, others.n, "she is away as it was said")
	require.Empty(t, p.said)
	require.Empty(t, p.dueSaid)
}

// TestALateAnswerDoesNotBringTheUsersOfADeadNodeBack: it was given before the node died.
func TestALateAnswerDoesNotBringTheUsersOfADeadNodeBack(t *testing.T) {
	t.Parallel()
	b := newTestBroker(t)
	b.cluster = new(aloneInCluster)
	p := newPresence(b, nil)
	answer := presenceState{Number: 1, Users: map[string][]string{"/topic/a": {"ann"}}}
	p.replace("n1", answer)
	require.Equal(t, map[string]int{"ann": 1}, p.global["/topic/a"])
	p.nodeChanged("n1", false)
	p.replace("n1", answer)
	require.Empty(t, p.global)
	p.nodeChanged("n1", true) // it was not dead
	p.replace("n1", answer)
	require.Equal(t, map[string]int{"ann": 1}, p.global["/topic/a"])
	for i := range 2 * maxGone {
		p.nodeChanged(strconv.Itoa(i), false)
	}
	require.LessOrEqual(t, len(p.gone), maxGone)
}

// aloneInCluster is a cluster of one node.
type aloneInCluster struct{ driver.Cluster }

func (aloneInCluster) Request(context.Context, string, []byte) ([]driver.NodeReply, []string) {
	return nil, nil
}
