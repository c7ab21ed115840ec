package gateway

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// endingSink notes how a stream was ended.
type endingSink struct{ ends []string }

func (*endingSink) Write([][]byte) error   { return nil }
func (*endingSink) Progress() uint64       { return 0 }
func (s *endingSink) Finish(time.Duration) { s.ends = append(s.ends, "finish") }
func (s *endingSink) Close() error         { s.ends = append(s.ends, "close"); return nil }

// TestAStreamThatEndsBeforeItBeginsEndsItsConnection: a shutdown may come between its
// session and its answer, and nothing else would end the connection.
func TestAStreamThatEndsBeforeItBeginsEndsItsConnection(t *testing.T) {
	t.Parallel()
	for want, end := range map[string]func(*eventConn){
		"finish": func(c *eventConn) { c.Finish(time.Second) },
		"close":  func(c *eventConn) { _ = c.Close() },
	} {
		c, sink := newEventConn(eventFramings[""], "test"), new(endingSink)
		end(c)
		c.begin(sink, nil)
		require.Equal(t, []string{want}, sink.ends)
		end(c)
		require.Equal(t, []string{want, want}, sink.ends)
	}
}
