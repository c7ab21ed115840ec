package broker

import (
	"hash/fnv"
	"net/url"
	"strconv"
	"strings"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/frames"
)

// durablePlace is the name in the ids of durable subscriptions. They are places of no other
// subscription: several clients may share the messages.
const durablePlace = "durable"

// maxPlainPlace bounds a pattern that ids name as it is.
const maxPlainPlace = 64

// placeName is how the ids that a subscription reads name its destination or pattern. A
// position is of one stream, which has many destinations: an id of one of them says
// nothing of what its client has of another. A pattern is named as it is, so that its ids
// are known to be good for all that it contains.
func placeName(p destination.Pattern) string {
	if destination.HasWildcard(p.String()) {
		if escaped := escapePlace(p.String()); len(escaped) <= maxPlainPlace {
			return escaped
		}
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(p.String()))
	name := strconv.FormatUint(h.Sum64()>>24, 36)
	return strings.Repeat("0", 8-len(name)) + name
}

// escapePlace escapes what an id cannot have, since a comma ends one in a list of them, and
// a hyphen its name.
func escapePlace(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', strings.IndexByte("/._*>", c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte("0123456789ABCDEF"[c>>4])
			b.WriteByte("0123456789ABCDEF"[c&15])
		}
	}
	return b.String()
}

// fitsPlace reports whether who has all up to an id of this name has all of the pattern.
func fitsPlace(name string, p destination.Pattern) bool {
	if name == placeName(p) {
		return true
	}
	if !strings.HasPrefix(name, "/") {
		return false
	}
	text, err := url.PathUnescape(name)
	if err != nil {
		return false
	}
	named, err := destination.ParsePattern(text)
	return err == nil && named.Contains(p)
}

// parsePlace reads a last-event-id. One of another destination says nothing of the pattern,
// so it is as one of a history that is no more. One that names nothing is of an earlier
// version, and may be good for a single destination, as the history knows.
func parsePlace(p destination.Pattern, id string) (at driver.StreamPosition, unnamed bool) {
	at, name := driver.ParsePlace(id)
	switch {
	case name == "" && !destination.HasWildcard(p.String()):
		return at, true
	case name != "" && fitsPlace(name, p):
		return at, false
	}
	return driver.StreamPosition{Epoch: driver.NoEpoch}, false
}

// givenPlace is the place that a client gives, where a history keeps what came after it, and
// else one of which nothing is known.
func (sub *subscription) givenPlace(id string) driver.StreamPosition {
	if r := sub.replay; r != nil && !r.live {
		if at, unnamed := parsePlace(sub.pattern, id); !unnamed {
			return at
		}
	}
	return driver.StreamPosition{Epoch: driver.NoEpoch}
}

// idFor is the message-id that a subscription reads.
func idFor(m *driver.Message, place string) string {
	if m.Position.Seq == 0 {
		return m.ID
	}
	return m.Position.In(place)
}

// knownID is the id by which a session knows a message that its client names.
func knownID(id string) string {
	if at, name := driver.ParsePlace(id); name != "" {
		return at.String()
	}
	return id
}

// placeReceipt is the RECEIPT of a SUBSCRIBE to what a history keeps: up to where its client
// has everything, and whether something before that is missing.
func (sub *subscription) placeReceipt(upTo driver.StreamPosition) []byte {
	r := sub.replay
	f := frames.New(frames.RECEIPT, frames.ReceiptID, r.receipt)
	if upTo.Epoch != "" {
		f.Headers = f.Headers.With(HeaderLastEventID, upTo.In(sub.place))
	}
	if r.incomplete || r.gap {
		f.Headers = f.Headers.With(driver.HeaderReplay, "incomplete")
	}
	return sub.session.encode(f)
}
