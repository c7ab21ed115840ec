package broker

import (
	"sync"
	"unique"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/frames"
)

// fanout pushes one message to many subscriptions. It encodes once per distinct
// subscription id, framing and version, and shares the bytes: subscribers cost
// no allocation.
type fanout struct {
	message   *driver.Message
	text      bool
	tails     [3][]byte // by version, what all encodings end in
	scratch   []byte
	encodings []encoded
	byKey     map[unique.Handle[encoding]][]byte // beyond a few, in place of encodings
	kept      int                                // bytes of encodings
	backlogs  backlogs                           // of encodings that wait in outboxes
	count     int

	serial      uint       // of the messages that this fanout was used for
	flushes     *flushList // of the read that the message comes from, or idle
	idle        flushList  // the outboxes that the message finds idle, where it comes from no read
	publishedAt int64      // clock time of a message that is a sample of latencies, or 0
}

type encoded struct {
	form unique.Handle[encoding]
	data []byte
}

// fewEncodings is up to how many encodings are searched one by one.
const fewEncodings = 8

var fanouts = sync.Pool{New: func() any { return new(fanout) }}

func newFanout(m *driver.Message) *fanout {
	f := fanouts.Get().(*fanout)
	f.message, f.text, f.count, f.kept, f.publishedAt = m, isText(m), 0, 0, 0
	f.flushes = &f.idle
	return f
}

// sampleEvery is how many messages have one whose latency is observed.
const sampleEvery = 64

// sample has the latency of some messages observed: from at, which is asked for of
// those alone, to the write to each subscriber.
func (f *fanout) sample(at func() int64) {
	if f.serial++; f.serial%sampleEvery == 1 {
		f.publishedAt = at()
	}
}

func (f *fanout) release() {
	f.idle.start()
	f.message, f.flushes = nil, nil
	for i := range f.tails {
		f.tails[i] = f.tails[i][:0]
		if cap(f.tails[i]) > maxScratch {
			f.tails[i] = nil
		}
	}
	if cap(f.scratch) > maxScratch {
		f.scratch = nil
	}
	clear(f.encodings)
	f.encodings, f.byKey = f.encodings[:0], nil
	f.backlogs.clear()
	fanouts.Put(f)
}

// group pushes to all subscriptions of a group.
func (f *fanout) group(g *group) {
	m := f.message
	for _, s := range g.all() {
		if (m.NoEcho && s.session.id == m.Session) || (m.ToSession != "" && s.session.id != m.ToSession) {
			if m.Gap {
				s.session.outbox.noteGap(s)
			}
			continue
		}
		if s.isReply && !s.session.broker.pendingRequests.answered(m) {
			continue
		}
		if s.ack != ackAuto {
			s.session.trackUnacked(s, m.ID)
		}
		if data := f.encode(s); data != nil && s.session.outbox.pushMessage(data, s, m, f.publishedAt, f.flushes, &f.backlogs) {
			f.count++
			f.idle.startFull()
		}
	}
}

// maxKept is up to how many bytes the encodings of a message are kept for others. Those
// of a large message for many different ids would take as much memory as they are many.
const maxKept = 4 << 20

// encode returns the bytes for a subscription, shared with all like it, or nil where its
// session takes no more.
func (f *fanout) encode(s *subscription) []byte {
	form := s.form
	if f.byKey != nil {
		if data, ok := f.byKey[form]; ok {
			return data
		}
	}
	for i := range f.encodings {
		if f.encodings[i].form == form {
			return f.encodings[i].data
		}
	}
	large := f.kept > maxKept
	if large && !s.session.outbox.takes(s) {
		return nil
	}
	data := f.make(form.Value())
	if large {
		return data
	}
	f.kept += len(data)
	if len(f.encodings) < fewEncodings {
		f.encodings = append(f.encodings, encoded{form, data})
		return data
	}
	if f.byKey == nil {
		f.byKey = make(map[unique.Handle[encoding]][]byte)
	}
	f.byKey[form] = data
	return data
}

func (f *fanout) make(key encoding) []byte {
	if framing, ok := key.framing.(EventFraming); ok {
		return encodeEvent(&f.scratch, framing, f.message, key.place, !key.withoutEventID)
	}
	tail := &f.tails[key.version-frames.V10]
	if len(*tail) == 0 {
		*tail = appendTail(*tail, f.message, key.version)
	}
	return key.encode(&f.scratch, f.message, nil, *tail, f.text)
}
