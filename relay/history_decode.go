package relay

import (
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
)

// Headers that JetStream adds to a message of a stream that it publishes again or that
// is read from it.
const (
	headerStream       = "Nats-Stream"
	headerSubject      = "Nats-Subject"
	headerSequence     = "Nats-Sequence"
	headerLastSequence = "Nats-Last-Sequence"
	headerStored       = "Nats-Time-Stamp"

	headerMsgID = "Nats-Msg-Id" // that the publisher set, by which JetStream knows what is repeated
)

// lastOf returns the last value of a header. JetStream adds its own after those that a
// message was stored with, so it is JetStream's wherever JetStream adds one.
func lastOf(h nats.Header, name string) string {
	values := h[name]
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// statusOf returns the status of an answer of NATS or JetStream, or "". An answer that
// has a status has no body.
func statusOf(msg *nats.Msg) string {
	if len(msg.Data) > 0 {
		return ""
	}
	return lastOf(msg.Header, "Status")
}

// decodeLive makes the message of a live NATS message, and for one of a history tells
// which sequence came before it on its destination. One that names a history and cannot
// be its stream's is refused.
func (s *historyStreams) decodeLive(msg *nats.Msg) (m *driver.Message, before uint64, ok bool) {
	h, _ := s.epochOf(lastOf(msg.Header, headerStream))
	if h == nil {
		m, ok = s.link.decode(msg)
		return m, 0, ok
	}
	if s.liveSubject(h, lastOf(msg.Header, headerSubject)) == msg.Subject {
		if m, before, ok = s.decodeStored(msg); ok || isNewer(msg.Header) {
			return m, before, ok
		}
	}
	s.rejected(msg.Subject, 1)
	return nil, 0, false
}

// rejected notes live messages that named a history and were not of its stream.
func (s *historyStreams) rejected(where string, n int) {
	if n > 0 && s.misplaced.Add(int64(n)) == int64(n) {
		s.link.log.Warn("a program published a message that names a history and is not of its stream; it was ignored, and so are the next ones", "destination", where)
	}
}

// decodeStored makes the message of one of a history.
func (s *historyStreams) decodeStored(msg *nats.Msg) (m *driver.Message, before uint64, ok bool) {
	if s.link.tooNew(msg.Header, msg.Subject) {
		return nil, 0, false
	}
	h, epoch := s.epochOf(lastOf(msg.Header, headerStream))
	seq, err := strconv.ParseUint(lastOf(msg.Header, headerSequence), 10, 64)
	if h == nil || err != nil || seq == 0 {
		return nil, 0, false
	}
	at := driver.StreamPosition{Epoch: epoch, Seq: seq}
	live := &nats.Msg{Subject: s.liveSubject(h, lastOf(msg.Header, headerSubject)), Header: msg.Header, Data: msg.Data}
	stored, _ := time.Parse(time.RFC3339Nano, lastOf(msg.Header, headerStored)) // else zero
	if m, ok = decodeStored(s.link.prefix, live, stored, at.String); !ok {
		return nil, 0, false
	}
	m.Position, m.ID = at, at.String()
	before, _ = strconv.ParseUint(lastOf(msg.Header, headerLastSequence), 10, 64)
	return m, before, true
}

// liveSubject is the subject on which a stored message is published again.
func (s *historyStreams) liveSubject(h *history, subject string) string {
	return s.link.prefix + strings.TrimPrefix(subject, h.prefix)
}

// keeps reports whether a history keeps something of a pattern.
func (s *historyStreams) keeps(p destination.Pattern) bool {
	for _, h := range s.all {
		if h.policy.Match.Overlaps(p) {
			return true
		}
	}
	return false
}
