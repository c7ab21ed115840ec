package broker

import (
	"errors"
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

// settings are those in force. What belongs together is read from one call.
func (b *Broker) settings() *settings { return b.current.Load() }

// Reconfigure puts other limits, quotas, heart-beats, outboxes, queues, an AppTimeout
// and a DrainWindow in force; all else of o is ignored, the required fields too. What a
// session has open stays, also where it is more than a new limit; heart-beats and
// the outbox are those of new sessions. The limits of a queue's size, and which queues are
// transient, have to be those that the broker was made with. It is safe for concurrent use.
func (b *Broker) Reconfigure(o Options) error {
	o = o.WithDefaults()
	o.Authenticator, o.Driver = b.auth, b.driver
	if err := o.check(); err != nil {
		return err
	}
	if !o.Queues.keepsPlaces(&b.settings().queues) {
		return errors.New("broker: queues.max_messages, queues.max_bytes and queues.transient cannot be changed while the broker runs")
	}
	b.current.Store(newSettings(&o))
	b.usage.quotas.Store(&o.Quotas)
	// Sessions that are open have agreed on heart-beats that may be shorter.
	if every := int64(b.sweepInterval()); every < b.sweepEvery.Load() {
		b.sweepEvery.Store(every)
	}
	return nil
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
