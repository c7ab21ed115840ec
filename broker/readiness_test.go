package broker_test

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/admin"
	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/internal/test"
)

// fault is what a backend says is wrong with it.
type fault struct{ text atomic.Pointer[string] }

func (f *fault) NotReady() string { return *f.text.Load() }

func (f *fault) set(text string) { f.text.Store(&text) }

// TestNodesSayWhetherTheyAreReady: what an operator reads of all nodes is what each says of itself.
func TestNodesSayWhetherTheyAreReady(t *testing.T) {
	t.Parallel()
	var f fault
	f.set("")
	a := test.Start(t, test.Options{NATSPort: -1})
	b := test.Start(t, test.Options{NATSURL: a.Relay.ClientURL(), Wrap: func(d driver.Driver) driver.Driver {
		d.Readiness = &f
		return d
	}})
	stateOf := func(id string) (state, why string) {
		all, _ := a.Broker.Nodes(t.Context())
		for _, n := range all {
			if n.ID == id {
				return n.State(), n.NotReady
			}
		}
		return "", ""
	}
	require.Eventually(t, func() bool { state, _ := stateOf(b.Broker.Node()); return state == "serving" }, test.Patience, test.Patience/500)
	f.set("the disk is gone")
	state, why := stateOf(b.Broker.Node())
	require.Equal(t, "not ready", state)
	require.Equal(t, "the disk is gone", why)
	require.Equal(t, "the disk is gone", b.Broker.Stats().NotReady)
	state, why = stateOf(a.Broker.Node())
	require.Equal(t, "serving", state)
	require.Empty(t, why)
	f.set("")
	require.Empty(t, b.Broker.Stats().NotReady)
	require.Equal(t, "draining", admin.NodeInfo{Draining: true, NotReady: "draining"}.State())
}
