package relay

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/test/local"
)

// namedNode is a node with a name on a server that others share.
type namedNode struct {
	*Relay
	log *local.Log
}

// dialNamed returns what makes nodes on one server.
func dialNamed(t *testing.T) func(name string) *namedNode {
	t.Helper()
	shared, err := Embed(EmbeddedOptions{DataDir: t.TempDir(), Host: "127.0.0.1", Port: -1}, Options{Name: "shared", Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(shared.Close)
	return func(name string) *namedNode {
		n := &namedNode{log: new(local.Log)}
		n.Relay, err = Dial(Options{URL: shared.ClientURL(), Name: name, Logger: slog.New(slog.NewTextHandler(n.log, nil))})
		require.NoError(t, err)
		t.Cleanup(n.Close)
		return n
	}
}

// die takes a node's connection away, so that it cannot say that it goes.
func (n *namedNode) die() { n.link.conn.Close() }

func (n *namedNode) knows(t *testing.T, others ...*namedNode) {
	t.Helper()
	require.Eventually(t, func() bool {
		for _, other := range others {
			if _, known := n.members.all()[other.link.id]; !known {
				return false
			}
		}
		return true
	}, patience, 5*time.Millisecond)
}

// says has a process say something that arrives now.
func (n *namedNode) says(id, name string) bool {
	return n.members.heardFrom([]byte(id + " server 7 " + name))
}

// TestANodeThatIsStartedAgainCountsOnce: the process before it is forgotten at once, and does
// not come back by what it said before.
func TestANodeThatIsStartedAgainCountsOnce(t *testing.T) {
	t.Parallel()
	dial := dialNamed(t)
	a, old, c := dial("n1"), dial("n2"), dial("n3")
	a.knows(t, old, c)
	c.knows(t, old)
	changes := make(chan string, 10)
	a.members.WatchNodes(func(id string, here bool) {
		if here {
			id = "+" + id
		}
		changes <- id
	})
	old.die()
	again := dial("n2")
	a.knows(t, again)
	c.knows(t, again)
	require.Equal(t, 3, a.Stats().Nodes, "the shared one, n2 and n3")
	require.Equal(t, 3, c.Stats().Nodes)
	require.Equal(t, old.link.id, <-changes)
	require.Equal(t, "+"+again.link.id, <-changes)
	require.Contains(t, a.log.String(), `msg="another node is back" peer=n2`)

	require.False(t, a.says(old.link.id, "n2"), "it was on its way")
	require.Equal(t, 3, a.Stats().Nodes)
	require.NotContains(t, a.members.all(), old.link.id)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, again.members.HandleRequest("test", func([]byte) []byte { return nil }))
	require.NoError(t, again.link.conn.Flush())
	_, missing := a.members.Request(ctx, "test", nil)
	require.NotContains(t, missing, "n2", "the dead process is not waited for")
	require.NotContains(t, a.log.String(), "two nodes have one name")
	require.True(t, a.members.replacedLately())
}

// TestTwoLiveNodesOfOneNameBothCount: the one that had the name goes on, so it counts again,
// and each node says so.
func TestTwoLiveNodesOfOneNameBothCount(t *testing.T) {
	t.Parallel()
	dial := dialNamed(t)
	a, first := dial("n1"), dial("n2")
	a.knows(t, first)
	second := dial("n2")
	a.knows(t, first, second)
	first.knows(t, a, second)
	second.knows(t, a, first)
	for _, n := range []*namedNode{a, first, second} {
		require.Eventually(t, func() bool { return strings.Contains(n.log.String(), "two nodes have one name") }, patience, 5*time.Millisecond)
		require.Equal(t, 1, n.Stats().NameConflicts)
		require.Equal(t, 3, n.Stats().Nodes)
	}
	for range 10 {
		a.members.warnOfConflicts(time.Now())
	}
	require.Equal(t, 1, strings.Count(a.log.String(), "two nodes have one name"), "not again and again")
	a.members.warnOfConflicts(time.Now().Add(2 * conflictAgain))
	require.Equal(t, 2, strings.Count(a.log.String(), "two nodes have one name"), "it is still so")

	second.Close()
	require.Eventually(t, func() bool { return a.Stats().NameConflicts == 0 && first.Stats().NameConflicts == 0 }, patience, 5*time.Millisecond)
	require.Equal(t, 2, a.Stats().Nodes)
}

// TestANodeWhoseTwinLeftCountsAgain: the one that took its name was a mistake, and was ended.
func TestANodeWhoseTwinLeftCountsAgain(t *testing.T) {
	t.Parallel()
	a := dialNamed(t)("n1")
	require.True(t, a.says("idOld", "n2"))
	require.True(t, a.says("idNew", "n2"))
	require.NotContains(t, a.members.all(), "idOld")
	a.members.left("idNew")
	require.True(t, a.says("idOld", "n2"))
	require.Contains(t, a.members.all(), "idOld")
	require.Zero(t, a.Stats().NameConflicts)
}

// TestWhatAProcessSaidBeforeItLeftDoesNotBringItBack: words of one process on two subjects
// may be read in another order.
func TestWhatAProcessSaidBeforeItLeftDoesNotBringItBack(t *testing.T) {
	t.Parallel()
	a := dialNamed(t)("n1")
	require.True(t, a.says("id2", "n2"))
	before := a.Stats().Nodes
	a.members.left("id2")
	a.members.left("id3")
	require.False(t, a.says("id2", "n2"))
	require.False(t, a.says("id3", "id3"))
	require.Equal(t, before-1, a.Stats().Nodes)
	for i := range 3 * maxLost {
		a.members.left("other" + time.Duration(i).String())
	}
	require.LessOrEqual(t, len(a.members.gone), maxLost)
}

// TestNodesWithoutANameAreNoConflict: their names are their ids.
func TestNodesWithoutANameAreNoConflict(t *testing.T) {
	t.Parallel()
	dial := dialNamed(t)
	a, b, c := dial(""), dial(""), dial("")
	a.knows(t, b, c)
	b.knows(t, a, c)
	require.Zero(t, a.Stats().NameConflicts)
	require.Equal(t, 3, a.Stats().Nodes)
}

// TestServersOfOneNameAreReported: they refuse each other, so their nodes may never meet.
func TestServersOfOneNameAreReported(t *testing.T) {
	t.Parallel()
	all := startCluster(t, "n0", "n0")
	conflict := func() bool {
		return all[0].Stats().NameConflicts+all[1].Stats().NameConflicts > 0
	}
	require.Eventually(t, conflict, 3*patience, 10*time.Millisecond)
	logs := func() string { return all[0].said.String() + all[1].said.String() }
	require.Eventually(t, func() bool { return strings.Contains(logs(), "another node has the name of this one") }, patience, 10*time.Millisecond)
	require.NotContains(t, logs(), `msg="the embedded NATS server reported something" report="127.0.0.1`, "it is said once, not of each connection")
}

// TestANodeThatIsLostKeepsItsName: in answers that it is missing from, though it is lost while
// they are waited for, and in the list of those that are lost, until it is back.
func TestANodeThatIsLostKeepsItsName(t *testing.T) {
	t.Parallel()
	dial := dialNamed(t)
	a, b, c := dial("n1"), dial("n2"), dial("n3")
	a.knows(t, b, c)
	require.Empty(t, a.members.Lost())
	asked := make(chan struct{}, 1)
	require.NoError(t, c.members.HandleRequest("something", func([]byte) []byte { asked <- struct{}{}; return []byte("5") }))
	require.NoError(t, c.link.conn.Flush())
	b.die()
	ctx, cancel := context.WithCancel(t.Context())
	missing := make(chan []string)
	go func() {
		_, names := a.members.Request(ctx, "something", nil)
		missing <- names
	}()
	<-asked
	before := time.Now()
	a.members.lose(b.link.id)
	cancel()
	require.Contains(t, <-missing, "n2")

	lost := a.members.Lost()
	require.Len(t, lost, 1)
	require.Equal(t, "n2", lost[0].Name)
	require.True(t, lost[0].Heard.Before(before))
	a.members.mu.Lock()
	a.members.lostAt["n9"] = before.Add(-rememberLost - time.Minute)
	a.members.mu.Unlock()
	require.Len(t, a.members.Lost(), 1, "what was lost long ago is forgotten")
	again := dial("n2")
	a.knows(t, again)
	require.Empty(t, a.members.Lost())
}
