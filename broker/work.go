package broker

import (
	"runtime"

	"github.com/stompbox/stompbox/internal/fairturns"
)

// PieceBytes is how much of a request [Work] lets pass without waiting, and after how much of it
// others go on. A piece of JSON takes well below a millisecond of a processor.
const PieceBytes = 16 << 10

// newTurns returns those of requests that are large. Half of the processors are left to all others.
func newTurns() *fairturns.Turns { return fairturns.New(max(1, runtime.GOMAXPROCS(0)/2)) }

// Work is on what one request over HTTP has sent. A large one takes a processor for long, so beyond
// a first part few of them are worked on at a time, round-robin by user. Only one goroutine may use
// it at a time. A nil Work waits for no one.
type Work struct {
	turns   *fairturns.Turns
	user    string
	bytes   int
	working bool // has a turn
}

// NewWork returns the work of b on a request of a user, or an address. Without a broker it is nil.
func NewWork(b *Broker, user string) *Work {
	if b == nil {
		return nil
	}
	return &Work{turns: b.turns, user: user}
}

// Begin is called before n more bytes are worked on. It may wait for others.
func (w *Work) Begin(n int) {
	if w == nil {
		return
	}
	before := w.bytes
	if w.bytes += n; w.bytes <= PieceBytes {
		return
	}
	if before/PieceBytes != w.bytes/PieceBytes {
		w.Rest()
		runtime.Gosched() // as yieldBytes
	}
	if !w.working {
		w.turns.Take(w.user)
		w.working = true
	}
}

// Rest ends a turn. It is called at the end, and before the request waits for something else.
func (w *Work) Rest() {
	if w != nil && w.working {
		w.working = false
		w.turns.Give()
	}
}
