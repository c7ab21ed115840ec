package relay

import (
	"context"
	"time"
)

// historyCursor reads the messages of a stream on one subject, which may have
// wildcards, in order and up to a position. It reads from whichever replica answers.
// One that lags could end too early, so the end is checked with the leader, and that a
// server which has all up to the position has no more.
type historyCursor struct {
	link    *link
	stream  string
	subject string
	next    uint64     // the first sequence that was not read yet
	since   *time.Time // in place of next, for the first request
	upTo    uint64
	page    []*storedMessage
	pages   int // that were read
	ended   bool
	// open says that the stream may not go up to the position yet.
	open bool
	// turned, where not nil, is called with each page: some of what was to be in it may have been
	// dropped since the reading began, or while the page before was delivered.
	turned func(ctx context.Context, next uint64, page []*storedMessage) error
	// fetch, where not nil, is in place of readPage.
	fetch func(ctx context.Context, q pageRequest) ([]*storedMessage, error)
}

// peek returns the next message, or nil at the end.
func (c *historyCursor) peek(ctx context.Context) (*storedMessage, error) {
	for len(c.page) == 0 && !c.ended {
		if err := c.read(ctx); err != nil {
			return nil, err
		}
	}
	if len(c.page) == 0 {
		return nil, nil
	}
	return c.page[0], nil
}

func (c *historyCursor) take() { c.page = c.page[1:] }

func (c *historyCursor) read(ctx context.Context) error {
	if c.next > c.upTo {
		c.ended = true
		return nil
	}
	page, err := c.request(ctx)
	if err != nil {
		return err
	}
	if c.since != nil && len(page) == 0 {
		c.ended = true
		return c.checkNothingSince(ctx)
	}
	c.since = nil
	c.pages++
	if len(page) == 0 {
		if page, err = c.requestAtEnd(ctx); err != nil {
			return err
		}
	}
	if c.turned != nil {
		if err := c.turned(ctx, c.next, page); err != nil {
			return err
		}
	}
	if c.ended = len(page) == 0; !c.ended {
		c.next = page[len(page)-1].seq + 1
	}
	for len(page) > 0 && page[len(page)-1].seq > c.upTo {
		page, c.ended = page[:len(page)-1], true
	}
	c.page = page
	return nil
}

func (c *historyCursor) request(ctx context.Context) ([]*storedMessage, error) {
	q := pageRequest{Seq: c.next, Since: c.since, Subject: c.subject, Batch: pageMessages, MaxBytes: pageSize(c.pages)}
	if c.fetch != nil {
		return c.fetch(ctx, q)
	}
	page, _, err := readPage(ctx, c.link, c.stream, q)
	return page, err
}

// endTries is how often the end is asked for, since messages may come meanwhile.
const endTries = 3

// requestAtEnd returns what comes next where a replica had nothing: nothing only if there is
// nothing up to the position.
func (c *historyCursor) requestAtEnd(ctx context.Context) (page []*storedMessage, err error) {
	var atEnd error
	for range endTries {
		m, err := readFromLeader(ctx, c.link, c.stream, pageRequest{Seq: c.next, Subject: c.subject})
		switch {
		case err != nil:
			return nil, err
		case m != nil:
			return []*storedMessage{m}, nil
		case c.open:
			return nil, nil
		}
		if atEnd = checkNothing(ctx, c.link, c.stream, c.subject, c.next, c.upTo); atEnd == nil {
			return nil, nil
		}
		if page, err = c.request(ctx); err != nil || len(page) > 0 {
			return page, err
		}
	}
	return nil, atEnd
}

// pageSize is how many bytes the next of so many pages may have. The first ones are small, since
// a client may give up what it asked for a moment ago, and ask again.
func pageSize(pages int) int {
	if pages < 2 {
		return pageBytes >> (4 - 2*pages)
	}
	return pageBytes
}

// checkNothingSince returns an error where a replica that lags had nothing since a time, and
// the leader has.
func (c *historyCursor) checkNothingSince(ctx context.Context) error {
	newest, err := readFromLeader(ctx, c.link, c.stream, pageRequest{Seq: max(c.upTo, 1), Subject: c.subject})
	if err != nil {
		return err
	}
	if newest == nil {
		return checkNothing(ctx, c.link, c.stream, c.subject, max(c.upTo, 1), c.upTo)
	}
	if newest.stored.Before(*c.since) {
		return nil
	}
	return errLags(c.stream)
}

// merge calls visit with the messages of all cursors in the order of the stream.
func merge(ctx context.Context, cursors []*historyCursor, visit func(*storedMessage) error) error {
	for {
		var first *historyCursor
		var message *storedMessage
		for _, c := range cursors {
			m, err := c.peek(ctx)
			if err != nil {
				return err
			}
			if m != nil && (message == nil || m.seq < message.seq) {
				first, message = c, m
			}
		}
		if first == nil {
			return nil
		}
		first.take()
		if err := visit(message); err != nil {
			return err
		}
	}
}
