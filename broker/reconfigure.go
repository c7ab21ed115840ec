package broker

import (
	"time"
)

// settings are the options that [Broker.Reconfigure] changes. They are immutable.
type settings struct {
	limits      Limits
	heartBeat   HeartBeat
	outbox      OutboxOptions
	queues      QueueDefaults
	appTimeout  time.Duration
	drainWindow time.Duration
}

func newSettings(o *Options) *settings {
	return &settings{limits: o.Limits, heartBeat: o.HeartBeat, outbox: o.Outbox, queues: o.Queues, appTimeout: o.AppTimeout, drainWindow: o.DrainWindow}
}

// keepsPlaces reports whether each queue is stored in the same place, with the same
// bounds, as by other defaults: where it is read from is decided by its first SUBSCRIBE.
func (d *QueueDefaults) keepsPlaces(other *QueueDefaults) bool {
	if len(d.Transient) != len(other.Transient) {
		return false
	}
	for i := range d.Transient {
		if d.Transient[i].String() != other.Transient[i].String() {
			return false
		}
	}
	ours, theirs := d.bounded(), other.bounded()
	if d.options() != other.options() || len(ours) != len(theirs) {
		return false
	}
	for i, p := range ours {
		if p.Match.String() != theirs[i].Match.String() || p.options() != theirs[i].options() {
			return false
		}
	}
	return true
}

// bounded are the policies up to the last whose queues have other bounds than most.
func (d *QueueDefaults) bounded() []QueuePolicy {
	for n := len(d.Policies); n > 0; n-- {
		if d.Policies[n-1].options() != d.options() {
			return d.Policies[:n]
		}
	}
	return nil
}
