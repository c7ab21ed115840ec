package broker

import "sync"

// looks has many who need to know what the store has ask it together. It holds no lock while
// the store is asked. The zero value is ready for use.
type looks struct {
	mu      sync.Mutex // guards the following, and is held for a moment
	last    int64      // clock time at which the last look ended
	current *look      // nil where none is under way
}

// look is one question to the store. All who come meanwhile wait for its answer.
type look struct {
	done  chan struct{}
	fewer bool // the store has less than was counted; set before done is closed
}

// do calls ask, at most once in so long, or waits for a call that is under way. It returns
// what that returned.
func (l *looks) do(c *clock, every int64, ask func() bool) bool {
	l.mu.Lock()
	if current := l.current; current != nil {
		l.mu.Unlock()
		<-current.done
		return current.fewer
	}
	if l.last != 0 && c.now()-l.last < every {
		l.mu.Unlock()
		return false
	}
	mine := &look{done: make(chan struct{})}
	l.current = mine
	l.mu.Unlock()
	mine.fewer = ask()
	l.mu.Lock()
	l.current, l.last = nil, c.now()
	l.mu.Unlock()
	close(mine.done)
	return mine.fewer
}
