package relay

import (
	"context"
	"sync"
	"time"
)

const (
	// sharedFor is how long a page is kept for other replays.
	sharedFor = time.Second
	// maxSharedBytes bounds the pages that are kept. Beyond, a page is shared only while it is read.
	maxSharedBytes = 16 << 20
	// storedOverhead and headerOverhead are about what a stored message, and each of its headers,
	// take beyond their bytes.
	storedOverhead, headerOverhead = 512, 128
)

// sharedPages has replays that want the same page at about the same time read it once: after a
// restart of a node, all clients of a room come back at once with the same position.
//
// A page is what a history had between two sequences a moment ago. What the stream has dropped since,
// or an operator has cleared, makes another key. What is newer is read with the next page.
type sharedPages struct {
	mu    sync.Mutex // guards the following
	pages map[pageKey]*sharedPage
	kept  []keptPage // the oldest first
	bytes int        // of all that are kept
	ticks bool       // tick will come
}

// pageKey is what has to be equal for a page to be so.
type pageKey struct {
	stream, epoch string
	dropped       uint64 // how many messages the stream had that it has no more
	subject       string
	next          uint64
	size          int
}

type sharedPage struct {
	ready    chan struct{} // closed when the following are there
	messages []*storedMessage
	err      error
}

type keptPage struct {
	key   pageKey
	until time.Time
	bytes int
}

func newSharedPages() *sharedPages { return &sharedPages{pages: make(map[pageKey]*sharedPage)} }

// get returns a page that is being read, or was a moment ago, or reads it. No caller may change the
// page's messages.
func (s *sharedPages) get(ctx context.Context, key pageKey, read func(context.Context) ([]*storedMessage, error)) ([]*storedMessage, error) {
	s.mu.Lock()
	s.expire(time.Now())
	p, found := s.pages[key]
	if !found {
		p = &sharedPage{ready: make(chan struct{})}
		s.pages[key] = p
	}
	s.mu.Unlock()
	if !found {
		p.messages, p.err = read(ctx)
		close(p.ready)
		s.keep(key, p)
		return p.messages, p.err
	}
	select {
	case <-p.ready:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if p.err != nil { // which may be that the other client has left
		return read(ctx)
	}
	return p.messages, nil
}

// keep keeps a page that was read, where there is room. One without messages says only that a
// replica had none yet.
func (s *sharedPages) keep(key pageKey, p *sharedPage) {
	size := memoryOf(p.messages)
	s.mu.Lock()
	defer s.mu.Unlock()
	if size == 0 || s.bytes+size > maxSharedBytes {
		delete(s.pages, key)
		return
	}
	s.bytes += size
	s.kept = append(s.kept, keptPage{key, time.Now().Add(sharedFor), size})
	if !s.ticks {
		s.ticks = true
		time.AfterFunc(sharedFor, s.tick)
	}
}

// memoryOf returns about how many bytes of memory a page takes.
func memoryOf(page []*storedMessage) (size int) {
	for _, m := range page {
		size += m.msg.Size() + storedOverhead + len(m.msg.Header)*headerOverhead
	}
	return size
}

// tick drops what is old, and comes again while there is more.
func (s *sharedPages) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.expire(now)
	if s.ticks = len(s.kept) > 0; s.ticks {
		time.AfterFunc(s.kept[0].until.Sub(now), s.tick)
	}
}

// expire drops what is old. The caller holds mu.
func (s *sharedPages) expire(now time.Time) {
	n := 0
	for ; n < len(s.kept) && !s.kept[n].until.After(now); n++ {
		delete(s.pages, s.kept[n].key)
		s.bytes -= s.kept[n].bytes
	}
	if s.kept = s.kept[n:]; len(s.kept) == 0 {
		s.kept = nil
	}
}
