package top

import (
	"time"

	"github.com/stompbox/stompbox/broker/admin"
)

// Sample is what the API answered at one time.
type Sample struct {
	At       time.Time
	Nodes    []admin.NodeInfo
	Sessions []admin.SessionInfo
	// Missing are nodes that did not answer.
	Missing []string
	// Lost are nodes that went silent, and are not back.
	Lost []admin.LostNode
}

// rate is a count in a second, or negative where it is not known.
type rate float64

const unknown rate = -1

// perSecond returns the rate of a counter that began with 0 at a time, such as the start of a
// session. Where it existed at the sample before, that is what it is compared with.
func perSecond(existed bool, before, now int64, began, previous, at time.Time) rate {
	switch {
	case existed && now >= before:
		return over(now-before, at.Sub(previous))
	case began.After(previous) && !previous.IsZero():
		return over(now, at.Sub(began))
	}
	return unknown
}

func over(n int64, d time.Duration) rate {
	if d <= 0 {
		return unknown
	}
	return rate(float64(n) / d.Seconds())
}

// nodeRates are those of one node, or of all of them.
type nodeRates struct{ received, delivered, dropped, in, out rate }

func (s *nodeRates) add(other nodeRates) {
	for sum, r := range map[*rate]rate{
		&s.received: other.received, &s.delivered: other.delivered, &s.dropped: other.dropped, &s.in: other.in, &s.out: other.out,
	} {
		switch {
		case r < 0:
		case *sum < 0:
			*sum = r
		default:
			*sum += r
		}
	}
}

// ratesOfNodes returns the rates of each node by its id.
func ratesOfNodes(before, now *Sample) map[string]nodeRates {
	old := make(map[string]admin.NodeInfo)
	for _, n := range before.Nodes {
		old[n.ID] = n
	}
	rates := make(map[string]nodeRates, len(now.Nodes))
	for _, n := range now.Nodes {
		o, existed := old[n.ID]
		of := func(previous, current int64) rate {
			return perSecond(existed && o.Started.Equal(n.Started), previous, current, n.Started, before.At, now.At)
		}
		rates[n.ID] = nodeRates{of(o.Received, n.Received), of(o.Delivered, n.Delivered), of(o.Dropped, n.Dropped), of(o.ReceivedBytes, n.ReceivedBytes), of(o.SentBytes, n.SentBytes)}
	}
	return rates
}

// session is a session with the rates of its bytes.
type session struct {
	admin.SessionInfo
	in, out rate
}

func sessionsWithRates(before, now *Sample) []session {
	old := make(map[string]admin.SessionInfo)
	for _, s := range before.Sessions {
		old[s.Node+" "+s.ID] = s
	}
	all := make([]session, len(now.Sessions))
	for i, s := range now.Sessions {
		o, existed := old[s.Node+" "+s.ID]
		all[i] = session{
			SessionInfo: s,
			in:          perSecond(existed, o.ReceivedBytes, s.ReceivedBytes, s.Connected, before.At, now.At),
			out:         perSecond(existed, o.SentBytes, s.SentBytes, s.Connected, before.At, now.At),
		}
	}
	return all
}
