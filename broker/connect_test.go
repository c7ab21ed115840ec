package broker_test

import (
	"math"
	"testing"
	"time"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// TestTokensThatEndInAgesDoNotEndSessions: a count of nanoseconds ends in 2262, and
// many a token is made to last longer.
func TestTokensThatEndInAgesDoNotEndSessions(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	c := test.Dial(t, n).Connect("Authorization", "Bearer "+test.Token(t, "alice", math.MaxInt64, auth.Grants{}))
	refreshed := test.Dial(t, n).Connect("Authorization", "Bearer "+test.Token(t, "alice", time.Hour, auth.Grants{}))
	refreshed.Send(frames.SEND, "destination", "/session/token", "receipt", "r", test.Token(t, "alice", math.MaxInt64, auth.Grants{}))
	refreshed.Receipt("r")
	short := test.Dial(t, n).Connect("Authorization", "Bearer "+test.Token(t, "alice", 2*time.Second, auth.Grants{}))
	short.Error("token has expired") // so the others were looked at too
	c.Quiet()
	refreshed.Quiet()
}
