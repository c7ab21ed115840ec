package relay

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/stompbox/stompbox/broker/driver"
)

// scan calls visit with the messages of a queue where they are stored, in the order of a
// peek, from a cursor on, until visit reports that there is enough or limit were seen. It
// returns where to go on, or "" at the end.
func (a queueAdmin) scan(ctx context.Context, queue, after string, limit int, visit func(s jetstream.Stream, at place, seq uint64, m *driver.Message) (more bool, err error)) (next string, err error) {
	from, err := parsePeekCursor(after)
	if err != nil {
		return "", err
	}
	places, err := a.places(ctx, queue)
	if err != nil {
		return "", err
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
		s, err := a.store.link.js.Stream(ctx, at.stream)
		if err != nil {
			return "", storeError("cannot look at "+at.stream, err)
		}
		for {
			stored, err := s.GetMsg(ctx, max(from.seq, 1), jetstream.WithGetMsgSubject(at.subject))
			if errors.Is(err, jetstream.ErrMsgNotFound) {
				break
			}
			if err != nil {
				return "", storeError("cannot look at "+queue, err)
			}
			if limit--; limit < 0 {
				return peekCursor{order, stored.Sequence}.String(), nil
			}
			from.seq = stored.Sequence + 1
			m := a.peeked(at, queue, stored)
			if m == nil {
				continue
			}
			if more, err := visit(s, at, stored.Sequence, m); err != nil || !more {
				return from.String(), err
			}
		}
	}
	return "", nil
}

// RemoveMessages removes messages of a queue, also those that consumers hold. See
// [driver.QueueAdmin].
func (a queueAdmin) RemoveMessages(ctx context.Context, queue, after string, limit int, match func(*driver.Message) bool) (removed int, next string, err error) {
	next, err = a.scan(ctx, queue, after, limit, func(s jetstream.Stream, _ place, seq uint64, m *driver.Message) (bool, error) {
		if !match(m) {
			return true, nil
		}
		ok, err := a.delete(ctx, s, queue, seq)
		if ok {
			removed++
		}
		return true, err
	})
	return removed, next, err
}

// delete removes a message, and reports whether it was there.
func (a queueAdmin) delete(ctx context.Context, s jetstream.Stream, queue string, seq uint64) (bool, error) {
	err := s.DeleteMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) || errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil // a consumer has acknowledged it meanwhile
	}
	if err != nil {
		return false, storeError("cannot remove a message of "+queue, err)
	}
	return true, nil
}

// MoveMessage moves one message. It is stored at its target before it is removed here. See
// [driver.QueueAdmin].
func (a queueAdmin) MoveMessage(ctx context.Context, queue, id, after string, limit int, target func(*driver.Message) (string, driver.QueueOptions)) (moved bool, next string, err error) {
	found := false
	next, err = a.scan(ctx, queue, after, limit, func(s jetstream.Stream, at place, seq uint64, m *driver.Message) (bool, error) {
		if m.ID != id {
			return true, nil
		}
		found = true
		to, copied, ok := a.copyTo(queue, movedID(at, seq), m, target)
		if !ok {
			return false, nil
		}
		if err := a.store.streams.ensure(ctx, to, copied.options); err != nil {
			return false, err
		}
		stored := make(chan error, 1)
		a.store.acks.publish(to.stream, copied.msg, func(err error) { stored <- err })
		if err := <-stored; err != nil {
			return false, err
		}
		moved, err = a.delete(ctx, s, queue, seq)
		return false, err
	})
	if found {
		next = ""
	}
	return moved, next, err
}
