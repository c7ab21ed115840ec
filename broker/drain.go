package broker

import (
	"time"
)

const (
	drainTick = 10 * time.Millisecond
	// drainPace is how many sessions a tick ends at least, however long the window.
	drainPace = 2
)

func (s *Session) endForRestart() {
	s.ended.set(&endedByShutdown)
	s.end(nil, s.framing.Close(CloseRestart, string(CodeShutdown)+": the server is shutting down; connect again"))
}
