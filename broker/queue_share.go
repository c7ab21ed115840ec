package broker

import (
	"fmt"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/internal/fairslots"
)

// errOverShare is for a sender that has its share of what waits, while others have room.
var errOverShare = fmt.Errorf("%w for this sender", driver.ErrQueueFull)

// mayWaitLocked returns why a message of a sender has no room in a queue that no store has:
// one sender takes about half of it, so that there is room for others.
func (q *queue) mayWaitLocked(sender string) error {
	if len(q.ready) == 0 {
		return nil
	}
	switch fairslots.Share(maxReady, len(q.ready), q.waits[sender]) {
	case fairslots.Full:
		return fmt.Errorf("%w: %d messages wait in it", driver.ErrQueueFull, maxReady)
	case fairslots.OverPart:
		q.broker.CountLimit(limitUserWaitingMessages)
		return errOverShare
	}
	return nil
}

// waitsLocked counts a message that no consumer took at once. What a consumer takes at once
// costs no counting.
func (q *queue) waitsLocked(d *delivery) {
	if q.waits == nil {
		q.waits = make(map[string]int)
	}
	d.waits = true
	q.waits[d.Message.User]++
}

// waitNoLongerLocked takes messages out of the count that leave the queue.
func (q *queue) waitNoLongerLocked(all []*delivery) {
	if len(q.waits) == 0 {
		return
	}
	for _, d := range all {
		if !d.waits {
			continue
		}
		d.waits = false
		if q.waits[d.Message.User]--; q.waits[d.Message.User] <= 0 {
			delete(q.waits, d.Message.User)
		}
	}
}
