package relay

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
)

// TestALeaderWithoutAMajorityIsNotBelieved: it was paused or cut off, and others may have
// chosen another one.
func TestALeaderWithoutAMajorityIsNotBelieved(t *testing.T) {
	t.Parallel()
	const lately, long, never = time.Second, electionTime, 0
	replicas := func(heard ...time.Duration) (all []*jetstream.PeerInfo) {
		for _, active := range heard {
			all = append(all, &jetstream.PeerInfo{Active: active})
		}
		return all
	}
	for name, c := range map[string]struct {
		cluster *jetstream.ClusterInfo
		took    time.Duration
		led     bool
	}{
		"a server of its own":   {cluster: nil, led: true},
		"one replica":           {cluster: &jetstream.ClusterInfo{Leader: "a"}, led: true},
		"no leader":             {cluster: &jetstream.ClusterInfo{Replicas: replicas(lately, lately, lately)}},
		"all":                   {cluster: &jetstream.ClusterInfo{Leader: "a", Replicas: replicas(lately, lately)}, led: true},
		"one of two is away":    {cluster: &jetstream.ClusterInfo{Leader: "a", Replicas: replicas(lately, long)}, led: true},
		"both are away":         {cluster: &jetstream.ClusterInfo{Leader: "a", Replicas: replicas(long, long)}},
		"both never came":       {cluster: &jetstream.ClusterInfo{Leader: "a", Replicas: replicas(never, never)}},
		"the other is away":     {cluster: &jetstream.ClusterInfo{Leader: "a", Replicas: replicas(long)}},
		"half of four":          {cluster: &jetstream.ClusterInfo{Leader: "a", Replicas: replicas(lately, long, long)}},
		"the answer took long":  {cluster: &jetstream.ClusterInfo{Leader: "a", Replicas: replicas(lately, lately)}, took: long - lately},
		"the answer came early": {cluster: &jetstream.ClusterInfo{Leader: "a", Replicas: replicas(lately, lately)}, took: long - 2*lately, led: true},
	} {
		err := checkLed(&jetstream.StreamInfo{Cluster: c.cluster}, time.Now().Add(-c.took))
		if c.led {
			require.NoError(t, err, name)
		} else {
			require.ErrorIs(t, err, driver.ErrUnavailable, name)
		}
	}
}
