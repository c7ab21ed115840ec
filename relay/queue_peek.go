package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
)

// peekCursor is where a peek goes on: in which of the places of a queue, and from which
// message on.
type peekCursor struct {
	place int
	seq   uint64
}

func (c peekCursor) String() string { return fmt.Sprintf("%d.%d", c.place, c.seq) }

func parsePeekCursor(text string) (c peekCursor, err error) {
	if text == "" {
		return c, nil
	}
	place, seq, ok := strings.Cut(text, ".")
	if c.place, err = strconv.Atoi(place); err == nil && ok {
		c.seq, err = strconv.ParseUint(seq, 10, 64)
	}
	if err != nil || !ok || c.String() != text {
		return c, fmt.Errorf("%w: %.40q", driver.ErrBadCursor, text)
	}
	return c, nil
}

// PeekQueue looks at messages of a queue where they are stored, which no consumer of
// JetStream notices. See [driver.QueueAdmin].
func (a queueAdmin) PeekQueue(ctx context.Context, queue string, p driver.Peek) (driver.Peeked, error) {
	var seen driver.Peeked
	from, err := parsePeekCursor(p.After)
	if err != nil {
		return seen, err
	}
	places, err := a.places(ctx, queue)
	if err != nil {
		return seen, err
	}
	slices.SortFunc(places, func(x, y place) int { return cmp.Compare(a.placeOrder(x), a.placeOrder(y)) })
	for _, at := range places {
		order := a.placeOrder(at)
		if order < from.place {
			continue
		}
		if order > from.place {
			from = peekCursor{place: order}
		}
		if err := a.peekFrom(ctx, queue, at, from, p, &seen); err != nil || seen.Next != "" {
			return seen, err
		}
	}
	return seen, nil
}

// placeOrder is the order in which a peek looks at the places of a queue.
func (a queueAdmin) placeOrder(p place) int {
	switch p.prefix {
	case a.store.link.prefix:
		return 0
	case boundedPrefix(a.store.link.prefix):
		return 1
	}
	return 2
}

// peekFrom adds what is in one place, and where to go on when there is more than may be.
func (a queueAdmin) peekFrom(ctx context.Context, queue string, at place, from peekCursor, p driver.Peek, seen *driver.Peeked) error {
	stream, err := a.store.link.js.Stream(ctx, at.stream)
	if err != nil {
		return storeError("cannot look at "+at.stream, err)
	}
	size := 0
	for _, m := range seen.Messages {
		size += len(m.Body)
	}
	for {
		stored, err := stream.GetMsg(ctx, max(from.seq, 1), jetstream.WithGetMsgSubject(at.subject))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err != nil {
			return storeError("cannot look at "+queue, err)
		}
		size += len(stored.Data)
		if n := len(seen.Messages); n >= p.Limit || n > 0 && size > p.MaxBytes {
			seen.Next = peekCursor{from.place, stored.Sequence}.String()
			return nil
		}
		from.seq = stored.Sequence + 1
		if m := a.peeked(at, queue, stored); m != nil {
			seen.Messages = append(seen.Messages, m)
		}
	}
}

// peeked makes of a stored message what a consumer would get.
func (a queueAdmin) peeked(at place, queue string, stored *jetstream.RawStreamMsg) *driver.Message {
	if a.store.link.tooNew(stored.Header, stored.Subject) {
		return nil
	}
	m, ok := decodeStored(at.prefix, &nats.Msg{Subject: stored.Subject, Header: stored.Header, Data: stored.Data}, stored.Time, func() string {
		return queueMessageID(at.stream, stored.Sequence)
	})
	if !ok {
		return nil
	}
	m.Key = queue
	if _, stamped := stored.Header[driver.HeaderTimestamp]; !stamped {
		m.Timestamp = stored.Time.UnixMilli()
	}
	return m
}

// queueMessageID is the id of a message that has none of its own.
func queueMessageID(stream string, seq uint64) string {
	return stream + "-" + strconv.FormatUint(seq, 36)
}
