package broker

import (
	"strings"

	"github.com/stompbox/stompbox/broker/driver"
)

// eventIDs are the places of a stream's destinations, where it has several: each event
// has them all in its mark. They are under the outbox's lock.
type eventIDs struct {
	framing EventFraming
	ids     []string
}

const (
	noEventID  = "-"
	eventIDSep = ","
)

func (m *eventIDs) String() string { return strings.Join(m.ids, eventIDSep) }

// messageItemLocked is the item of a message for a subscription. Where a stream has several
// destinations, the event id follows the bytes that are shared.
func (o *outbox) messageItemLocked(data []byte, s *subscription, m *driver.Message) item {
	if v := o.eventIDs; v != nil {
		v.ids[s.eventIDIndex] = m.ID
		data = v.framing.EventID(data[:len(data):len(data)], v.String())
	}
	return item{data: data, sub: s, destination: m.Destination}
}

// pushEventIDLocked has the client of a stream remember up to where it has everything,
// after a notice of a gap.
func (o *outbox) pushEventIDLocked(s *subscription, upTo driver.StreamPosition) {
	framing, ok := s.session.framing.(EventFraming)
	if !ok || upTo.Epoch == "" {
		return
	}
	if r := s.replay; r.gap {
		r.gap = false
		o.addLocked(item{data: framing.Notice(nil, EventReplayIncomplete, []byte(s.destination))})
	}
	id := upTo.String()
	if v := o.eventIDs; v != nil {
		v.ids[s.eventIDIndex] = id
		id = v.String()
	}
	o.addLocked(item{data: framing.EventID(nil, id)})
}
