package relay

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLinkStates(t *testing.T) {
	t.Parallel()
	repeat := func(e linkEvent, n int) (all []linkEvent) {
		for range n {
			all = append(all, e)
		}
		return all
	}
	join := func(parts ...[]linkEvent) (all []linkEvent) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	answered := []linkEvent{jetStreamAnswered}
	for name, c := range map[string]struct {
		optional bool
		events   []linkEvent
		want     linkState
	}{
		"a new link":                      {want: connected},
		"an embedded server at its start": {events: repeat(jetStreamMissed, 1), want: degraded},
		"a server without JetStream":      {optional: true, events: repeat(jetStreamMissed, 20), want: connected},
		"a leader is chosen":              {events: join(answered, repeat(jetStreamMissed, maxMisses-1)), want: connected},
		"no leader":                       {events: join(answered, repeat(jetStreamMissed, maxMisses)), want: degraded},
		"no majority":                     {events: join(answered, repeat(jetStreamMissed, unavailableMisses)), want: unavailable},
		"a majority again":                {events: join(answered, repeat(jetStreamMissed, unavailableMisses), answered), want: connected},
		"cut off":                         {events: join(answered, []linkEvent{routesLost}), want: partitioned},
		"cut off, not noticed yet":        {events: []linkEvent{jetStreamAnswered, routesLost, jetStreamAnswered}, want: partitioned},
		"joined again":                    {events: []linkEvent{jetStreamAnswered, routesLost, routesBack}, want: degraded},
		"joined again, and answered":      {events: []linkEvent{jetStreamAnswered, routesLost, routesBack, jetStreamAnswered}, want: connected},
		"joined again, long after":        {events: join(answered, []linkEvent{routesLost}, repeat(jetStreamMissed, unavailableMisses), []linkEvent{routesBack}), want: unavailable},
		"not connected":                   {events: []linkEvent{jetStreamAnswered, connectionLost, jetStreamAnswered, routesLost, routesBack}, want: disconnected},
		"connected again":                 {events: []linkEvent{jetStreamAnswered, connectionLost, connectionBack}, want: connected},
		"connected again, no majority":    {events: join(answered, repeat(jetStreamMissed, unavailableMisses), []linkEvent{connectionLost, connectionBack}), want: unavailable},
	} {
		m := linkStateMachine{optional: c.optional}
		for _, e := range c.events {
			m.apply(e)
		}
		require.Equal(t, c.want.String(), m.state().String(), name)
	}
}
