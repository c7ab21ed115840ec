package httpapi_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker/admin"
	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/internal/test"
)

// outage is a cluster of which one node is silent, another one answers what cannot be read, and two
// were lost.
type outage struct {
	driver.Cluster
	since time.Time
}

func (o outage) Request(context.Context, string, []byte) ([]driver.NodeReply, []string) {
	return []driver.NodeReply{{Node: "an id", Name: "east", Body: []byte("!")}, {Node: "another id", Body: []byte("!")}}, []string{"south"}
}

func (o outage) Lost() []driver.LostNode {
	return []driver.LostNode{{Name: "south", Heard: o.since}, {Name: "west", Heard: o.since}}
}

// TestNodesThatDoNotAnswerAreNamed as the operator calls them, and each of them once.
func TestNodesThatDoNotAnswerAreNamed(t *testing.T) {
	t.Parallel()
	since := time.Now().Add(-time.Minute).UTC().Truncate(time.Second)
	n := test.Start(t, test.Options{Name: "north", Wrap: func(d driver.Driver) driver.Driver {
		d.Cluster = outage{d.Cluster, since}
		return d
	}})
	o := newOperator(t, n, auth.AllGrants())
	missing := []string{"south", "east", "another id"}
	var answer struct {
		Nodes   []admin.NodeInfo
		Missing []string
		Lost    []admin.LostNode
	}
	o.ask("GET", "/api/nodes", 200, &answer)
	require.Len(t, answer.Nodes, 1)
	require.Equal(t, missing, answer.Missing)
	require.Equal(t, []admin.LostNode{{Name: "west", Since: since}}, answer.Lost)
	for _, request := range []string{
		"GET /api/sessions", "GET /api/users", "GET /api/destinations", "POST /api/users/ann/disconnect",
		"POST /api/users/ann/unsubscribe?destination=/topic/a", "POST /api/bans?user=ann&for=1h", "DELETE /api/bans?user=ann",
	} {
		method, path, _ := strings.Cut(request, " ")
		answer.Missing, answer.Lost = nil, nil
		o.ask(method, path, 200, &answer)
		require.Equal(t, missing, answer.Missing, path)
		require.Equal(t, strings.HasPrefix(path, "/api/users/ann/"), len(answer.Lost) == 1 && answer.Lost[0].Name == "west", path)
	}
}
