package broker

import (
	"strings"

	"github.com/stompbox/stompbox/broker/driver"
)

// eventIDs are the places of a stream's destinations, where the broker has to know them: it
// has several destinations, and each event has them all in its mark, or heart-beats that
// its client sees. What changes is under the outbox's lock.
type eventIDs struct {
	framing EventFraming
	beats   bool // heart-beats are events
	places  []eventPlace
}

// eventPlace is the place of one destination.
type eventPlace struct {
	name     string // of the destination, in its ids
	position driver.StreamPosition
	id       string // where position is zero
}

const (
	noEventID  = "-"
	eventIDSep = ","
)

func (p *eventPlace) String() string {
	switch {
	case p.position.Epoch != "":
		return p.position.In(p.name)
	case p.id != "":
		return p.id
	}
	return noEventID
}

func (v *eventIDs) String() string {
	ids := make([]string, len(v.places))
	for i := range v.places {
		ids[i] = v.places[i].String()
	}
	return strings.Join(ids, eventIDSep)
}

// several reports whether each event has the places of several destinations.
func (v *eventIDs) several() bool { return v != nil && len(v.places) > 1 }

// messageItemLocked is the item of a message for a subscription. Where a stream has several
// destinations, the event id follows the bytes that are shared.
func (o *outbox) messageItemLocked(data []byte, s *subscription, m *driver.Message) item {
	if v := o.eventIDs; v != nil {
		place := &v.places[s.eventIDIndex]
		place.position, place.id = m.Position, m.ID
		if v.several() {
			data = v.framing.EventID(data[:len(data):len(data)], v.String())
		}
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
	s.replay.pushGapNoticeLocked(o, s.destination, framing)
	id := upTo.In(s.place)
	if v := o.eventIDs; v != nil {
		v.places[s.eventIDIndex].position = upTo
		id = v.String()
	}
	o.addLocked(item{data: framing.EventID(nil, id)})
}

// pushGapNotice tells the client of a stream at once that something is missing, where nothing
// keeps what it missed. The next message may be long in coming.
func (o *outbox) pushGapNotice(s *subscription) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if framing, ok := s.session.framing.(EventFraming); ok && o.state == outboxOpen && !s.closed {
		s.replay.pushGapNoticeLocked(o, s.destination, framing)
	}
}

// pushGapNoticeLocked tells the client of a stream that something is missing, if it is. The
// caller holds the outbox's lock.
func (r *replay) pushGapNoticeLocked(o *outbox, destination string, framing EventFraming) {
	if r.gap {
		r.gap = false
		o.addLocked(item{data: framing.Notice(nil, EventReplayIncomplete, []byte(destination))})
	}
}

// beatEvent has the client of a stream see that it is connected, and where it is.
func (o *outbox) beatEvent(interval int64) []byte {
	v := o.eventIDs
	o.mu.Lock()
	id := v.String()
	o.mu.Unlock()
	if strings.Trim(id, noEventID+eventIDSep) == "" {
		id = ""
	}
	return v.framing.HeartBeatEvent(nil, interval/1e6, id)
}
