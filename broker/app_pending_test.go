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
	require.Nil(t, r.add(&driver.Message{}, 1), "who wants no answer waits for none")
	for i := range maxPendingRequests {
		require.Nil(t, r.add(asking("/reply/a", strconv.Itoa(i)), int64(i)))
	}
	require.NotNil(t, r.add(asking("/reply/a", "one more"), 1))
	require.Nil(t, r.add(asking("/reply/b", "x"), 5), "others have their own bound")

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

// TestNoSecondFailureFollowsATimeout: an app server ends with a request, or has no room,
// after the sender was answered that it took too long.
func TestNoSecondFailureFollowsATimeout(t *testing.T) {
	t.Parallel()
	var r pendingRequests
	failure := func(code Code) *driver.Message {
		return &driver.Message{Key: "/reply/a", Headers: failureHeaders("/app/a", code, "why").With(HeaderCorrelationID, "1")}
	}
	answer := &driver.Message{Key: "/reply/a", Headers: frames.Headers{{Name: HeaderCorrelationID, Value: "1"}}}
	require.Nil(t, r.add(asking("/reply/a", "1"), 1))
	require.Len(t, r.takeExpired(1), 1)
	require.True(t, r.answered(failure(CodeAppTimeout)))
	require.True(t, r.answered(answer), "a late answer is welcome")
	require.False(t, r.answered(failure(CodeAppFailed)))
	require.True(t, r.answered(failure(CodeAppBusy)), "that is of another request with the same id")

	require.Nil(t, r.add(asking("/reply/a", "1"), 1))
	require.True(t, r.answered(failure(CodeNoAppServer)))
}

// TestNoFailureFollowsAnAnswer: a node that took a request was cut off before it could say so,
// and its app server answered all the same.
func TestNoFailureFollowsAnAnswer(t *testing.T) {
	t.Parallel()
	var r pendingRequests
	failure := func(id string, code Code) *driver.Message {
		return &driver.Message{Key: "/reply/a", Headers: failureHeaders("/app/a", code, "why").With(HeaderCorrelationID, id)}
	}
	answer := &driver.Message{Key: "/reply/a", Headers: frames.Headers{{Name: HeaderCorrelationID, Value: "1"}}}
	require.Nil(t, r.add(asking("/reply/a", "1"), 1))
	require.Nil(t, r.add(asking("/reply/a", "2"), 1))
	require.True(t, r.answered(answer))
	for _, code := range []Code{CodeUnavailable, CodeAppFailed, CodeNoAppServer} {
		require.False(t, r.answered(failure("1", code)), "%s", code)
	}
	require.True(t, r.answered(answer), "another answer, of another app server, is welcome")
	require.True(t, r.answered(failure("2", CodeUnavailable)))
	require.False(t, r.answered(failure("2", CodeAppFailed)), "it has failed")
	require.True(t, r.answered(failure("3", CodeAppBusy)), "too many waited, so it does not")
}
