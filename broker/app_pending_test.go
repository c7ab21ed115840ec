package broker

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/frames"
)

func asking(reply, correlation string) *driver.Message {
	return &driver.Message{Key: "/app/a", Headers: frames.Headers{{Name: HeaderReplyTo, Value: reply}, {Name: HeaderCorrelationID, Value: correlation}}}
}

func TestRequestsThatWaitAreBoundedAndEnd(t *testing.T) {
	t.Parallel()
	var r pendingRequests
	require.True(t, r.add(&driver.Message{}, 1), "who wants no answer waits for none")
	for i := range maxPendingRequests {
		require.True(t, r.add(asking("/reply/a", strconv.Itoa(i)), int64(i)))
	}
	require.False(t, r.add(asking("/reply/a", "one more"), 1))
	require.True(t, r.add(asking("/reply/b", "x"), 5), "others have their own bound")

	answer := asking("", "7")
	answer.Key = "/reply/a"
	r.answered(answer)
	r.answered(answer) // a second answer is of no request
	late := r.takeExpired(9)
	require.Len(t, late, 9+1, "0 to 9 without 7, and the other's")
	require.Empty(t, r.takeExpired(9))
	r.forget("/reply/a")
	require.Empty(t, r.takeExpired(1<<40))
	require.Empty(t, r.waiting)
}
